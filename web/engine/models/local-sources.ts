import { z } from 'zod';
import { listingKind, type ModelListing, modelListing } from '../../../protocol/catalog.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import type { ByteSource } from '../../compiler/model.ts';
import type { LocalFile, LockedModel } from '../../shared/engine.ts';
import { createBlobSource } from './blob-source.ts';
import { type FileGroup, groupFiles } from './group-files.ts';
import type { KeyValueStore } from './key-value-store.ts';
import { inspectModel } from './local-model.ts';
import { ifUnlocked, withLock } from './locks.ts';
import { CHUNK_BYTES } from './manifest.ts';
import { findCheckpoint, type ModelSources } from './sources.ts';

type ListingKind = ModelListing['kind'];

/** Sources that models of the user's own disk can be added to. */
export interface LocalModelSources extends ModelSources {
  /**
   * Adds the models among these files, of whatever kind, after a look at their headers. They are listed
   * after a reload too; what is compiled of them needs the files no more. Rejects with the first problem.
   */
  add(files: readonly LocalFile[]): Promise<readonly ModelListing[]>;
  /** Lists a model of which only the compiled form is here, and gives its listing. */
  adopt(model: AdoptedModel): Promise<ModelListing>;
  /** Forgets an added model; what is compiled of it stays. */
  remove(name: string, kind?: ListingKind): Promise<void>;
  /** Added models whose files the browser lets be read only after a person allowed it again. */
  locked(): Promise<readonly LockedModel[]>;
}

/** What is told of a model that came compiled. */
export type AdoptedModel = Pick<ModelListing, 'kind' | 'name' | 'files' | 'version'>;

/** An added model over reloads; a handle where the browser gave one, in the order of the files. */
export const localRecord = z.object({
  listing: modelListing,
  handles: z.array(z.unknown()),
  /** It came compiled: its own files were never here. */
  isAdopted: z.boolean().optional(),
  /** It was downloaded or copied: keys of its files' pieces in the same store, in the order of the files. */
  pieces: z.array(z.array(z.string())).optional(),
  /** It was downloaded: the host's marks of its files, by their number. */
  etags: z.record(z.string(), z.string().nullable()).optional(),
});
export type LocalRecord = z.infer<typeof localRecord>;

/** How the keys of copied pieces begin, and those of downloaded ones. */
const COPY = 'bytes:';
export const DOWNLOADED = 'piece:';
/** Held while files are added, so that no other tab takes half a copy for an orphan. */
const ADDING_LOCK = 'easel-files-adding';

export const recordKey = (kind: ListingKind, name: string) => `${kind}:${name}`;
const isRecordKey = (key: string) => listingKind.safeParse(key.slice(0, key.indexOf(':'))).success;

type FileHandle = Pick<FileSystemFileHandle, 'getFile'>;

/** Not in every browser, and not in the type library. */
interface PermissionHandle {
  queryPermission?(options: { mode: 'read' }): Promise<PermissionState>;
}

