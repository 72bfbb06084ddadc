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

/** Cuts what the compiler writes into chunks and hashes them; one chunk is in memory at a time. */
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

  constructor(options: ChunkedSinkOptions) {
    this.#options = options;
  }

  async beginShard(component: string, shard: number): Promise<void> {
    await this.flush();
    this.#component = component;
    this.#shard = shard;
    this.#index = 0;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { chunkBytes } = this.#options;
    for (let offset = 0; offset < bytes.length; ) {
      if (this.#used === chunkBytes) await this.flush();
      const taken = Math.min(bytes.length - offset, chunkBytes - this.#used);
      this.#reserve(this.#used + taken);
      this.#buffer.set(bytes.subarray(offset, offset + taken), this.#used);
      this.#used += taken;
      offset += taken;
    }
    this.sizeBytes += bytes.length;
  }

  /** Stores the chunk at hand; does nothing when it is empty. */
  async flush(): Promise<void> {
    if (this.#used === 0) return;
    const place = chunkPlace(this.#component, this.#shard, this.#index);
    const bytes = this.#buffer.subarray(0, this.#used);
    // A Blob's bytes leave the JavaScript heap once they are stored; the hash is taken meanwhile.
    const stored = this.#options.store(place, new Blob([bytes]));
    const [sha256] = await Promise.all([sha256Bytes(bytes), stored]);
    this.hashes[place] = sha256;
    this.#index += 1;
    this.#used = 0;
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
