import { afterEach, describe, expect, test, vi } from 'vitest';
import { neededRoom } from '../../../protocol/downloads/room.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import {
  createMemoryStore,
  type KeyValueStore,
} from '../../../web/engine/models/key-value-store.ts';
import { createModelStore } from '../../../web/engine/models/model-store.ts';
import { SHARDS, shardBytes, writeModel } from './stored-model.ts';

const GB = 1e9;

/** A disk of which every chunk counts, and that is full beyond `quota`. */
function limitedDisk(quota: number) {
  const disk = createMemoryStore();
  const used = async () => {
    const values = await disk.getMany(await disk.keys());
    return values.reduce<number>((sum, value) => sum + (value instanceof Blob ? value.size : 0), 0);
  };
  const entries: KeyValueStore = {
    ...disk,
    async set(key, value, options) {
      if (value instanceof Blob && (await used()) + value.size > quota) {
        throw new GenerationError('storage-full', 'no room');
      }
      await disk.set(key, value, options);
    },
  };
  return { entries, storageUse: async () => ({ usedBytes: await used(), quotaBytes: quota }) };
}

/** Web Locks of which `held` are taken by other tabs. */
function stubLocks(held: readonly string[]) {
  const request = async (name: string, ...rest: unknown[]) => {
    const [options, task] = rest.length === 2 ? rest : [{}, rest[0]];
    const isTaken = held.includes(name) && (options as LockOptions).mode !== 'shared';
    return (task as (lock: object | null) => unknown)(isTaken ? null : { name });
  };
  vi.stubGlobal('navigator', { locks: { request } });
}

afterEach(() => vi.unstubAllGlobals());

describe('room for a compiled model', () => {
  const full = { usedBytes: 9 * GB, quotaBytes: 10 * GB };

  test('D4 is asked for before the first byte, with figures', async () => {
    const entries = createMemoryStore();
    const store = createModelStore(entries, { storageUse: async () => full });
    await expect(store.makeRoom('dreamshaper_8', 2 * GB)).rejects.toMatchObject({
      code: 'storage-full',
      message: expect.stringContaining(
        'dreamshaper_8 takes 2.0 GB when compiled and needs 2.6 GB of free browser storage, but 1.0 GB of 10.0 GB are free.',
      ),
    });
    await expect(store.makeRoom('small', 0.4 * GB)).resolves.toBeUndefined();
    expect(await entries.keys()).toEqual([]);
  });

  test('has a margin of 500 MB, and of its own size below that', () => {
    expect(neededRoom(2 * GB)).toBe(1.05 * 2 * GB + 500e6);
    expect(neededRoom(1e6)).toBe(2.05e6);
  });

  test('is not asked for where the browser does not say', async () => {
    const store = createModelStore(createMemoryStore(), { storageUse: async () => null });
    await expect(store.makeRoom('any', 100 * GB)).resolves.toBeUndefined();
  });

  test('is made by deleting what was unused for longest, and no more than that', async () => {
    vi.spyOn(console, 'info').mockImplementation(() => {});
    const { entries, storageUse } = limitedDisk(1000);
    const store = createModelStore(entries, { chunkBytes: 100, storageUse });
    for (const key of ['old', 'older', 'recent']) await writeModel(store, key);
    for (const [key, at] of [
      ['older', 1],
      ['old', 2],
      ['recent', 3],
    ] as const) {
      await entries.set(`used:${key}`, at);
    }
    await store.makeRoom('new', 200);
    expect((await store.list()).map(({ key }) => key)).toEqual(['recent', 'old']);
  });

  test('is made once, though the browser tells of deletions late', async () => {
    vi.spyOn(console, 'info').mockImplementation(() => {});
    const storageUse = async () => ({ usedBytes: 840, quotaBytes: 1000 });
    const store = createModelStore(createMemoryStore(), { chunkBytes: 100, storageUse });
    for (const key of ['a', 'b', 'c']) await writeModel(store, key);
    await store.makeRoom('new', 200);
    expect(await store.list()).toHaveLength(2);
  });

  test('is never made of a model in use, in this tab or another', async () => {
    vi.spyOn(console, 'info').mockImplementation(() => {});
    const { entries, storageUse } = limitedDisk(900);
    const store = createModelStore(entries, { chunkBytes: 100, storageUse });
    for (const key of ['mine', 'theirs', 'free']) await writeModel(store, key);
    stubLocks(['easel-use:theirs']);
    const release = await store.use('mine');
    await expect(store.makeRoom('new', 400)).rejects.toMatchObject({
      code: 'storage-full',
      message: expect.stringMatching(/Compiled models in use \(1 MB\) stay\. Delete compiled/),
    });
    const left = async () => (await store.list()).map(({ key }) => key).sort();
    // What would not have been enough was not deleted for nothing.
    expect(await left()).toEqual(['free', 'mine', 'theirs']);
    await store.makeRoom('new', 160);
    expect(await left()).toEqual(['mine', 'theirs']);
    for (const key of ['mine', 'theirs']) {
      await expect(store.delete(key)).rejects.toMatchObject({ code: 'busy' });
    }
    release();
    release();
    await store.delete('mine');
    expect(await left()).toEqual(['theirs']);
  });

  test('is made when the browser is full while writing', async () => {
    vi.spyOn(console, 'info').mockImplementation(() => {});
    const { entries } = limitedDisk(500);
    const store = createModelStore(entries, { chunkBytes: 100, storageUse: async () => null });
    await writeModel(store, 'before');
    const stored = await writeModel(store, 'k');
    expect((await store.list()).map(({ key }) => key)).toEqual(['k']);
    expect(await shardBytes(store, stored)).toEqual(SHARDS);
  });

  test('D4 that cannot be made fails the write, and a discard leaves earlier models whole', async () => {
    const { entries } = limitedDisk(500);
    const store = createModelStore(entries, { chunkBytes: 100, storageUse: async () => null });
    const before = await writeModel(store, 'before');
    await store.use('before');
    const writer = store.write('k');
    await writer.sink.beginShard('unet', 0);
    await expect(writer.sink.write(new Uint8Array(600))).rejects.toMatchObject({
      code: 'storage-full',
    });
    await writer.discard();
    expect(await store.verify(before)).toBe(true);
    expect((await entries.keys()).every((key) => key.includes('before'))).toBe(true);
  });
});