/** Lists added models behind those of `base`; `open` opens the store that remembers them. */
export function createLocalSources(
  base: ModelSources,
  open: () => Promise<KeyValueStore>,
): LocalModelSources {
  let entries: Promise<KeyValueStore> | null = null;
  /** Files of this tab's life, by listing url. */
  const files = new Map<string, readonly LocalFile[]>();
  let records: readonly LocalRecord[] = [];
  /** Whether this tab has looked for orphans. */
  let isClean = false;

  function store(): Promise<KeyValueStore> {
    entries ??= open();
    return entries;
  }

  async function readRecords(): Promise<void> {
    const opened = await store();
    const keys = (await opened.keys()).filter(isRecordKey).sort();
    records = (await opened.getMany(keys)).flatMap((value) => {
      const parsed = localRecord.safeParse(value);
      return parsed.success ? [parsed.data] : [];
    });
  }

  function listed(): ModelListing[] {
    return records.map(({ listing }) => listing);
  }

  /** The name, or with a number behind it where it is taken. */
  function freeName(name: string, taken: readonly ModelListing[]): string {
    const names = new Set(taken.map((listing) => listing.name.toLowerCase()));
    if (!names.has(name.toLowerCase())) return name;
    for (let number = 2; ; number += 1) {
      const numbered = `${name} (${number})`;
      if (!names.has(numbered.toLowerCase())) return numbered;
    }
  }

  function ofBase(kind: ListingKind): ModelListing[] {
    return base.listings.filter((listing) => listing.kind === kind);
  }

  function toSources(listing: ModelListing, origin: Origin): ByteSource[] {
    const { handles, isAdopted = false, pieces } = origin;
    const chosen = files.get(listing.url);
    return listing.files.map(({ path, sizeBytes }, index) => {
      const file = chosen?.[index]?.file;
      const openFile = async () => {
        if (file) return file;
        if (pieces) return joinPieces(await store(), pieces[index] ?? [], path, sizeBytes);
        if (isAdopted) throw compiledOnly(listing.name);
        return reopen(path, sizeBytes, handles[index]);
      };
      return createBlobSource(path, sizeBytes, openFile);
    });
  }

  async function addGroup(group: FileGroup): Promise<ModelListing> {
    const kind = await inspectModel({ name: group.name, files: freshSources(group) });
    const listing = toListing(kind, freeName(group.name, ofBase(kind)), group);
    const handles = group.files.map(({ handle }) => handle ?? null);
    files.set(listing.url, group.files);
    // A checkpoint is compiled at once. The rest is read when it is first used, perhaps after a reload: where
    // the browser gives no handle, only a copy can be read then.
    const isCopied = kind !== 'checkpoint' && handles.includes(null);
    const pieces = isCopied ? { pieces: await copy(listing, group) } : {};
    const key = recordKey(kind, listing.name);
    await (await store()).set(key, { listing, handles, ...pieces }, { durable: true });
    return listing;
  }

  /** Keeps the bytes of files in pieces, and gives their keys. */
  async function copy({ kind, name }: ModelListing, group: FileGroup): Promise<string[][]> {
    const opened = await store();
    const keys: string[][] = group.files.map(() => []);
    try {
      for (const [index, { file }] of group.files.entries()) {
        for (let at = 0; at < file.size; at += CHUNK_BYTES) {
          const key = `${COPY}${kind}:${encodeURIComponent(name)}:${index}:${at / CHUNK_BYTES}`;
          keys[index]?.push(key);
          await opened.set(key, file.slice(at, at + CHUNK_BYTES));
        }
      }
    } catch (error) {
      await opened.delete(keys.flat());
      throw error;
    }
    return keys;
  }

  /** Removes copies that no record knows, as a tab leaves them that was killed while it added files. */
  async function removeOrphans(): Promise<void> {
    const opened = await store();
    const kept = new Set(records.flatMap(({ pieces = [] }) => pieces.flat()));
    const orphans = (await opened.keys()).filter((key) => key.startsWith(COPY) && !kept.has(key));
    if (orphans.length > 0) await opened.delete(orphans);
  }

  return {
    get listings() {
      return [...base.listings, ...listed()];
    },
    async refresh() {
      const [found] = await Promise.all([base.refresh(), readRecords()]);
      if (!isClean) {
        isClean = true;
        await ifUnlocked(ADDING_LOCK, removeOrphans);
      }
      return [...found, ...listed()];
    },
    find: (name) => base.find(name) ?? findCheckpoint(listed(), name),
    open(listing) {
      const known = records.find((each) => each.listing.url === listing.url);
      if (listing.source !== 'browser' || !known) return base.open(listing);
      return { name: listing.name, files: toSources(listing, known) };
    },
    async add(chosen) {
      const added: ModelListing[] = [];
      try {
        await withLock(ADDING_LOCK, async () => {
          for (const group of groupFiles(chosen)) added.push(await addGroup(group));
        });
      } finally {
        await readRecords();
      }
      return added;
    },
    async adopt({ kind, name, ...rest }) {
      const known = listed().filter((listing) => listing.kind === kind);
      const same = known.find(({ version }) => version === rest.version);
      if (same) return same;
      const free = freeName(name, [...ofBase(kind), ...known]);
      const url = urlOf(kind, free);
      const listing: ModelListing = {
        ...{ ...rest, kind, name: free, source: 'browser', filename: free, url },
      };
      const kept = { listing, handles: [], isAdopted: true };
      await (await store()).set(recordKey(kind, free), kept, { durable: true });
      await readRecords();
      return listing;
    },
    async remove(name, kind = 'checkpoint') {
      const known = records.find(({ listing }) => listing.name === name && listing.kind === kind);
      if (!known) {
        throw new GenerationError('not-found', `There is no added model "${name}".`);
      }
      await (await store()).delete([recordKey(kind, name), ...(known.pieces ?? []).flat()]);
      files.delete(known.listing.url);
      await readRecords();
    },
    async locked() {
      const found: LockedModel[] = [];
      for (const { listing, handles } of records) {
        if (files.has(listing.url)) continue;
        const waiting: FileSystemFileHandle[] = [];
        for (const handle of handles) {
          if (await isLocked(handle)) waiting.push(handle as FileSystemFileHandle);
        }
        const { kind, name } = listing;
        if (waiting.length > 0) found.push({ kind, name, handles: waiting });
      }
      return found;
    },
  };
}

