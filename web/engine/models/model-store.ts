import { GenerationError } from '../../../protocol/errors.ts';
import type {
  CompiledComponent,
  CompiledModel,
  ModelDescription,
  WeightSink,
} from '../../compiler/model.ts';
import type { CompiledInfo } from '../../shared/engine.ts';
import { ChunkedSink, chunkPlace } from './chunked-sink.ts';
import { type KeyValueStore, openKeyValueStore } from './key-value-store.ts';
import { holdShared, ifUnlocked } from './locks.ts';
import {
  CHUNK_BYTES,
  chunkSizes,
  MANIFEST_FORMAT,
  type Manifest,
  manifest,
  type SourceFingerprint,
  sourceFingerprint,
} from './manifest.ts';
import { sha256Bytes } from './sha256.ts';
import { ShardBlob } from './shard-blob.ts';
import { browserStorageUse, makeRoom, type StorageUse } from './storage-room.ts';

/** What a manifest says of a model beside the model. */
export type ModelFacts = Pick<Manifest, 'name' | 'sha256' | 'baseKey' | 'origin'>;

/** A model being written: `finish` makes it exist, `discard` leaves nothing behind. */
export interface ModelWriter {
  readonly sink: WeightSink;
  /** SHA-256 of every chunk written so far, by place; what is gathered becomes a chunk. */
  hashes(): Promise<Readonly<Record<string, string>>>;
  finish(model: CompiledModel, about: ModelFacts): Promise<Manifest>;
  discard(): Promise<void>;
}

