import type { PartFile } from '../../../protocol/downloads/transfer.ts';
import type { KeyValueStore } from '../models/key-value-store.ts';
import { createSha256 } from '../models/sha256.ts';

/** No value is larger; what a killed tab has to fetch again is less than this. */
export const PIECE_BYTES = 16 * 2 ** 20;

export interface PieceFileOptions {
  readonly store: KeyValueStore;
  /** Keys of the pieces are this and their number. */
  readonly prefix: string;
  readonly etag: string | null;
  readonly saveEtag: (etag: string | null) => Promise<void>;
  readonly pieceBytes?: number;
}

/** Keys of a file's pieces that are stored, in their order up to the first gap. */
export async function pieceKeys(store: KeyValueStore, prefix: string): Promise<string[]> {
  const known = new Set((await store.keys()).filter((key) => key.startsWith(prefix)));
  const keys: string[] = [];
  while (known.has(`${prefix}${keys.length}`)) keys.push(`${prefix}${keys.length}`);
  return keys;
}

/**
 * A file's bytes as Blobs in the browser's storage; the last piece grows until it is full. Pieces behind a gap, which
 * the browser tore, are kept: a write that fills the gap passes over them and drops what it has of them.
 */
export async function openPieceFile(options: PieceFileOptions): Promise<PartFile> {
  const { store, prefix, saveEtag, pieceBytes = PIECE_BYTES } = options;
  const tail = new Uint8Array(pieceBytes);
  let etag = options.etag;
  let fullPieces = 0;
  let tailBytes = 0;
  let isFlushed = true;

  const key = (number: number) => `${prefix}${number}`;
  /** Numbers of the pieces that were stored before; those behind the first gap are met again when it is filled. */
  const before = (await store.keys())
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)));
  const put = (bytes: Uint8Array<ArrayBuffer>) => store.set(key(fullPieces), new Blob([bytes]));

  /** Passes over pieces that are stored; one that is not full is the one to go on with. */
  async function passStored(): Promise<void> {
    for (;;) {
      const piece = await store.get(key(fullPieces));
      if (!(piece instanceof Blob) || piece.size > pieceBytes) return;
      if (piece.size < pieceBytes) {
        tail.set(new Uint8Array(await piece.arrayBuffer()));
        tailBytes = piece.size;
        return;
      }
      fullPieces += 1;
    }
  }

  async function flush(): Promise<void> {
    if (!isFlushed && tailBytes > 0) await put(tail.slice(0, tailBytes));
    isFlushed = true;
  }

  await passStored();
  return {
    get heldBytes() {
      return fullPieces * pieceBytes + tailBytes;
    },
    get etag() {
      return etag;
    },
    get gapEnd() {
      const behind = before.filter((number) => number > fullPieces);
      return behind.length === 0 ? null : Math.min(...behind) * pieceBytes;
    },
    async begin(given) {
      etag = given;
      await saveEtag(given);
    },
    async write(bytes) {
      for (let offset = 0; offset < bytes.length; ) {
        const taken = Math.min(bytes.length - offset, pieceBytes - tailBytes);
        tail.set(bytes.subarray(offset, offset + taken), tailBytes);
        tailBytes += taken;
        offset += taken;
        isFlushed = false;
        if (tailBytes < pieceBytes) continue;
        await put(tail.slice());
        fullPieces += 1;
        tailBytes = 0;
        isFlushed = true;
        const next = fullPieces;
        await passStored();
        if (fullPieces > next || tailBytes > 0) return;
      }
    },
    flush,
    async restart() {
      const stored = (await store.keys()).filter((name) => name.startsWith(prefix));
      if (stored.length > 0) await store.delete(stored);
      before.length = 0;
      fullPieces = 0;
      tailBytes = 0;
      isFlushed = true;
      etag = null;
      await saveEtag(null);
    },
    async sha256(onProgress, signal) {
      const hash = await createSha256();
      let done = 0;
      for (const name of await pieceKeys(store, prefix)) {
        signal.throwIfAborted();
        const piece = await store.get(name);
        if (!(piece instanceof Blob)) break;
        hash.update(new Uint8Array(await piece.arrayBuffer()));
        done += piece.size;
        onProgress(done);
      }
      return hash.digest();
    },
    close: flush,
  };
}
