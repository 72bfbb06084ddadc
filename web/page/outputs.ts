import { z } from 'zod';
import { ENGINE_TOKEN_HEADER } from '../../protocol/downloads/download-view.ts';
import {
  MAX_OUTPUTS_PER_PAGE,
  OUTPUTS_PATH,
  type OutputEntry,
  outputDeleted,
  outputPage,
} from '../../protocol/outputs.ts';
import { TOKEN_PATH } from '../../protocol/relay.ts';
import type { BridgeApi } from './bridge-api.ts';
import { type GalleryStore, NotRemoved, type Shelf } from './gallery-store.ts';
import type { PictureInfo } from './picture.ts';
import { formOfInfotext } from './png-info.ts';

const ID_START = 'output:';

/** Whether a picture lies in the bridge's output folder rather than in this browser. */
export function isOutput(id: string): boolean {
  return id.startsWith(ID_START);
}

function pathOf(id: string): string {
  return id.slice(ID_START.length);
}

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  png: 'image/png',
  webp: 'image/webp',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
};

/** A saved picture as the gallery has it; what its file does not tell is 0 or empty. */
export function infoOfOutput(entry: OutputEntry): PictureInfo {
  const form = entry.infotext === '' ? {} : formOfInfotext(entry.infotext);
  const number = (text: string | undefined) => Number(text ?? 0) || 0;
  return {
    id: ID_START + entry.path,
    createdAt: entry.savedAt,
    fileName: entry.path.split('/').at(-1) ?? entry.path,
    sizeBytes: entry.sizeBytes,
    infotext: entry.infotext,
    prompt: form.prompt ?? '',
    negativePrompt: form.negativePrompt ?? '',
    seed: number(form.seed),
    width: entry.width ?? number(form.width),
    height: entry.height ?? number(form.height),
    steps: number(form.steps),
    guidanceScale: number(form.guidanceScale),
    sampler: form.sampler ?? '',
    scheduler: form.scheduler ?? '',
    checkpoint: form.checkpoint || null,
  };
}

/** The saved pictures of the bridge. */
export interface OutputStore {
  /** All of them, newest first, told page by page. */
  list(onPage: (pictures: readonly PictureInfo[]) => void): Promise<void>;
  file(id: string): Promise<Blob | null>;
  thumb(id: string): Promise<Blob | null>;
  /** Rejects with `NotRemoved` where some are still there. */
  remove(ids: readonly string[]): Promise<void>;
}

const engineToken = z.object({ token: z.string() });

export interface OutputStoreOptions {
  /** Keeps small pictures: the bridge has none. */
  readonly thumbs: Shelf;
  readonly makeThumb: (file: Blob) => Promise<Blob | null>;
}

export function createOutputStore(
  api: BridgeApi,
  { thumbs, makeThumb }: OutputStoreOptions,
): OutputStore {
  async function file(id: string): Promise<Blob | null> {
    const path = pathOf(id);
    const type = MEDIA_TYPES[path.split('.').at(-1)?.toLowerCase() ?? ''] ?? '';
    const address = `${OUTPUTS_PATH}/files/${encodeURIComponent(path)}`;
    return new Blob([await api.bytes(address)], { type });
  }

  /** Drawn anew where the shelf has none; a browser that refuses storage shows them all the same. */
  async function thumb(id: string): Promise<Blob | null> {
    const kept = await thumbs.get(id).catch(() => null);
    if (kept instanceof Blob) return kept;
    const whole = await file(id);
    const made = whole && (await makeThumb(whole));
    if (made) await thumbs.set(id, made).catch(() => {});
    return made ?? whole;
  }

  return {
    async list(onPage) {
      let next: string | null = null;
      do {
        const query: string = next === null ? '' : `?after=${encodeURIComponent(next)}`;
        const page = await api.get(OUTPUTS_PATH + query, outputPage);
        onPage(page.pictures.map(infoOfOutput));
        next = page.next;
      } while (next !== null);
    },
    file,
    thumb,
    async remove(ids) {
      const { token } = await api.get(TOKEN_PATH, engineToken);
      const headers = { [ENGINE_TOKEN_HEADER]: token };
      const kept: string[] = [];
      for (let from = 0; from < ids.length; from += MAX_OUTPUTS_PER_PAGE) {
        const part = ids.slice(from, from + MAX_OUTPUTS_PER_PAGE);
        const body = { paths: part.map(pathOf) };
        const { failed } = await api.send(`${OUTPUTS_PATH}/delete`, body, outputDeleted, {
          headers,
        });
        kept.push(...failed.map(({ path }) => ID_START + path));
      }
      await thumbs.delete(ids).catch(() => {});
      if (kept.length > 0) throw new NotRemoved(kept);
    },
  };
}

/** One store over both places: an id tells where its picture lies. */
export function withOutputs(store: GalleryStore, outputs: OutputStore): GalleryStore {
  const placeOf = (id: string) => (isOutput(id) ? outputs : store);
  return {
    ...store,
    file: (id) => placeOf(id).file(id),
    thumb: (id) => placeOf(id).thumb(id),
    async remove(ids) {
      const own = ids.filter((id) => !isOutput(id));
      if (own.length > 0) await store.remove(own);
      const saved = ids.filter(isOutput);
      if (saved.length === 0) return;
      try {
        await outputs.remove(saved);
      } catch (error) {
        throw error instanceof NotRemoved ? error : new NotRemoved(saved);
      }
    },
  };
}
