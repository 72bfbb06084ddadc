import { computed, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { SAMPLER_NAMES, SCHEDULER_NAMES } from '../../protocol/samplers.ts';
import type { FormValues } from './form.ts';
import type { GalleryStore } from './gallery-store.ts';
import type { Picture, PictureInfo } from './picture.ts';

export type GalleryProblem = 'unreadable' | 'not-kept' | 'not-removed';

export interface GalleryState {
  /** All pictures, newest first. */
  readonly pictures: Signal<readonly PictureInfo[]>;
  readonly isLoaded: Signal<boolean>;
  /** Records that could not be read. */
  readonly unreadable: Signal<number>;
  readonly query: Signal<string>;
  readonly matching: ReadonlySignal<readonly PictureInfo[]>;
  readonly openId: Signal<string | null>;
  readonly problem: Signal<GalleryProblem | null>;
}

/** Whether every word of the query is somewhere in the picture's words, case and accents aside. */
export function matches(picture: PictureInfo, query: string): boolean {
  const words = fold(query)
    .split(/\s+/)
    .filter((word) => word !== '');
  if (words.length === 0) return true;
  const text = fold(
    `${picture.prompt} ${picture.negativePrompt} ${picture.checkpoint ?? ''} ${picture.sampler} ${picture.seed}`,
  );
  return words.every((word) => text.includes(word));
}

function fold(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
}

export function createGalleryState(): GalleryState {
  const pictures = signal<readonly PictureInfo[]>([]);
  const query = signal('');
  return {
    pictures,
    isLoaded: signal(false),
    unreadable: signal(0),
    query,
    matching: computed(() => pictures.value.filter((picture) => matches(picture, query.value))),
    openId: signal<string | null>(null),
    problem: signal<GalleryProblem | null>(null),
  };
}

/** Reads the list anew: at the start, and when another tab changed it. */
export async function loadGallery(state: GalleryState, store: GalleryStore): Promise<void> {
  try {
    const { pictures, unreadable } = await store.list();
    state.pictures.value = pictures;
    state.unreadable.value = unreadable;
  } catch {
    state.problem.value = 'unreadable';
  }
  state.isLoaded.value = true;
}

/** Keeps a picture; where the browser refuses, the picture stays on the stage and the page says so. */
export async function keepPicture(
  state: GalleryState,
  store: GalleryStore,
  picture: Picture,
  makeThumb: (file: Blob) => Promise<Blob | null>,
): Promise<void> {
  try {
    await store.keep(picture, await makeThumb(picture.file));
    state.pictures.value = [picture.info, ...state.pictures.value];
    if (state.problem.value === 'not-kept') state.problem.value = null;
  } catch {
    state.problem.value = 'not-kept';
  }
}

/** Deletes pictures for good; an open one gives way to its neighbour. */
export async function removePictures(
  state: GalleryState,
  store: GalleryStore,
  ids: readonly string[],
): Promise<void> {
  try {
    await store.remove(ids);
  } catch {
    state.problem.value = 'not-removed';
    return;
  }
  const openId = state.openId.value;
  if (openId !== null && ids.includes(openId)) {
    const gone = new Set(ids);
    const before = state.matching.value;
    const from = before.findIndex((picture) => picture.id === openId);
    const isLeft = (picture: PictureInfo) => !gone.has(picture.id);
    const next = before.slice(from).find(isLeft) ?? before.slice(0, from).findLast(isLeft);
    state.openId.value = next?.id ?? null;
  }
  state.pictures.value = state.pictures.value.filter((picture) => !ids.includes(picture.id));
}

/** Opens the picture that lies `distance` places after the open one, if there is one. */
export function stepPicture(state: GalleryState, distance: number): void {
  const list = state.matching.value;
  const from = list.findIndex((picture) => picture.id === state.openId.value);
  const next = from < 0 ? undefined : list[from + distance];
  if (next) state.openId.value = next.id;
}

/** The form that would make this picture again. */
export function formOfPicture(picture: PictureInfo): Partial<FormValues> {
  const sampler = SAMPLER_NAMES.find((name) => name === picture.sampler);
  const scheduler = SCHEDULER_NAMES.find((name) => name === picture.scheduler);
  return {
    prompt: picture.prompt,
    negativePrompt: picture.negativePrompt,
    steps: String(picture.steps),
    guidanceScale: String(picture.guidanceScale),
    width: String(picture.width),
    height: String(picture.height),
    seed: String(picture.seed),
    ...(sampler ? { sampler } : {}),
    ...(scheduler ? { scheduler } : {}),
    ...(picture.checkpoint ? { checkpoint: picture.checkpoint } : {}),
  };
}
