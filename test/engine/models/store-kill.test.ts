import { describe, expect, test } from 'vitest';
import {
  createMemoryStore,
  type KeyValueStore,
} from '../../../web/engine/models/key-value-store.ts';
import { createModelStore } from '../../../web/engine/models/model-store.ts';
import { COMPILED_MODEL, SHARDS, shardBytes, writeModel } from './stored-model.ts';

/** A tab that dies at its change number `at`: that change and all after it never reach the disk. */
function dyingAt(
  disk: KeyValueStore,
  at: number,
): { entries: KeyValueStore; changes: () => number } {
  let changes = 0;
  const change = async (apply: () => Promise<void>) => {
    changes += 1;
    if (changes >= at) throw new Error('killed');
    await apply();
  };
  return {
    changes: () => changes,
    entries: {
      ...disk,
      set: (key, value, options) => change(() => disk.set(key, value, options)),
      delete: (keys) => change(() => disk.delete(keys)),
    },
  };
}

const OPTIONS = { chunkBytes: 100, storageUse: async () => null };

/** What the next tab must find, whatever the one before left. */
async function expectSound(disk: KeyValueStore): Promise<'whole' | 'absent'> {
  const store = createModelStore(disk, OPTIONS);
  await store.removeOrphans();
  const stored = await store.read('k');
  if (!stored) {
    expect(await disk.keys()).toEqual([]);
    expect(await store.list()).toEqual([]);
    return 'absent';
  }
  expect(await store.verify(stored)).toBe(true);
  expect(await shardBytes(store, stored)).toEqual(SHARDS);
  return 'whole';
}

describe('a tab that is killed', () => {
  test('D6 while it writes leaves a whole model or none, and no bytes behind', async () => {
    const outcomes = new Set<string>();
    for (let at = 1; ; at++) {
      const disk = createMemoryStore();
      const { entries, changes } = dyingAt(disk, at);
      const written = await writeModel(createModelStore(entries, OPTIONS), 'k').catch(() => null);
      outcomes.add(await expectSound(disk));
      // Whatever was left, the model can be written now.
      await writeModel(createModelStore(disk, OPTIONS), 'k');
      expect(await expectSound(disk)).toBe('whole');
      if (!written) continue;
      // Four chunks, the time of use, the manifest.
      expect(changes()).toBe(6);
      break;
    }
    expect(outcomes).toEqual(new Set(['absent', 'whole']));
  });

  test('D6 while it deletes leaves a whole model or none, and no bytes behind', async () => {
    for (let at = 1; at < 10; at++) {
      const disk = createMemoryStore();
      await writeModel(createModelStore(disk, OPTIONS), 'k');
      const { entries } = dyingAt(disk, at);
      const store = createModelStore(entries, OPTIONS);
      const isDone = await store.delete('k').then(
        () => true,
        () => false,
      );
      expect(await expectSound(disk)).toBe(at === 1 ? 'whole' : 'absent');
      if (isDone) break;
    }
  });

  test('leaves nothing that a model of another key needs', async () => {
    const disk = createMemoryStore();
    const store = createModelStore(disk, OPTIONS);
    await writeModel(store, 'other');
    const { entries } = dyingAt(disk, 3);
    await writeModel(createModelStore(entries, OPTIONS), 'k').catch(() => null);
    expect(await store.removeOrphans()).toBe(2);
    expect(await shardBytes(store, (await store.read('other'))!)).toEqual(SHARDS);
    expect(COMPILED_MODEL.components).toHaveLength(1);
  });
});
