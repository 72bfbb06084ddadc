import { beforeEach, describe, expect, test } from 'vitest';
import {
  createMemoryStore,
  type KeyValueStore,
} from '../../../web/engine/models/key-value-store.ts';
import { createModelStore, type ModelStore } from '../../../web/engine/models/model-store.ts';
import { COMPILED_MODEL, SHARDS, writeModel } from './stored-model.ts';

const CHUNK = 100;

let entries: KeyValueStore;
let store: ModelStore;

beforeEach(() => {
  entries = createMemoryStore();
  store = createModelStore(entries, { chunkBytes: CHUNK });
});

const write = (key: string) => writeModel(store, key);

const chunkKeys = async () => (await entries.keys()).filter((key) => key.startsWith('chunk:'));

describe('the store of compiled models', () => {
  test('gives back what was written, byte for byte', async () => {
    await write('k');
    const stored = await store.read('k');
    expect(stored?.model).toEqual(COMPILED_MODEL);
    expect(stored?.sizeBytes).toBe(280);
    const shards = await store.shards(stored!, stored!.model.components[0]!);
    const bytes = await Promise.all(shards.map(async (b) => new Uint8Array(await b.arrayBuffer())));
    expect(bytes).toEqual(SHARDS);
  });

  test('D3 no value is larger than a chunk', async () => {
    await write('k');
    const sizes = [];
    for (const key of await chunkKeys()) sizes.push(((await entries.get(key)) as Blob).size);
    expect(sizes).toEqual([100, 100, 50, 30]);
  });

  test('D6 a model does not exist before its manifest', async () => {
    const writer = store.write('k');
    await writer.sink.beginShard('unet', 0);
    await writer.sink.write(SHARDS[0]!);
    expect(await store.read('k')).toBeNull();
    expect(await store.list()).toEqual([]);
    expect(await chunkKeys()).not.toEqual([]);
    await writer.discard();
    expect(await entries.keys()).toEqual([]);
  });

  test('what a killed tab left is removed, whole models are not', async () => {
    await write('whole');
    const writer = store.write('cut');
    await writer.sink.beginShard('unet', 0);
    await writer.sink.write(SHARDS[0]!);
    expect(await store.removeOrphans()).toBe(2);
    expect((await chunkKeys()).every((key) => key.startsWith('chunk:whole:'))).toBe(true);
    expect(await store.read('whole')).not.toBeNull();
  });

  test.each([
    ['is missing', async () => entries.delete(['chunk:k:unet:0:1'])],
    ['has another size', async () => entries.set('chunk:k:unet:0:1', new Blob(['short']))],
    ['is no Blob', async () => entries.set('chunk:k:unet:0:1', 'text')],
  ])('a model of which a chunk %s counts as absent and leaves nothing', async (_, harm) => {
    await write('k');
    await harm();
    expect(await store.read('k')).toBeNull();
    expect(await entries.keys()).toEqual([]);
  });

  test('D5 a chunk evicted after the manifest was read is said, and the rest removed', async () => {
    await write('k');
    const stored = (await store.read('k'))!;
    await entries.delete(['chunk:k:unet:1:0']);
    await expect(store.shards(stored, stored.model.components[0]!)).rejects.toMatchObject({
      code: 'storage-full',
    });
    expect(await store.read('k')).toBeNull();
  });

  test('a manifest of another shape counts as absent', async () => {
    await write('k');
    const stored = (await entries.get('manifest:k')) as Record<string, unknown>;
    await entries.set('manifest:k', { ...stored, formatVersion: 99 });
    expect(await store.read('k')).toBeNull();
    await entries.set('manifest:k', 'garbage');
    expect(await store.list()).toEqual([]);
  });

  test('lists models with size and last use, and deletes one', async () => {
    await write('a');
    await write('b');
    await store.touch('a');
    const [first] = await store.list();
    expect(first).toMatchObject({ key: 'a', name: 'a model', precision: 'fp32', sizeBytes: 280 });
    expect(first!.lastUsedAt).toBeGreaterThanOrEqual(first!.createdAt);
    await store.delete('a');
    expect((await store.list()).map(({ key }) => key)).toEqual(['b']);
    expect(await store.read('b')).not.toBeNull();
  });

  test('a failing write is passed on and leaves nothing after discard', async () => {
    let writes = 0;
    const failing: KeyValueStore = {
      ...entries,
      async set(key, value, options) {
        if (key.startsWith('chunk:') && ++writes > 2) throw new Error('no room');
        await entries.set(key, value, options);
      },
    };
    const writer = createModelStore(failing, { chunkBytes: CHUNK }).write('k');
    await writer.sink.beginShard('unet', 0);
    await writer.sink.write(SHARDS[0]!);
    await expect(writer.finish(COMPILED_MODEL, { name: 'x', sha256: '' })).rejects.toThrow(
      'no room',
    );
    await writer.discard();
    expect(await entries.keys()).toEqual([]);
  });

  test('remembers the hashes of a source under its version', async () => {
    const files = [{ path: 'a.safetensors', sha256: '0'.repeat(64) }];
    await store.writeFingerprint('url|v1', { files });
    expect(await store.readFingerprint('url|v1')).toEqual({ files });
    expect(await store.readFingerprint('url|v2')).toBeNull();
    await entries.set('source:url|v1', { files: 'x' });
    expect(await store.readFingerprint('url|v1')).toBeNull();
  });
});
