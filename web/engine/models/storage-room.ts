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
  /** Bytes of compiled models that may go, and of those in use, which never do. */
  readonly compiled: () => Promise<{ readonly unusedBytes: number; readonly usedBytes: number }>;
  /** Deletes the model unused for longest and gives its size; 0 when none may go. */
  readonly evictOne: () => Promise<number>;
}

/**
 * Sees to it that a model fits before its first byte is written, and deletes those unused for longest
 * where it does not. Rejects with `storage-full` and the figures when it cannot; nothing is deleted then.
 */
export async function makeRoom(options: MakeRoomOptions): Promise<void> {
  const { what, bytes, storageUse, compiled, evictOne } = options;
  const use = await storageUse();
  if (!use) return;
  let free = use.quotaBytes - use.usedBytes;
  const needed = neededRoom(bytes);
  if (free >= needed) return;
  const { unusedBytes, usedBytes } = await compiled();
  const short = () => {
    const others = usedBytes > 0 ? ` Compiled models in use (${gigabytes(usedBytes)}) stay.` : '';
    return new GenerationError(
      'storage-full',
      `${what} takes ${gigabytes(bytes)} when compiled and needs ${gigabytes(needed)} of free browser storage, but ${gigabytes(Math.max(0, free))} of ${gigabytes(use.quotaBytes)} are free.${others} Delete compiled models or pictures that are not needed, or free disk space, and try again.`,
    );
  };
  if (free + unusedBytes < needed) throw short();
  while (free < needed) {
    // Counted here: the browser's own figure falls some time after a deletion.
    const freed = await evictOne();
    if (freed === 0) throw short();
    free += freed;
  }
}