describe('what is stored', () => {
  const OPTIONS = { chunkBytes: 100, storageUse: async () => null };

  test.each([
    [
      'one flipped bit',
      async (chunk: Blob) => {
        const bytes = new Uint8Array(await chunk.arrayBuffer());
        bytes[3]! ^= 1;
        return new Blob([bytes]);
      },
    ],
    [
      'a Blob whose file is gone',
      async (chunk: Blob) =>
        Object.assign(new Blob([new Uint8Array(chunk.size)]), {
          arrayBuffer: () => Promise.reject(new DOMException('gone', 'NotReadableError')),
        }),
    ],
  ])('is found damaged by %s, and deleted', async (_, harm) => {
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    const entries = createMemoryStore();
    await writeModel(createModelStore(entries, OPTIONS), 'k');
    const key = 'chunk:k:unet:0:2';
    await entries.set(key, await harm((await entries.get(key)) as Blob));
    // Another tab's life: what was just written is not checked again.
    const store = createModelStore(entries, OPTIONS);
    const stored = (await store.read('k'))!;
    expect(await store.verify(stored)).toBe(false);
    expect(await entries.keys()).toEqual([]);
  });

  test("is hashed once in a tab's life, with progress up to the whole", async () => {
    const disk = createMemoryStore();
    await writeModel(createModelStore(disk, OPTIONS), 'k');
    let reads = 0;
    const countReads = (key: string) => {
      reads += 1;
      return disk.get(key);
    };
    const entries = { ...disk, get: countReads };
    const store = createModelStore(entries, OPTIONS);
    const stored = (await store.read('k'))!;
    const progress: number[] = [];
    expect(await store.verify(stored, { onProgress: (done) => progress.push(done) })).toBe(true);
    expect(progress.at(-1)).toBe(1);
    const before = reads;
    expect(await store.verify(stored)).toBe(true);
    expect(reads).toBe(before);
  });

  test('by an older format is removed, by a newer page left alone', async () => {
    const entries = createMemoryStore();
    const store = createModelStore(entries, OPTIONS);
    for (const [key, formatVersion] of [
      ['old', 1],
      ['new', 99],
    ] as const) {
      const stored = await writeModel(store, key);
      await entries.set(`manifest:${key}`, { ...stored, formatVersion });
    }
    await store.removeOrphans();
    const keys = await entries.keys();
    expect(keys.some((key) => key.includes(':old'))).toBe(false);
    expect(keys.filter((key) => key.includes(':new'))).toHaveLength(6);
    expect(await store.list()).toEqual([]);
  });

  test('by a tab that writes now is no orphan', async () => {
    const entries = createMemoryStore();
    const store = createModelStore(entries, OPTIONS);
    const writer = store.write('k');
    await writer.sink.beginShard('unet', 0);
    await writer.sink.write(SHARDS[0]!);
    stubLocks(['easel-compile:k']);
    expect(await store.removeOrphans()).toBe(0);
    expect(await entries.keys()).toHaveLength(2);
  });
});
