import { createStore, del, getMany, setMany } from 'idb-keyval';
import { z } from 'zod';
import { GENERATION_LIMITS } from '../../../protocol/generation.ts';
import type { Size } from './viewport.ts';

export const LAYERS = ['picture', 'paint', 'mask'] as const;
export type LayerName = (typeof LAYERS)[number];

/** What is on the canvas: its size in pixels and a PNG of each layer. */
export interface SavedCanvas extends Size {
  readonly layers: Readonly<Record<LayerName, Blob>>;
}

/** Where the canvas is kept over a reload. Every method rejects where the browser refuses storage. */
export interface EditStore {
  /** Null where nothing is kept, or what is kept cannot be read. */
  load(): Promise<SavedCanvas | null>;
  save(canvas: SavedCanvas): Promise<void>;
  clear(): Promise<void>;
}

/** The part of a database that is used: `setAll` writes everything or nothing. */
export interface EditShelf {
  getAll(keys: readonly string[]): Promise<readonly unknown[]>;
  setAll(entries: ReadonlyArray<readonly [string, unknown]>): Promise<void>;
  delete(key: string): Promise<void>;
}

const side = z.int().min(1).max(GENERATION_LIMITS.maxSide);
const savedSize = z.object({ width: side, height: side });
const SIZE_KEY = 'size';

/** A store on a shelf; size and layers are written together, so that they always fit each other. */
export function createEditStore(shelf: EditShelf): EditStore {
  return {
    async load() {
      const [size, picture, paint, mask] = await shelf.getAll([SIZE_KEY, ...LAYERS]);
      const parsed = savedSize.safeParse(size);
      const isWhole =
        picture instanceof Blob && paint instanceof Blob && mask instanceof Blob && parsed.success;
      return isWhole ? { ...parsed.data, layers: { picture, paint, mask } } : null;
    },
    async save({ width, height, layers }) {
      const entries = LAYERS.map((name) => [name, layers[name]] as const);
      await shelf.setAll([[SIZE_KEY, { width, height }], ...entries]);
    },
    clear: () => shelf.delete(SIZE_KEY),
  };
}

/** The shelf of this browser profile, opened at the first use. */
export function browserEditShelf(): EditShelf {
  let opened: ReturnType<typeof createStore> | null = null;
  const store = () => {
    opened ??= createStore('easel-edit', 'canvas');
    return opened;
  };
  return {
    getAll: async (keys) => getMany([...keys], store()),
    setAll: async (entries) =>
      setMany(
        entries.map(([key, value]) => [key, value]),
        store(),
      ),
    delete: async (key) => del(key, store()),
  };
}
