import type { Dirent } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import {
  MAX_OUTPUTS_PER_PAGE,
  type OutputDeleted,
  type OutputEntry,
  type OutputPage,
} from '../../protocol/outputs.ts';
import { errorCode } from '../files.ts';
import { type PictureHead, readPictureHead } from './picture-head.ts';

const EXTENSIONS: ReadonlySet<string> = new Set(['.png', '.jpg', '.jpeg', '.webp']);
/** Written beside a picture, and deleted with it. */
const SIDECARS = ['.txt', '.json'] as const;
const MAX_DEPTH = 8;
/** Files read at once for a page of the list. */
const READERS = 8;
/** Heads kept in memory; an infotext is a few hundred bytes. */
const MAX_HEADS = 50_000;

interface FoundPicture {
  readonly path: string;
  readonly savedAt: number;
  readonly sizeBytes: number;
}

/** Runs `work` over all items, a few at once; results are in the items' order. */
async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  const queue = items.entries();
  const reader = async () => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  return results;
}

/** The pictures below the output folder, as the page's gallery lists, shows and deletes them. */
export class OutputLibrary {
  readonly #root: string;
  /** Heads by path and version: a file is read once. */
  readonly #heads = new Map<string, { version: string; head: Promise<PictureHead> }>();

  constructor(root: string) {
    this.#root = root;
  }

  /** One page, newest first: those after the picture with the path `after`, which may be gone by now. */
  async page(after: string | null, limit = MAX_OUTPUTS_PER_PAGE): Promise<OutputPage> {
    const found = await this.#scan();
    found.sort((a, b) => b.savedAt - a.savedAt || (a.path < b.path ? 1 : -1));
    const from = after === null ? 0 : startAfter(found, after);
    const part = found.slice(from, from + limit);
    const pictures = await eachOf(part, (picture) => this.#describe(picture));
    const last = part.at(-1);
    const isEnd = last === undefined || from + part.length >= found.length;
    return { total: found.length, pictures, next: isEnd ? null : cursorOf(last) };
  }

  /** The file of a listed picture; null for every other path, so that none leads out of the folder. */
  async file(path: string): Promise<string | null> {
    return (await this.#isPicture(path)) ? join(this.#root, ...path.split('/')) : null;
  }

  /** Deletes pictures and what was written beside them; what cannot be deleted keeps nobody else. */
  async remove(paths: readonly string[]): Promise<OutputDeleted> {
    const deleted: string[] = [];
    const failed: { path: string; message: string }[] = [];
    for (const path of paths) {
      const file = await this.file(path);
      try {
        if (file === null) throw new Error('There is no such picture in the output folder.');
        await rm(file);
        const base = file.slice(0, -extname(file).length);
        await Promise.all(SIDECARS.map((extension) => rm(base + extension, { force: true })));
        this.#heads.delete(path);
        deleted.push(path);
      } catch (error) {
        failed.push({ path, message: sentence(error) });
      }
    }
    return { deleted, failed };
  }

  async #describe({ path, savedAt, sizeBytes }: FoundPicture): Promise<OutputEntry> {
    const version = `${savedAt}-${sizeBytes}`;
    let known = this.#heads.get(path);
    if (known?.version !== version) {
      if (this.#heads.size >= MAX_HEADS) this.#heads.clear();
      known = { version, head: readPictureHead(join(this.#root, ...path.split('/'))) };
      this.#heads.set(path, known);
    }
    return { path, savedAt, sizeBytes, ...(await known.head) };
  }

  /** All pictures; a folder or file that cannot be read hides no other. Links are not followed. */
  async #scan(): Promise<FoundPicture[]> {
    const paths = await this.#walk([]);
    const found = await eachOf(paths, async (path): Promise<FoundPicture | null> => {
      try {
        const { mtimeMs, size } = await stat(join(this.#root, ...path.split('/')));
        return { path, savedAt: Math.round(mtimeMs), sizeBytes: size };
      } catch {
        return null;
      }
    });
    return found.filter((picture) => picture !== null);
  }

  async #walk(folders: readonly string[]): Promise<string[]> {
    let entries: Dirent[];
    try {
      entries = await readdir(join(this.#root, ...folders), { withFileTypes: true });
    } catch {
      return [];
    }
    const paths: string[] = [];
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue;
      const parts = [...folders, entry.name];
      if (entry.isDirectory() && parts.length < MAX_DEPTH) paths.push(...(await this.#walk(parts)));
      else if (entry.isFile() && hasPictureName(entry.name)) paths.push(parts.join('/'));
    }
    return paths;
  }

  /** Whether a path names a picture that the list would have: step by step, by the folders' own entries. */
  async #isPicture(path: string): Promise<boolean> {
    const parts = path.split('/');
    const name = parts.at(-1) ?? '';
    const isPlain = parts.every((part) => part !== '' && !/^\.|[\\\0]/.test(part));
    if (!isPlain || parts.length > MAX_DEPTH || !hasPictureName(name)) return false;
    for (const [depth, part] of parts.entries()) {
      const isLast = depth === parts.length - 1;
      try {
        const folder = join(this.#root, ...parts.slice(0, depth));
        const entries = await readdir(folder, { withFileTypes: true });
        const entry = entries.find((candidate) => candidate.name === part);
        if (!(isLast ? entry?.isFile() : entry?.isDirectory())) return false;
      } catch {
        return false;
      }
    }
    return true;
  }
}

function hasPictureName(name: string): boolean {
  return EXTENSIONS.has(extname(name).toLowerCase());
}

/** Time first: the place is found also where the picture itself was deleted meanwhile. */
function cursorOf({ savedAt, path }: FoundPicture): string {
  return `${savedAt}:${path}`;
}

function startAfter(sorted: readonly FoundPicture[], cursor: string): number {
  const [, time = '', path = ''] = /^(\d+):(.*)$/s.exec(cursor) ?? [];
  const isAfter = (picture: FoundPicture) =>
    picture.savedAt < Number(time) || (picture.savedAt === Number(time) && picture.path < path);
  const index = sorted.findIndex(isAfter);
  return index < 0 ? sorted.length : index;
}

function sentence(error: unknown): string {
  switch (errorCode(error)) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'The bridge may not delete this file.';
    case 'EBUSY':
      return 'Another program has this file open.';
    default:
      return error instanceof Error && errorCode(error) === ''
        ? error.message
        : 'This file could not be deleted.';
  }
}