/** How the files of an added model are found again. */
type Origin = Pick<LocalRecord, 'handles' | 'isAdopted' | 'pieces'>;

/** A file that is kept in pieces, whole again; its bytes stay on the disk until they are read. */
async function joinPieces(
  store: KeyValueStore,
  keys: readonly string[],
  path: string,
  sizeBytes: number,
): Promise<Blob> {
  const pieces = (await store.getMany(keys)).filter((piece) => piece instanceof Blob);
  const whole = new Blob(pieces);
  if (pieces.length === keys.length && whole.size === sizeBytes) return whole;
  throw new GenerationError(
    'not-found',
    `The browser removed a part of ${path}. ${keys[0]?.startsWith(DOWNLOADED) ? 'Download the model again under Models: only what is missing is fetched.' : 'Take the model off the list, and add it again under Models.'}`,
  );
}

function freshSources({ files }: FileGroup): ByteSource[] {
  return files.map(({ path, file }) => createBlobSource(path, file.size, async () => file));
}

/** Those of checkpoints are as they were before there were other kinds. */
export function urlOf(kind: ListingKind, name: string): string {
  const folder = kind === 'checkpoint' ? '' : `${kind}/`;
  return `browser/${folder}${encodeURIComponent(name)}/`;
}

function toListing(kind: ListingKind, name: string, { files }: FileGroup): ModelListing {
  return {
    kind,
    name,
    source: 'browser',
    filename: files.length === 1 ? (files[0]?.path ?? name) : name,
    url: urlOf(kind, name),
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
  const then = `${path} was added before this page was reloaded, and the browser does not let it be read any more.`;
  throw new GenerationError(
    'not-found',
    file
      ? `${path} has ${file.size} bytes now, but had ${sizeBytes} when it was added: it changed. Add it again under Models.`
      : (await isLocked(handle))
        ? `${then} Press "Allow again" under Models; nothing compiled is lost.`
        : `${then} Add it again under Models; nothing compiled is lost.`,
  );
}

function compiledOnly(name: string): GenerationError {
  return new GenerationError(
    'not-found',
    `${name} was imported compiled, without the file that it was made of, and this needs the file (LoRAs, another precision, or a compiled model that was deleted). Add the file under Models, or import the compiled model again.`,
  );
}

function isFileHandle(value: unknown): value is FileHandle {
  return typeof (value as FileHandle | null)?.getFile === 'function';
}

/** Whether a kept handle is good once a person allows it again. */
async function isLocked(handle: unknown): Promise<boolean> {
  if (!isFileHandle(handle)) return false;
  const state = await (handle as PermissionHandle).queryPermission?.({ mode: 'read' });
  return state === 'prompt';
}
