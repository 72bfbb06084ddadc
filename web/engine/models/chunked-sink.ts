import type { WeightSink } from '../../compiler/model.ts';
import { sha256Bytes } from './sha256.ts';

/** Where a chunk belongs in its model: `component:shard:index`, part of its key in the store. */
export function chunkPlace(component: string, shard: number, index: number): string {
  return `${component}:${shard}:${index}`;
}

export interface ChunkedSinkOptions {
  readonly chunkBytes: number;
  /** Stores one chunk; resolves when it is written. */
  readonly store: (place: string, chunk: Blob) => Promise<void>;
}

/**
 * Cuts what the compiler writes into chunks, hashes and stores them. A chunk is stored while the next one
 * fills, and no third one begins: two are in memory at most.
 */
export class ChunkedSink implements WeightSink {
  sizeBytes = 0;
  /** SHA-256 of every chunk stored so far, by place. */
  readonly hashes: Record<string, string> = {};
  readonly #options: ChunkedSinkOptions;
  #component = '';
  #shard = 0;
  #index = 0;
  #buffer = new Uint8Array(0);
  #used = 0;
  /** The chunk that is being stored. */
  #storing: Promise<void> = Promise.resolve();

  constructor(options: ChunkedSinkOptions) {
    this.#options = options;
  }

  async beginShard(component: string, shard: number): Promise<void> {
    await this.#cut();
    this.#component = component;
    this.#shard = shard;
    this.#index = 0;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { chunkBytes } = this.#options;
    for (let offset = 0; offset < bytes.length; ) {
      if (this.#used === chunkBytes) await this.#cut();
      const taken = Math.min(bytes.length - offset, chunkBytes - this.#used);
      this.#reserve(this.#used + taken);
      this.#buffer.set(bytes.subarray(offset, offset + taken), this.#used);
      this.#used += taken;
      offset += taken;
    }
    this.sizeBytes += bytes.length;
  }

  /** Stores the chunk at hand and waits until every chunk is stored. */
  async flush(): Promise<void> {
    await this.#cut();
    await this.#storing;
  }

  /** Waits until nothing is being stored, whether that succeeded or not. */
  async settled(): Promise<void> {
    await this.#storing.catch(() => {});
  }

  /** Begins to store the chunk at hand, once the one before it is stored; rejects where that one failed. */
  async #cut(): Promise<void> {
    if (this.#used === 0) return;
    await this.#storing;
    const place = chunkPlace(this.#component, this.#shard, this.#index);
    this.#storing = this.#store(place, this.#buffer.subarray(0, this.#used));
    // A failure is told by the next chunk, or by `flush`.
    this.#storing.catch(() => {});
    this.#index += 1;
    this.#used = 0;
  }

  /** Blob and digest take their copies before anything is awaited: the buffer is free for the next chunk. */
  async #store(place: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const stored = this.#options.store(place, new Blob([bytes]));
    const [sha256] = await Promise.all([sha256Bytes(bytes), stored]);
    this.hashes[place] = sha256;
  }

  /** Doubles up to the chunk size: small components need no 64 MiB. */
  #reserve(bytes: number): void {
    if (this.#buffer.length >= bytes) return;
    const { chunkBytes } = this.#options;
    const size = Math.min(chunkBytes, Math.max(bytes, 2 * this.#buffer.length, 2 ** 20));
    const larger = new Uint8Array(size);
    larger.set(this.#buffer.subarray(0, this.#used));
    this.#buffer = larger;
  }
}
