import { gigabytes, neededRoom } from '../../../protocol/downloads/room.ts';
import { GenerationError } from '../../../protocol/errors.ts';

/** The browser's storage of this origin, in bytes; compiled models and the gallery share it. */
export interface StorageUse {
  readonly usedBytes: number;
  readonly quotaBytes: number;
}

/** Asks the browser; null where it does not say (plain-http pages). */
export async function browserStorageUse(): Promise<StorageUse | null> {
  const estimate = await globalThis.navigator?.storage?.estimate?.().catch(() => null);
  if (!estimate?.quota || estimate.usage === undefined) return null;
  return { usedBytes: estimate.usage, quotaBytes: estimate.quota };
}

export interface MakeRoomOptions {
  /** The model's name. */
  readonly what: string;
  readonly bytes: number;
  readonly storageUse: () => Promise<StorageUse | null>;
  /** Deletes the model unused for longest and gives its size; 0 when none may go. */
  readonly evictOne: () => Promise<number>;
}

/**
 * Sees to it that a model fits before its first byte is written, and deletes those unused for longest
 * where it does not. Rejects with `storage-full` and the figures when it cannot.
 */
export async function makeRoom(options: MakeRoomOptions): Promise<void> {
  const { what, bytes, storageUse, evictOne } = options;
  const use = await storageUse();
  if (!use) return;
  let free = use.quotaBytes - use.usedBytes;
  while (free < neededRoom(bytes)) {
    // Counted here: the browser's own figure falls some time after a deletion.
    const freed = await evictOne();
    free += freed;
    if (freed > 0) continue;
    throw new GenerationError(
      'storage-full',
      `${what} takes ${gigabytes(bytes)} when compiled and needs ${gigabytes(neededRoom(bytes))} of free browser storage, but ${gigabytes(Math.max(0, free))} of ${gigabytes(use.quotaBytes)} are free. Delete compiled models or pictures that are not needed, or free disk space, and try again.`,
    );
  }
}
