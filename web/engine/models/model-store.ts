import { GenerationError } from '../../../protocol/errors.ts';
import type { CompiledComponent, CompiledModel, WeightSink } from '../../compiler/model.ts';
import { type KeyValueStore, openKeyValueStore } from './key-value-store.ts';
import { ifUnlocked } from './locks.ts';
import {
  CHUNK_BYTES,
  chunkSizes,
  type Manifest,
  manifest,
  type SourceFingerprint,
  sourceFingerprint,
} from './manifest.ts';

/** One compiled model in the store, as the page's cache view shows it. */
export interface StoredModel {
  readonly key: string;
  readonly name: string;
  readonly precision: CompiledComponent['precision'];
  readonly sizeBytes: number;
  readonly createdAt: number;
  /** Milliseconds since 1970. */
  readonly lastUsedAt: number;
}

/** A model being written: `finish` makes it exist, `discard` leaves nothing behind. */
export interface ModelWriter {
  readonly sink: WeightSink;
  finish(model: CompiledModel, about: { name: string; sha256: string }): Promise<Manifest>;
  discard(): Promise<void>;
}

/** Compiled models, kept over restarts. */
export interface ModelStore {
  readonly isPersistent: boolean;
  /** The manifest of a whole model, or null; a model with a missing chunk is deleted and counts as absent. */
  read(key: string): Promise<Manifest | null>;
  /** The shards of one component, in order; bytes stay on the disk until they are read. */
  shards(stored: Manifest, component: CompiledComponent): Promise<Blob[]>;
  write(key: string): ModelWriter;
  list(): Promise<StoredModel[]>;
  delete(key: string): Promise<void>;
  /** Remembers when a model was last loaded. */
  touch(key: string): Promise<void>;
  readFingerprint(source: string): Promise<SourceFingerprint | null>;
  writeFingerprint(source: string, fingerprint: SourceFingerprint): Promise<void>;
  /** Removes chunks that no manifest knows: what a killed tab left. */
  removeOrphans(): Promise<number>;
  close(): void;
}

const manifestKey = (key: string) => `manifest:${key}`;
const usedKey = (key: string) => `used:${key}`;
const fingerprintKey = (source: string) => `source:${source}`;
const chunkKey = (key: string, component: string, shard: number, index: number) =>
  `chunk:${key}:${component}:${shard}:${index}`;

/** The lock that a tab holds while it writes a model. */
export const writeLock = (key: string) => `easel-compile:${key}`;

function componentChunks(key: string, component: CompiledComponent, chunkBytes: number) {
  return component.shardSizes.flatMap((shardBytes, shard) =>
    chunkSizes(shardBytes, chunkBytes).map((sizeBytes, index) => ({
      key: chunkKey(key, component.name, shard, index),
      shard,
      sizeBytes,
    })),
  );
}

export async function openModelStore(): Promise<ModelStore> {
  return createModelStore(await openKeyValueStore('easel-models'));
}

