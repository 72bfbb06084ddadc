import { batch, effect, type Signal, signal } from '@preact/signals';
import { createStore, del, get, set } from 'idb-keyval';
import { CONTROL_UNITS, type ControlImages } from './control-form.ts';
import {
  type FileProblem,
  type InitPicture,
  type MeasurePicture,
  openPicture,
} from './init-picture.ts';

/** A place for one picture that jobs are made with. */
export interface PictureSlot {
  readonly picture: Signal<InitPicture | null>;
  /** What is wrong with the file that was dropped last. */
  readonly problem: Signal<FileProblem | null>;
  /** False where the browser has no room for it: it is gone after a reload. */
  readonly isKept: Signal<boolean>;
}

export function createPictureSlot(): PictureSlot {
  return {
    picture: signal<InitPicture | null>(null),
    problem: signal<FileProblem | null>(null),
    isKept: signal(true),
  };
}

/** One for each ControlNet unit. */
export function createControlSlots(): readonly PictureSlot[] {
  return CONTROL_UNITS.map(createPictureSlot);
}

/** The pictures as jobs carry them. */
export function controlImages(slots: readonly PictureSlot[]): ControlImages {
  return slots.map(({ picture }) => picture.value?.base64 ?? null);
}

/** Takes a dropped, pasted or chosen file; says why where it cannot, and then keeps the one before. */
export async function takePicture(
  { picture, problem }: PictureSlot,
  file: Blob,
  measure?: MeasurePicture,
): Promise<void> {
  const opened = await openPicture(file, measure);
  batch(() => {
    problem.value = typeof opened === 'string' ? opened : null;
    if (typeof opened !== 'string') picture.value = opened;
  });
}

export function dropPicture({ picture, problem }: PictureSlot): void {
  batch(() => {
    picture.value = null;
    problem.value = null;
  });
}

/** Where pictures are kept over a reload. Every method rejects where the browser refuses storage. */
export interface PictureShelf {
  get(name: string): Promise<unknown>;
  set(name: string, file: Blob): Promise<void>;
  delete(name: string): Promise<void>;
}

/** The shelf of this browser profile, opened at the first use. */
export function browserPictureShelf(): PictureShelf {
  let opened: ReturnType<typeof createStore> | null = null;
  const store = () => {
    opened ??= createStore('easel-create', 'pictures');
    return opened;
  };
  return {
    get: async (name) => get(name, store()),
    set: async (name, file) => set(name, file, store()),
    delete: async (name) => del(name, store()),
  };
}

/**
 * Brings back the picture that a slot had before the reload, unless another one was put there meanwhile, and keeps
 * whatever comes into it. Resolves once that is read.
 */
export async function keepSlot(
  slot: PictureSlot,
  name: string,
  shelf: PictureShelf,
  measure?: MeasurePicture,
): Promise<void> {
  let known: Blob | null = null;
  let isTouched = false;
  effect(() => {
    const file = slot.picture.value?.file ?? null;
    if (file === known) return;
    [known, isTouched] = [file, true];
    const kept = file ? shelf.set(name, file) : shelf.delete(name);
    kept.then(
      () => {
        slot.isKept.value = true;
      },
      () => {
        // Nothing is lost where there is nothing.
        if (file === known) slot.isKept.value = file === null;
      },
    );
  });
  const found = await shelf.get(name).catch(() => null);
  if (!(found instanceof Blob)) return;
  const opened = await openPicture(found, measure);
  if (isTouched || typeof opened === 'string') return;
  known = opened.file;
  slot.picture.value = opened;
}
