import { z } from 'zod';
import { type ModelListing, modelListing } from '../../../protocol/catalog.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import { openCheckpoint } from '../../compiler/checkpoint.ts';
import type { ByteSource } from '../../compiler/model.ts';
import type { LocalFile } from '../../shared/engine.ts';
import { createBlobSource } from './blob-source.ts';
import { type FileGroup, groupFiles } from './group-files.ts';
import type { KeyValueStore } from './key-value-store.ts';
import { findCheckpoint, type ModelSources } from './sources.ts';

/** Sources that checkpoints of the user's own disk can be added to. */
export interface LocalModelSources extends ModelSources {
  /**
   * Adds the checkpoints among these files after a look at their headers. They are listed after a reload
   * too; what is compiled of them needs the files no more. Rejects with the first checkpoint's problem.
   */
  add(files: readonly LocalFile[]): Promise<readonly ModelListing[]>;
  /** Forgets an added checkpoint; what is compiled of it stays. */
  remove(name: string): Promise<void>;
}

/** An added checkpoint over reloads; a handle where the browser gave one, in the order of the files. */
const record = z.object({ listing: modelListing, handles: z.array(z.unknown()) });

const RECORD = 'checkpoint:';

type FileHandle = Pick<FileSystemFileHandle, 'getFile'>;

/** Lists added checkpoints behind those of `base`; `open` opens the store that remembers them. */
export function createLocalSources(
  base: ModelSources,
  open: () => Promise<KeyValueStore>,
): LocalModelSources {
  let entries: Promise<KeyValueStore> | null = null;
  /** Files of this tab's life, by listing url. */
  const files = new Map<string, readonly LocalFile[]>();
  let records: readonly z.infer<typeof record>[] = [];

  function store(): Promise<KeyValueStore> {
    entries ??= open();
    return entries;
  }

  async function readRecords(): Promise<void> {
    const opened = await store();
    const keys = (await opened.keys()).filter((key) => key.startsWith(RECORD)).sort();
    records = (await opened.getMany(keys)).flatMap((value) => {
      const parsed = record.safeParse(value);
      return parsed.success ? [parsed.data] : [];
    });
  }

  function listed(): ModelListing[] {
    return records.map(({ listing }) => listing);
  }

  /** The name, or with a number behind it where another source has it. */
  function freeName(name: string): string {
    const taken = new Set(base.listings.map((listing) => listing.name.toLowerCase()));
    if (!taken.has(name.toLowerCase())) return name;
    for (let number = 2; ; number += 1) {
      const numbered = `${name} (${number})`;
      if (!taken.has(numbered.toLowerCase())) return numbered;
    }
  }

  function toSources(listing: ModelListing, handles: readonly unknown[]): ByteSource[] {
    const chosen = files.get(listing.url);
    return listing.files.map(({ path, sizeBytes }, index) => {
      const file = chosen?.[index]?.file;
      const openFile = async () => file ?? (await reopen(path, sizeBytes, handles[index]));
      return createBlobSource(path, sizeBytes, openFile);
    });
  }

  async function addGroup(group: FileGroup): Promise<ModelListing> {
    const name = freeName(group.name);
    const listing = toListing(name, group);
    const handles = group.files.map(({ handle }) => handle ?? null);
    const before = files.get(listing.url);
    files.set(listing.url, group.files);
    try {
      await openCheckpoint({ name, files: toSources(listing, handles) });
    } catch (error) {
      if (before) files.set(listing.url, before);
      else files.delete(listing.url);
      throw error;
    }
    await (await store()).set(`${RECORD}${name}`, { listing, handles }, { durable: true });
    return listing;
  }

  return {
    get listings() {
      return [...base.listings, ...listed()];
    },
    async refresh() {
      const [found] = await Promise.all([base.refresh(), readRecords()]);
      return [...found, ...listed()];
    },
    find: (name) => base.find(name) ?? findCheckpoint(listed(), name),
    open(listing) {
      const known = records.find((each) => each.listing.url === listing.url);
      if (listing.source !== 'browser' || !known) return base.open(listing);
      return { name: listing.name, files: toSources(listing, known.handles) };
    },
    async add(chosen) {
      const added: ModelListing[] = [];
      try {
        for (const group of groupFiles(chosen)) added.push(await addGroup(group));
      } finally {
        await readRecords();
      }
      return added;
    },
    async remove(name) {
      const known = records.find(({ listing }) => listing.name === name);
      if (!known) {
        throw new GenerationError('not-found', `There is no added checkpoint "${name}".`);
      }
      await (await store()).delete([`${RECORD}${name}`]);
      files.delete(known.listing.url);
      await readRecords();
    },
  };
}

function toListing(name: string, { files }: FileGroup): ModelListing {
  return {
    kind: 'checkpoint',
    name,
    source: 'browser',
    filename: files.length === 1 ? (files[0]?.path ?? name) : name,
    url: `browser/${encodeURIComponent(name)}/`,
    files: files.map(({ path, file }) => ({ path, sizeBytes: file.size })),
    // Times and sizes, as for files of the bridge: other content under the same name is compiled anew.
    version: String(Math.max(...files.map(({ file }) => lastModified(file)))),
  };
}

function lastModified(file: Blob): number {
  return file instanceof File ? file.lastModified : 0;
}

/** The file of an earlier visit, where the browser still lets it be read. */
async function reopen(path: string, sizeBytes: number, handle: unknown): Promise<Blob> {
  let file: Blob | null = null;
  if (isFileHandle(handle)) file = await handle.getFile().catch(() => null);
  if (file?.size === sizeBytes) return file;
  throw new GenerationError(
    'not-found',
    file
      ? `${path} has ${file.size} bytes now, but had ${sizeBytes} when it was added: it changed. Add it again under Models.`
      : `${path} was added before this page was reloaded, and the browser does not let it be read any more. Add it again under Models; nothing compiled is lost.`,
  );
}

function isFileHandle(value: unknown): value is FileHandle {
  return typeof (value as FileHandle | null)?.getFile === 'function';
}
