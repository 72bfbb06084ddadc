import { batch, computed, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { SAMPLER_NAMES, SCHEDULER_NAMES } from '../../protocol/samplers.ts';
import type { FormValues } from './form.ts';
import { filterPictures, type GalleryFilter, NO_FILTER } from './gallery-filter.ts';
import { createSelection, type GallerySelection } from './gallery-selection.ts';
import { type GalleryStore, NotRemoved } from './gallery-store.ts';
import type { OutputStore } from './outputs.ts';
import type { Picture, PictureInfo } from './picture.ts';
import { formOfInfotext } from './png-info.ts';
import { MAX_ZIP_BYTES, MAX_ZIP_FILES, zipPictures } from './zip-pictures.ts';

export type GalleryProblem =
  | 'unreadable'
  | 'not-kept'
  | 'not-removed'
  | 'outputs-unreadable'
  | 'outputs-not-removed'
  | 'zip-too-large'
  | 'zip-failed';

export interface GalleryState {
  /** All pictures of this browser, newest first. */
  readonly pictures: Signal<readonly PictureInfo[]>;
  /** Those of the bridge's output folder; null without a bridge. */
  readonly outputs: Signal<readonly PictureInfo[] | null>;
  readonly areOutputsLoading: Signal<boolean>;
  /** Both, newest first. */
  readonly all: ReadonlySignal<readonly PictureInfo[]>;
  readonly isLoaded: Signal<boolean>;
  /** Records that could not be read. */
  readonly unreadable: Signal<number>;
  readonly filter: Signal<GalleryFilter>;
  readonly matching: ReadonlySignal<readonly PictureInfo[]>;
  readonly openId: Signal<string | null>;
  readonly selection: GallerySelection;
  /** How far a zip is, in pictures; null while none is made. */
  readonly packing: Signal<{ readonly done: number; readonly total: number } | null>;
  readonly problem: Signal<GalleryProblem | null>;
}

export function createGalleryState(): GalleryState {
  const pictures = signal<readonly PictureInfo[]>([]);
  const outputs = signal<readonly PictureInfo[] | null>(null);
  const filter = signal(NO_FILTER);
  const all = computed(() =>
    outputs.value === null
      ? pictures.value
      : [...pictures.value, ...outputs.value].sort((a, b) => b.createdAt - a.createdAt),
  );
  return {
    pictures,
    outputs,
    areOutputsLoading: signal(false),
    all,
    isLoaded: signal(false),
    unreadable: signal(0),
    filter,
    matching: computed(() => filterPictures(all.value, filter.value)),
    openId: signal<string | null>(null),
    selection: createSelection(),
    packing: signal(null),
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

/** Reads the list of the output folder anew; pictures show as soon as their page has come. */
export async function loadOutputs(state: GalleryState, outputs: OutputStore): Promise<void> {
  if (state.areOutputsLoading.value) return;
  state.areOutputsLoading.value = true;
  const found: PictureInfo[] = [];
  const isFirst = state.outputs.value === null;
  try {
    await outputs.list((page) => {
      found.push(...page);
      if (isFirst) state.outputs.value = [...found];
    });
    state.outputs.value = found;
    if (state.problem.value === 'outputs-unreadable') state.problem.value = null;
  } catch {
    state.problem.value = 'outputs-unreadable';
  } finally {
    state.areOutputsLoading.value = false;
  }
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

/** Deletes pictures for good; an open one gives way to its neighbour. What could not be deleted stays, and is said. */
export async function removePictures(
  state: GalleryState,
  store: GalleryStore,
  ids: readonly string[],
): Promise<void> {
  const gone = new Set(ids);
  try {
    await store.remove(ids);
    if (/removed/.test(state.problem.value ?? '')) state.problem.value = null;
  } catch (error) {
    if (!(error instanceof NotRemoved)) {
      state.problem.value = 'not-removed';
      return;
    }
    state.problem.value = 'outputs-not-removed';
    for (const id of error.kept) gone.delete(id);
  }
  batch(() => forget(state, gone));
}

function forget(state: GalleryState, gone: ReadonlySet<string>): void {
  const openId = state.openId.value;
  if (openId !== null && gone.has(openId)) {
    const before = state.matching.value;
    const from = before.findIndex((picture) => picture.id === openId);
    const isLeft = (picture: PictureInfo) => !gone.has(picture.id);
    const next = before.slice(from).find(isLeft) ?? before.slice(0, from).findLast(isLeft);
    state.openId.value = next?.id ?? null;
  }
  const isLeft = ({ id }: PictureInfo) => !gone.has(id);
  state.pictures.value = state.pictures.value.filter(isLeft);
  state.outputs.value = state.outputs.value?.filter(isLeft) ?? null;
  const { ids } = state.selection;
  ids.value = new Set([...ids.value].filter((id) => !gone.has(id)));
}

/** Makes one zip of pictures and hands it to `save`; says in the state what went wrong. */
export async function packPictures(
  state: GalleryState,
  store: GalleryStore,
  pictures: readonly PictureInfo[],
  save: (zip: Blob, name: string) => void,
): Promise<void> {
  if (state.packing.value || pictures.length === 0) return;
  const total = pictures.length;
  const bytes = pictures.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (bytes > MAX_ZIP_BYTES || total > MAX_ZIP_FILES) {
    state.problem.value = 'zip-too-large';
    return;
  }
  state.packing.value = { done: 0, total };
  try {
    const { zip, missing } = await zipPictures(pictures, {
      file: (id) => store.file(id),
      onProgress: (done) => {
        state.packing.value = { done, total };
      },
    });
    state.problem.value = missing > 0 ? 'zip-failed' : null;
    if (missing < total) save(zip, `easel-${total}.zip`);
  } catch {
    state.problem.value = 'zip-failed';
  } finally {
    state.packing.value = null;
  }
}

/** Opens the picture that lies `distance` places after the open one, if there is one. */
export function stepPicture(state: GalleryState, distance: number): void {
  const list = state.matching.value;
  const from = list.findIndex((picture) => picture.id === state.openId.value);
  const next = from < 0 ? undefined : list[from + distance];
  if (next) state.openId.value = next.id;
}

/** What an infotext leaves out when it is not used. */
const NOT_SAID: Partial<FormValues> = { hires: 'off', subseedStrength: '0', clipSkip: '1' };

/** The form that would make this picture again: its infotext knows more than its record (hires fix, clip skip). */
export function formOfPicture(picture: PictureInfo): Partial<FormValues> {
  const sampler = SAMPLER_NAMES.find((name) => name === picture.sampler);
  const scheduler = SCHEDULER_NAMES.find((name) => name === picture.scheduler);
  const known: Partial<FormValues> = {
    ...(picture.infotext === '' ? {} : NOT_SAID),
    prompt: picture.prompt,
    negativePrompt: picture.negativePrompt,
    ...(picture.steps > 0
      ? {
          steps: String(picture.steps),
          guidanceScale: String(picture.guidanceScale),
          width: String(picture.width),
          height: String(picture.height),
          seed: String(picture.seed),
        }
      : {}),
    ...(sampler ? { sampler } : {}),
    ...(scheduler ? { scheduler } : {}),
    ...(picture.checkpoint ? { checkpoint: picture.checkpoint } : {}),
  };
  return picture.infotext === '' ? known : { ...known, ...formOfInfotext(picture.infotext) };
}
