import { describe, expect, it } from 'vitest';
import { createEditStore, type EditShelf } from '../../../web/page/edit/edit-store.ts';

/** A shelf in memory that can refuse. */
function mapShelf() {
  const values = new Map<string, unknown>();
  const shelf: EditShelf = {
    getAll: async (keys) => keys.map((key) => values.get(key)),
    async setAll(entries) {
      for (const [key, value] of entries) values.set(key, value);
    },
    async delete(key) {
      values.delete(key);
    },
  };
  return { values, store: createEditStore(shelf) };
}

const blob = (text: string) => new Blob([text], { type: 'image/png' });
const CANVAS = {
  width: 640,
  height: 512,
  layers: { picture: blob('picture'), paint: blob('paint'), mask: blob('mask') },
};

describe('the kept canvas', () => {
  it('comes back as it was', async () => {
    const { store } = mapShelf();
    expect(await store.load()).toBeNull();
    await store.save(CANVAS);
    const loaded = await store.load();
    expect([loaded?.width, loaded?.height]).toEqual([640, 512]);
    expect(await loaded?.layers.paint.text()).toBe('paint');
  });

  it('is gone once it was cleared', async () => {
    const { store } = mapShelf();
    await store.save(CANVAS);
    await store.clear();
    expect(await store.load()).toBeNull();
  });

  it('is passed over where something of it is missing or makes no sense', async () => {
    for (const [key, value] of [
      ['size', { width: 1e9, height: 5 }],
      ['size', 'wide'],
      ['mask', undefined],
      ['picture', 'a text'],
    ] as const) {
      const { store, values } = mapShelf();
      await store.save(CANVAS);
      values.set(key, value);
      expect(await store.load()).toBeNull();
    }
  });
});