export interface VerifyOptions {
  /** 0 to 1. */
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Compiled models, kept over restarts. */
export interface ModelStore {
  readonly isPersistent: boolean;
  /** The manifest of a whole model, or null; a model with a missing chunk is deleted and counts as absent. */
  read(key: string): Promise<Manifest | null>;
  /**
   * Whether every byte is what was written; a damaged model is deleted. Hashes each model once in the
   * store's life: a tab that reads the same bytes again need not check them again.
   */
  verify(stored: Manifest, options?: VerifyOptions): Promise<boolean>;
  /** The shards of one component, in order; bytes stay on the disk until they are read. */
  shards(stored: Manifest, component: CompiledComponent): Promise<Blob[]>;
  /** All chunks of a model in the order of its components, shards and bytes; on the disk until read. */
  chunks(stored: Manifest): Promise<Blob[]>;
  /** Deletes models unused for longest until `bytes` fit; rejects with `storage-full` and figures. */
  makeRoom(what: string, bytes: number): Promise<void>;
  write(key: string, options?: { chunkBytes?: number }): ModelWriter;
  /**
   * Deletes LoRA sets over a compiled model, those unused for longest first, until `most` are left;
   * never `except`, nor one that a tab uses.
   */
  keepVariants(baseKey: string, most: number, except: string): Promise<void>;
  /** Keeps with a stored model what was found out about it since, and gives its manifest. */
  describe(stored: Manifest, description: ModelDescription): Promise<Manifest>;
  /** Keeps a model from being deleted by any tab until the returned function is called. */
  use(key: string): Promise<() => void>;
  list(): Promise<CompiledInfo[]>;
  /** Deletes a model; rejects with `busy` while a tab uses it. */
  delete(key: string): Promise<void>;
  /** Remembers when a model was last loaded. */
  touch(key: string): Promise<void>;
  readFingerprint(source: string): Promise<SourceFingerprint | null>;
  writeFingerprint(source: string, fingerprint: SourceFingerprint): Promise<void>;
  /** Removes what no manifest knows, as a killed tab leaves it, and models of an older format. */
  removeOrphans(): Promise<number>;
  close(): void;
}

export interface ModelStoreOptions {
  /** Smaller in tests alone. */
  readonly chunkBytes?: number;
  readonly storageUse?: () => Promise<StorageUse | null>;
}

const manifestKey = (key: string) => `manifest:${key}`;
const usedKey = (key: string) => `used:${key}`;
const fingerprintKey = (source: string) => `source:${source}`;
const chunkKey = (key: string, place: string) => `chunk:${key}:${place}`;

/** The lock that a tab holds while it writes a model. */
export const writeLock = (key: string) => `easel-compile:${key}`;
/** The lock that tabs share while they use a model. */
const useLock = (key: string) => `easel-use:${key}`;

/** Chunks hashed at once; each is in memory meanwhile. */
const VERIFY_AT_ONCE = 2;

function componentChunks(key: string, component: CompiledComponent, chunkBytes: number) {
  return component.shardSizes.flatMap((shardBytes, shard) =>
    chunkSizes(shardBytes, chunkBytes).map((sizeBytes, index) => {
      const place = chunkPlace(component.name, shard, index);
      return { key: chunkKey(key, place), place, shard, sizeBytes };
    }),
  );
}

export async function openModelStore(): Promise<ModelStore> {
  return createModelStore(await openKeyValueStore('easel-models'));
}

/** The store over any key-value store. */
export function createModelStore(
  entries: KeyValueStore,
  { chunkBytes = CHUNK_BYTES, storageUse = browserStorageUse }: ModelStoreOptions = {},
): ModelStore {
  const verified = new Set<string>();
  /** How often this tab uses a model: locks are missing on plain-http pages. */
  const uses = new Map<string, number>();

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

  async function chunksOf(stored: Manifest, component: CompiledComponent): Promise<Blob[][]> {
    const shards = await readChunks(stored, component);
    if (shards) return shards;
    await remove(stored.key);
    throw new GenerationError(
      'storage-full',
      `The browser removed a part of the compiled ${component.name} of ${stored.name}. Start the job again: the model is compiled anew.`,
    );
  }

  /** Keys of the LoRA sets over a compiled model, that used last first. */
  async function variantsOf(baseKey: string): Promise<string[]> {
    const found: { key: string; used: number }[] = [];
    for (const name of await entries.keys()) {
      if (!name.startsWith('manifest:')) continue;
      const stored = await readManifest(name.slice('manifest:'.length));
      if (stored?.baseKey !== baseKey) continue;
      const used = await entries.get(usedKey(stored.key));
      found.push({ key: stored.key, used: typeof used === 'number' ? used : stored.createdAt });
    }
    return found.sort((a, b) => b.used - a.used).map(({ key }) => key);
  }

  /** Removes a model, and what lies over it. */
  async function remove(key: string): Promise<void> {
    for (const variant of await variantsOf(key)) await removeOne(variant);
    await removeOne(key);
  }

  async function removeOne(key: string): Promise<void> {
    verified.delete(key);
    // The manifest first: from then on the model does not exist, even if the rest is cut short.
    await entries.delete([manifestKey(key)]);
    const prefix = `chunk:${key}:`;
    const rest = (await entries.keys()).filter((entry) => entry.startsWith(prefix));
    await entries.delete([...rest, usedKey(key)]);
  }

  /** Removes a model that no tab uses; false when one does. */
  async function removeUnused(key: string): Promise<boolean> {
    if (uses.has(key)) return false;
    return ifUnlocked(useLock(key), () => remove(key));
  }

  async function list(): Promise<CompiledInfo[]> {
    const found: CompiledInfo[] = [];
    for (const name of await entries.keys()) {
      if (!name.startsWith('manifest:')) continue;
      const stored = await readManifest(name.slice('manifest:'.length));
      if (!stored) continue;
      const { key, sizeBytes, createdAt, model } = stored;
      const used = await entries.get(usedKey(key));
      found.push({
        ...{ key, name: stored.name, sizeBytes, createdAt },
        family: model.description.family,
        precision: model.components.find((part) => part.name === 'unet')?.precision ?? 'fp32',
        lastUsedAt: typeof used === 'number' ? used : createdAt,
        isInUse: uses.has(key),
        isExportable: stored.origin !== undefined,
      });
    }
    return found.sort((a, b) => b.lastUsedAt - a.lastUsedAt);
  }

  async function bytesByUse(): Promise<{ unusedBytes: number; usedBytes: number }> {
    const sum = { unusedBytes: 0, usedBytes: 0 };
    for (const { key, sizeBytes } of await list()) {
      const isFree = !uses.has(key) && (await ifUnlocked(useLock(key), async () => {}));
      sum[isFree ? 'unusedBytes' : 'usedBytes'] += sizeBytes;
    }
    return sum;
  }

  /** Deletes the model unused for longest and gives its size; 0 when none may go. */
  async function evictOne(except?: string): Promise<number> {
    for (const { key, name, sizeBytes } of (await list()).reverse()) {
      if (key === except || !(await removeUnused(key))) continue;
      console.info(`The compiled ${name} made room: it was unused for longest.`);
      return sizeBytes;
    }
    return 0;
  }

  /** Stores a chunk; where the browser is full after all, models unused for longest make room. */
  async function setChunk(key: string, place: string, chunk: Blob): Promise<void> {
    for (;;) {
      try {
        return await entries.set(chunkKey(key, place), chunk);
      } catch (error) {
        const isFull = error instanceof GenerationError && error.code === 'storage-full';
        if (!isFull || !(await evictOne(key))) throw error;
      }
    }
  }

  async function isWhole(stored: Manifest, options: VerifyOptions): Promise<boolean> {
    const { onProgress = () => {}, signal } = options;
    const chunks = stored.model.components.flatMap((component) =>
      componentChunks(stored.key, component, stored.chunkBytes),
    );
    let next = 0;
    let doneBytes = 0;
    let isGood = true;
    const work = async () => {
      for (let chunk = chunks[next++]; chunk && isGood; chunk = chunks[next++]) {
        signal?.throwIfAborted();
        const value = await entries.get(chunk.key);
        if ((await sha256OfStored(value)) !== stored.chunkSha256[chunk.place]) {
          isGood = false;
          return;
        }
        doneBytes += chunk.sizeBytes;
        onProgress(doneBytes / stored.sizeBytes);
      }
    };
    await Promise.all(Array.from({ length: VERIFY_AT_ONCE }, work));
    return isGood;
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
    async verify(stored, options = {}) {
      if (verified.has(stored.key)) return true;
      if (await isWhole(stored, options)) {
        verified.add(stored.key);
        return true;
      }
      await remove(stored.key);
      return false;
    },
    async shards(stored, component) {
      return (await chunksOf(stored, component)).map((chunks) => new ShardBlob(chunks));
    },
    async chunks(stored) {
      const all: Blob[] = [];
      for (const component of stored.model.components) {
        all.push(...(await chunksOf(stored, component)).flat());
      }
      return all;
    },
    makeRoom: (what, bytes) =>
      makeRoom({ what, bytes, storageUse, compiled: bytesByUse, evictOne: () => evictOne() }),
    write(key, { chunkBytes: size = chunkBytes } = {}) {
      const store = (place: string, chunk: Blob) => setChunk(key, place, chunk);
      const sink = new ChunkedSink({ chunkBytes: size, store });
      return {
        sink,
        async hashes() {
          await sink.flush();
          return sink.hashes;
        },
        async finish(model, { name, sha256, baseKey, origin }) {
          await sink.flush();
          const written: Manifest = {
            formatVersion: MANIFEST_FORMAT,
            key,
            name,
            sha256,
            ...(baseKey === undefined ? {} : { baseKey }),
            ...(origin === undefined ? {} : { origin }),
            sizeBytes: sink.sizeBytes,
            chunkBytes: size,
            chunkSha256: sink.hashes,
            createdAt: Date.now(),
            model,
          };
          await entries.set(usedKey(key), written.createdAt);
          await entries.set(manifestKey(key), written, { durable: true });
          verified.add(key);
          return written;
        },
        async discard() {
          // What is on its way into the store would else come after the deletion.
          await sink.settled();
          await remove(key);
        },
      };
    },
    async keepVariants(baseKey, most, except) {
      const others = (await variantsOf(baseKey)).filter((key) => key !== except);
      for (const key of others.slice(Math.max(0, most - 1))) await removeUnused(key);
    },
    async describe(stored, description) {
      const changed = { ...stored, model: { ...stored.model, description } };
      // One value is written whole or not at all; a model deleted meanwhile stays deleted.
      if (await readManifest(stored.key)) {
        await entries.set(manifestKey(stored.key), changed, { durable: true });
      }
      return changed;
    },
    async use(key) {
      const release = await holdShared(useLock(key));
      uses.set(key, (uses.get(key) ?? 0) + 1);
      let isHeld = true;
      return () => {
        if (!isHeld) return;
        isHeld = false;
        const left = (uses.get(key) ?? 1) - 1;
        if (left > 0) uses.set(key, left);
        else uses.delete(key);
        release();
      };
    },
    list,
    async delete(key) {
      if (await removeUnused(key)) return;
      throw new GenerationError(
        'busy',
        'This compiled model is in use. Unload it, or close the tab that works with it, and delete it then.',
      );
    },
    touch: (key) => entries.set(usedKey(key), Date.now()),
    async readFingerprint(source) {
      const parsed = sourceFingerprint.safeParse(await entries.get(fingerprintKey(source)));
      return parsed.success ? parsed.data : null;
    },
    writeFingerprint: (source, fingerprint) => entries.set(fingerprintKey(source), fingerprint),
    async removeOrphans() {
      const names = await entries.keys();
      const kept = new Set<string>();
      for (const name of names) {
        if (!name.startsWith('manifest:')) continue;
        if (isReadable(await entries.get(name))) kept.add(name.slice('manifest:'.length));
      }
      const orphans = new Map<string, string[]>();
      for (const name of names) {
        const [kind = '', key = ''] = name.split(':');
        if (!['manifest', 'chunk', 'used'].includes(kind) || kept.has(key)) continue;
        orphans.set(key, [...(orphans.get(key) ?? []), name]);
      }
      let removed = 0;
      for (const [key, unwanted] of orphans) {
        // Another tab may be writing this very model.
        await ifUnlocked(writeLock(key), async () => {
          // It may also have finished since the list was made.
          if (await readManifest(key)) return;
          await entries.delete(unwanted);
          removed += unwanted.length;
        });
      }
      return removed;
    },
    close: () => entries.close(),
  };
}

/** True for a manifest of ours, and for one of a newer page, which is not ours to delete. */
function isReadable(value: unknown): boolean {
  if (manifest.safeParse(value).success) return true;
  const version = (value as { formatVersion?: unknown } | null | undefined)?.formatVersion;
  return typeof version === 'number' && version > MANIFEST_FORMAT;
}

/** The hash of a stored chunk; its bytes are let go before the next chunk is read. */
async function sha256OfStored(value: unknown): Promise<string | null> {
  const bytes = value instanceof Blob ? await readBlob(value) : null;
  return bytes && (await sha256Bytes(bytes));
}

/** A Blob's bytes, or null where the disk does not give them. */
async function readBlob(blob: Blob): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (error) {
    console.warn('A stored piece of a model cannot be read.', error);
    return null;
  }
}
