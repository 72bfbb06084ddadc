import { createStore, delMany, entries, get, set } from 'idb-keyval';
import { z } from 'zod';
import type { Picture, PictureInfo } from './picture.ts';

/** Some pictures could not be deleted; the others are gone. */
export class NotRemoved extends Error {
  /** Ids of those that are still there. */
  readonly kept: readonly string[];

  constructor(kept: readonly string[]) {
    super(`${kept.length} pictures were not deleted`);
    this.name = 'NotRemoved';
    this.kept = kept;
  }
}

/** A shelf of values by id; IndexedDB in the browser, a map in tests. */
export interface Shelf {
  get(id: string): Promise<unknown>;
  set(id: string, value: unknown): Promise<void>;
  delete(ids: readonly string[]): Promise<void>;
  entries(): Promise<ReadonlyArray<readonly [string, unknown]>>;
}

export interface GalleryShelves {
  readonly index: Shelf;
  readonly files: Shelf;
  readonly thumbs: Shelf;
}

/** The pictures that this browser keeps. Every method rejects where the browser refuses storage. */
export interface GalleryStore {
  /** All pictures, newest first; records that cannot be read are left out and counted. */
  list(): Promise<{ pictures: readonly PictureInfo[]; unreadable: number }>;
  /** Keeps a picture; its record is written last, so that no record lacks its file. */
  keep(picture: Picture, thumb: Blob | null): Promise<void>;
  file(id: string): Promise<Blob | null>;
  thumb(id: string): Promise<Blob | null>;
  remove(ids: readonly string[]): Promise<void>;
}

const pictureInfo = z.object({
  id: z.string().min(1),
  createdAt: z.number(),
  fileName: z.string(),
  sizeBytes: z.number(),
  infotext: z.string(),
  prompt: z.string(),
  negativePrompt: z.string(),
  seed: z.number(),
  width: z.number(),
  height: z.number(),
  steps: z.number(),
  guidanceScale: z.number(),
  sampler: z.string(),
  scheduler: z.string(),
  checkpoint: z.string().nullable(),
}) satisfies z.ZodType<PictureInfo>;

function asBlob(value: unknown): Blob | null {
  return value instanceof Blob ? value : null;
}

/** A gallery on three shelves: the list is read without touching a picture. */
export function createGalleryStore({ index, files, thumbs }: GalleryShelves): GalleryStore {
  return {
    async list() {
      const records = await index.entries();
      const pictures = records.flatMap(([, value]) => {
        const parsed = pictureInfo.safeParse(value);
        return parsed.success ? [parsed.data] : [];
      });
      pictures.sort((a, b) => b.createdAt - a.createdAt);
      return { pictures, unreadable: records.length - pictures.length };
    },
    async keep({ info, file }, thumb) {
      try {
        await files.set(info.id, file);
        if (thumb) await thumbs.set(info.id, thumb);
        await index.set(info.id, info);
      } catch (error) {
        // Half a picture would take space that nobody sees.
        await Promise.allSettled([files.delete([info.id]), thumbs.delete([info.id])]);
        throw error;
      }
    },
    async file(id) {
      return asBlob(await files.get(id));
    },
    async thumb(id) {
      return asBlob(await thumbs.get(id));
    },
    async remove(ids) {
      await index.delete(ids);
      await Promise.all([files.delete(ids), thumbs.delete(ids)]);
    },
  };
}

/** A store that calls `onChange` after every change, so that other tabs can be told. */
export function withChanges(store: GalleryStore, onChange: () => void): GalleryStore {
  return {
    ...store,
    async keep(picture, thumb) {
      await store.keep(picture, thumb);
      onChange();
    },
    async remove(ids) {
      await store.remove(ids);
      onChange();
    },
  };
}

function browserShelf(name: string): Shelf {
  // idb-keyval gives every store a database of its own; opened at the first use.
  let store: ReturnType<typeof createStore> | null = null;
  const open = () => {
    store ??= createStore(`easel-gallery-${name}`, name);
    return store;
  };
  return {
    get: async (id) => get(id, open()),
    set: async (id, value) => set(id, value, open()),
    delete: async (ids) => delMany([...ids], open()),
    entries: async () => entries<string, unknown>(open()),
  };
}

/** Small pictures of the bridge's saved ones, kept apart from this browser's own. */
export function outputThumbs(): Shelf {
  return browserShelf('output-thumbs');
}

/** The shelves of this browser profile. */
export function browserShelves(): GalleryShelves {
  return {
    index: browserShelf('index'),
    files: browserShelf('files'),
    thumbs: browserShelf('thumbs'),
  };
}