/** The store over any key-value store; `chunkBytes` is smaller in tests alone. */
export function createModelStore(
  entries: KeyValueStore,
  { chunkBytes = CHUNK_BYTES }: { chunkBytes?: number } = {},
): ModelStore {
  async function readManifest(key: string): Promise<Manifest | null> {
    const parsed = manifest.safeParse(await entries.get(manifestKey(key)));
    return parsed.success ? parsed.data : null;
  }

  /** The chunks' Blobs, or null when one is missing or of another size (an evicted or foreign store). */
  async function readChunks(stored: Manifest, component: CompiledComponent) {
    const chunks = componentChunks(stored.key, component, stored.chunkBytes);
    const values = await entries.getMany(chunks.map((chunk) => chunk.key));
    const blobs: Blob[][] = component.shardSizes.map(() => []);
    for (const [place, chunk] of chunks.entries()) {
      const value = values[place];
      if (!(value instanceof Blob) || value.size !== chunk.sizeBytes) return null;
      blobs[chunk.shard]?.push(value);
    }
    return blobs;
  }

  async function remove(key: string): Promise<void> {
    // The manifest first: from then on the model does not exist, even if the rest is cut short.
    await entries.delete([manifestKey(key)]);
    const prefix = `chunk:${key}:`;
    const rest = (await entries.keys()).filter((entry) => entry.startsWith(prefix));
    await entries.delete([...rest, usedKey(key)]);
  }

  return {
    isPersistent: entries.isPersistent,
    async read(key) {
      const stored = await readManifest(key);
      if (!stored) return null;
      for (const component of stored.model.components) {
        if (await readChunks(stored, component)) continue;
        await remove(key);
        return null;
      }
      return stored;
    },
    async shards(stored, component) {
      const shards = await readChunks(stored, component);
      if (!shards) {
        await remove(stored.key);
        throw new GenerationError(
          'storage-full',
          `The browser removed a part of the compiled ${component.name} of ${stored.name}. Start the job again: the model is compiled anew.`,
        );
      }
      return shards.map((chunks) => new Blob(chunks));
    },
    write(key) {
      const sink = new ChunkedSink(entries, key, chunkBytes);
      return {
        sink,
        async finish(model, { name, sha256 }) {
          await sink.flush();
          const written: Manifest = {
            formatVersion: 1,
            key,
            name,
            sha256,
            sizeBytes: sink.sizeBytes,
            chunkBytes,
            createdAt: Date.now(),
            model,
          };
          await entries.set(usedKey(key), written.createdAt);
          await entries.set(manifestKey(key), written, { durable: true });
          return written;
        },
        discard: () => remove(key),
      };
    },
    async list() {
      const names = await entries.keys();
      const found: StoredModel[] = [];
      for (const name of names) {
        if (!name.startsWith('manifest:')) continue;
        const stored = await readManifest(name.slice('manifest:'.length));
        if (!stored) continue;
        const used = await entries.get(usedKey(stored.key));
        found.push({
          key: stored.key,
          name: stored.name,
          precision: stored.model.components[0]?.precision ?? 'fp32',
          sizeBytes: stored.sizeBytes,
          createdAt: stored.createdAt,
          lastUsedAt: typeof used === 'number' ? used : stored.createdAt,
        });
      }
      return found;
    },
    delete: remove,
    touch: (key) => entries.set(usedKey(key), Date.now()),
    async readFingerprint(source) {
      const parsed = sourceFingerprint.safeParse(await entries.get(fingerprintKey(source)));
      return parsed.success ? parsed.data : null;
    },
    writeFingerprint: (source, fingerprint) => entries.set(fingerprintKey(source), fingerprint),
    async removeOrphans() {
      const names = await entries.keys();
      const whole = new Set(
        names.filter((name) => name.startsWith('manifest:')).map((name) => name.slice(9)),
      );
      const orphans = new Map<string, string[]>();
      for (const name of names) {
        const [kind, key = ''] = name.split(':');
        if (kind !== 'chunk' || whole.has(key)) continue;
        orphans.set(key, [...(orphans.get(key) ?? []), name]);
      }
      let removed = 0;
      for (const [key, chunks] of orphans) {
        // Another tab may be writing this very model.
        await ifUnlocked(writeLock(key), async () => {
          await entries.delete(chunks);
          removed += chunks.length;
        });
      }
      return removed;
    },
    close: () => entries.close(),
  };
}

/** Cuts what the compiler writes into chunks; one chunk is in memory at a time. */
class ChunkedSink implements WeightSink {
  sizeBytes = 0;
  readonly #entries: KeyValueStore;
  readonly #key: string;
  readonly #chunkBytes: number;
  #component = '';
  #shard = 0;
  #index = 0;
  #buffer = new Uint8Array(0);
  #used = 0;

  constructor(entries: KeyValueStore, key: string, chunkBytes: number) {
    this.#entries = entries;
    this.#key = key;
    this.#chunkBytes = chunkBytes;
  }

  async beginShard(component: string, shard: number): Promise<void> {
    await this.flush();
    this.#component = component;
    this.#shard = shard;
    this.#index = 0;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length; ) {
      if (this.#used === this.#chunkBytes) await this.flush();
      const taken = Math.min(bytes.length - offset, this.#chunkBytes - this.#used);
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
    const key = chunkKey(this.#key, this.#component, this.#shard, this.#index);
    // A Blob's bytes leave the JavaScript heap once they are stored.
    await this.#entries.set(key, new Blob([this.#buffer.subarray(0, this.#used)]));
    this.#index += 1;
    this.#used = 0;
  }

  /** Doubles up to the chunk size: small components need no 64 MiB. */
  #reserve(bytes: number): void {
    if (this.#buffer.length >= bytes) return;
    const size = Math.min(this.#chunkBytes, Math.max(bytes, 2 * this.#buffer.length, 2 ** 20));
    const larger = new Uint8Array(size);
    larger.set(this.#buffer.subarray(0, this.#used));
    this.#buffer = larger;
  }
}
