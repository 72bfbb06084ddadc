import { randomBytes } from 'node:crypto';
import {
  appendFile,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Byproduct } from '../../protocol/byproducts.ts';
import { writeExifText } from '../../protocol/exif-text.ts';
import { dayFolder, pictureStem } from '../../protocol/file-name.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary, JobImage } from '../../protocol/job.ts';
import { writePngText } from '../../protocol/png-text.ts';
import { errorCode, syncFolder, writeFileWhole } from '../files.ts';
import type { OutputStore, PictureSaving } from '../services.ts';
import { CSV_HEADER, csvRow, sidecar } from './details.ts';
import { fillPattern, type NameFacts, safeParts } from './name-pattern.ts';

export interface OutputStoreOptions {
  /** Folder of the dated folders. */
  readonly root: string;
  /** Write a JSON file beside each picture and a line into the day's `imgs_details.csv`. */
  readonly savesMetadata: boolean;
  readonly now?: () => Date;
}

/** What a JPEG's EXIF segment holds; a longer infotext is cut. */
const MAX_EXIF_CHARACTERS = 32_000;

/** Numbers tried for a name that is taken. */
const MAX_NUMBER = 9_999;

/** Gives a finished file its name unless that is taken; false when it is. */
async function claimName(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
    await rm(temporary);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
  }
  // A file system without hard links: reserve the name, then put the file over it.
  try {
    await (await open(path, 'wx')).close();
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
  await rename(temporary, path);
  return true;
}

/** The file with an infotext where A1111 puts it. */
function writeInfotext(
  file: Uint8Array<ArrayBuffer>,
  format: JobImage['format'],
  infotext: string,
): Promise<Uint8Array> | Uint8Array {
  if (infotext === '') return file;
  return format === 'png'
    ? writePngText(file, { parameters: infotext })
    : writeExifText(file, infotext.slice(0, MAX_EXIF_CHARACTERS));
}

async function holds(path: string, bytes: Uint8Array): Promise<boolean> {
  const { size } = await stat(path);
  return size === bytes.length && (await readFile(path)).equals(bytes);
}

/** Folders below the root and the name without number and extension. Patterns that leave nothing are as none. */
function nameOf(facts: NameFacts, saving: PictureSaving | undefined) {
  const { image, params, at } = facts;
  const fill = (pattern: string | null | undefined) =>
    pattern ? safeParts(fillPattern(pattern, facts)) : [];
  const own = pictureStem(at, image.prompt, image.seed);
  const parts = fill(saving?.file);
  const stem = parts.pop() ?? (params.mode === 'grid' ? `${own}_grid` : own);
  const asked = fill(saving?.folder);
  const folders = saving?.folder === null || asked.length > 0 ? asked : [dayFolder(at)];
  return { folders: [...folders, ...parts], stem };
}

/** Writes pictures into dated folders; each is there whole or not at all. */
export class FileOutputStore implements OutputStore {
  readonly #root: string;
  readonly #savesMetadata: boolean;
  readonly #now: () => Date;

  constructor({ root, savesMetadata, now = () => new Date() }: OutputStoreOptions) {
    this.#root = root;
    this.#savesMetadata = savesMetadata;
    this.#now = now;
  }

  get root(): string {
    return this.#root;
  }

  get folder(): string {
    return join(this.#root, dayFolder(this.#now()));
  }

  async save(
    image: JobImage,
    params: GenerationParams,
    summary: GenerationSummary,
    {
      isRedo = false,
      after,
      saving,
    }: { isRedo?: boolean; after?: Promise<unknown>; saving?: PictureSaving | undefined } = {},
  ): Promise<string> {
    const bytes = Buffer.from(image.data, 'base64');
    const { maxPromptWords } = saving ?? {};
    const facts = { image, params, summary, bytes, at: this.#now(), maxPromptWords };
    const { folders, stem } = nameOf(facts, saving);
    const folder = join(this.#root, ...folders);
    await mkdir(folder, { recursive: true });
    if (isRedo) {
      const before = await this.#findSaved(folder, image, bytes);
      if (before) return before;
    }
    const path = await this.#write(folder, stem, image.format, bytes, after);
    const base = path.slice(0, -image.format.length - 1);
    if (saving?.hasText && image.infotext !== '') {
      await writeFileWhole(`${base}.txt`, `${image.infotext}\n`, { mode: 0o644 });
    }
    for (const byproduct of this.#chosen(image, saving)) {
      await this.#saveByproduct(base, byproduct, image, params);
    }
    if (this.#savesMetadata) {
      await writeFileWhole(`${base}.json`, sidecar(image, params, summary), { mode: 0o644 });
      await this.#appendCsv(folder, csvRow(image, params, summary, path));
    }
    return path;
  }

  #chosen({ byproducts = [] }: JobImage, saving: PictureSaving | undefined): Byproduct[] {
    // A map that no preprocessor made is the client's own picture.
    return byproducts.filter(
      ({ kind, module }) => saving?.byproducts?.includes(kind) && module !== 'none',
    );
  }

  /** Writes a byproduct beside its picture, named after it, with the picture's infotext. */
  async #saveByproduct(
    base: string,
    { kind, module, format, data }: Byproduct,
    { infotext }: JobImage,
    params: GenerationParams,
  ): Promise<void> {
    const file = Buffer.from(data, 'base64');
    const bytes = params.embedsInfotext ? await writeInfotext(file, format, infotext) : file;
    const stem = `${basename(base)}-${kind === 'control-map' ? module : kind}`;
    await this.#write(dirname(base), stem, format, bytes, undefined);
  }

  async #write(
    folder: string,
    stem: string,
    format: string,
    bytes: Uint8Array,
    after: Promise<unknown> | undefined,
  ): Promise<string> {
    const temporary = join(folder, `.${randomBytes(6).toString('hex')}.tmp`);
    try {
      const handle = await open(temporary, 'wx', 0o644);
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await after;
      for (let number = 1; number <= MAX_NUMBER; number += 1) {
        const suffix = number === 1 ? '' : `_${number}`;
        const path = join(folder, `${stem}${suffix}.${format}`);
        if (await claimName(temporary, path)) {
          await syncFolder(folder);
          return path;
        }
      }
    } finally {
      await rm(temporary, { force: true });
    }
    throw new Error(`there are ${MAX_NUMBER} pictures called ${stem} already`);
  }

  /** The file of an earlier, interrupted save of this very picture. */
  async #findSaved(folder: string, image: JobImage, bytes: Uint8Array): Promise<string | null> {
    for (const name of await readdir(folder)) {
      if (!name.endsWith(`.${image.format}`)) continue;
      const path = join(folder, name);
      if (await holds(path, bytes)) return path;
    }
    return null;
  }

  async #appendCsv(folder: string, row: string): Promise<void> {
    const path = join(folder, 'imgs_details.csv');
    let isNew = false;
    try {
      isNew = (await stat(path)).size === 0;
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
      isNew = true;
    }
    await appendFile(path, isNew ? CSV_HEADER + row : row, { mode: 0o644 });
  }
}
