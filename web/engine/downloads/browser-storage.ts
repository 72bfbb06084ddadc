import { z } from 'zod';
import {
  type DownloadStorage,
  type SavedDownload,
  savedDownload,
} from '../../../protocol/downloads/download-manager.ts';
import type { DownloadPlan } from '../../../protocol/downloads/plan-parts.ts';
import { gigabytes, neededRoom } from '../../../protocol/downloads/room.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import type { KeyValueStore } from '../models/key-value-store.ts';
import {
  DOWNLOADED,
  type LocalRecord,
  localRecord,
  recordKey,
  urlOf,
} from '../models/local-sources.ts';
import { sha256Text } from '../models/sha256.ts';
import type { StorageUse } from '../models/storage-room.ts';
import { openPieceFile, pieceKeys } from './piece-file.ts';

const downloadState = z.object({
  download: savedDownload,
  etags: z.record(z.string(), z.string().nullable()),
  complete: z.array(z.int().min(0)),
  /** What an earlier download of the model left was taken over. */
  hasTakenOver: z.boolean().optional(),
});
type DownloadState = z.infer<typeof downloadState>;

const STATE = 'download:';

export interface BrowserStorageOptions {
  /** The store that remembers added models. */
  readonly open: () => Promise<KeyValueStore>;
  readonly storageUse: () => Promise<StorageUse | null>;
  readonly pieceBytes?: number;
}

/** Downloads in the browser's storage; a finished one is listed as a model of the user's own disk is. */
export class BrowserDownloadStorage implements DownloadStorage {
  readonly #options: BrowserStorageOptions;
  #store: Promise<KeyValueStore> | null = null;

  constructor(options: BrowserStorageOptions) {
    this.#options = options;
  }

  #open(): Promise<KeyValueStore> {
    this.#store ??= this.#options.open();
    return this.#store;
  }

  #prefix(id: string, index: number): string {
    return `${DOWNLOADED}${id}:${index}:`;
  }

  async #read(id: string): Promise<DownloadState | null> {
    const parsed = downloadState.safeParse(await (await this.#open()).get(`${STATE}${id}`));
    return parsed.success ? parsed.data : null;
  }

  async #change(
    download: SavedDownload,
    change: (state: DownloadState) => DownloadState,
  ): Promise<void> {
    const before = (await this.#read(download.id)) ?? { download, etags: {}, complete: [] };
    const store = await this.#open();
    await store.set(`${STATE}${download.id}`, change(before), { durable: true });
  }

  /** Whether a download is still to be done: another tab may have ended it. */
  async isOpen(id: string): Promise<boolean> {
    return (await this.#read(id)) !== null;
  }

  async saved(): Promise<readonly SavedDownload[]> {
    const names = await (await this.#open()).keys();
    const found: SavedDownload[] = [];
    for (const name of names.filter((key) => key.startsWith(STATE))) {
      const state = await this.#read(name.slice(STATE.length));
      if (state) found.push(state.download);
    }
    return found;
  }

  async #known({ kind, name }: DownloadPlan): Promise<LocalRecord | null> {
    const parsed = localRecord.safeParse(await (await this.#open()).get(recordKey(kind, name)));
    return parsed.success ? parsed.data : null;
  }

  /** Null too for a model that lost a part of its bytes: that part is to be fetched. */
  async present(plan: DownloadPlan): Promise<string | null> {
    const known = await this.#known(plan);
    if (!known) return null;
    const stored = new Set(await (await this.#open()).keys());
    return known.pieces?.flat().some((key) => !stored.has(key))
      ? null
      : `${plan.name} is in this browser already, so nothing was fetched. Take it off the list to fetch it again.`;
  }

  save(download: SavedDownload): Promise<void> {
    return this.#change(download, (state) => ({ ...state, download }));
  }

  async makeRoom({ plan }: SavedDownload, missing: number): Promise<void> {
    const use = await this.#options.storageUse();
    if (!use || missing === 0) return;
    const free = Math.max(0, use.quotaBytes - use.usedBytes);
    const needed = neededRoom(missing);
    if (free >= needed) return;
    throw new GenerationError(
      'storage-full',
      `${plan.title} still takes ${gigabytes(missing)} and needs ${gigabytes(needed)} of free browser storage, but ${gigabytes(free)} of ${gigabytes(use.quotaBytes)} are free. Delete compiled models or pictures that are not needed, or free disk space.`,
    );
  }

  /**
   * Makes what is left of a torn model this download's own, where its host's mark or its hash will tell whether it
   * still fits, and removes it elsewhere. Once a download: after that the pieces are its own.
   */
  async #takeOver(download: SavedDownload): Promise<void> {
    const { id, plan } = download;
    if ((await this.#read(id))?.hasTakenOver) return;
    const store = await this.#open();
    const known = await this.#known(plan);
    const etags: Record<string, string | null> = {};
    const old: string[] = [];
    for (const [index, { path, sha256 }] of plan.files.entries()) {
      const prefix = this.#prefix(id, index);
      const etag = known?.etags?.[index] ?? null;
      const isSame = known?.listing.files[index]?.path === path && (etag ?? sha256) !== null;
      const keys = (known?.pieces?.[index] ?? []).filter((key) => key.startsWith(DOWNLOADED));
      for (const [number, key] of keys.entries()) {
        if (isSame && key.startsWith(prefix)) continue;
        const piece = isSame ? await store.get(key) : undefined;
        if (piece instanceof Blob) await store.set(`${prefix}${number}`, piece);
        old.push(key);
      }
      if (isSame) etags[index] = etag;
    }
    if (old.length > 0) await store.delete(old);
    await this.#change(download, (state) => ({
      ...state,
      ...{ etags: { ...etags, ...state.etags }, hasTakenOver: true },
    }));
  }

  async heldBytes(download: SavedDownload): Promise<readonly number[]> {
    const store = await this.#open();
    await this.#takeOver(download);
    const stored = await store.keys();
    return Promise.all(
      download.plan.files.map(async (_file, index) => {
        const prefix = this.#prefix(download.id, index);
        const pieces = await store.getMany(stored.filter((key) => key.startsWith(prefix)));
        return pieces.reduce<number>(
          (sum, piece) => sum + (piece instanceof Blob ? piece.size : 0),
          0,
        );
      }),
    );
  }

  async openPart(download: SavedDownload, index: number) {
    const state = await this.#read(download.id);
    if (state?.complete.includes(index)) return null;
    const { pieceBytes } = this.#options;
    return await openPieceFile({
      store: await this.#open(),
      prefix: this.#prefix(download.id, index),
      etag: state?.etags[index] ?? null,
      saveEtag: (etag) =>
        this.#change(download, (before) => ({
          ...before,
          etags: { ...before.etags, [index]: etag },
        })),
      ...(pieceBytes === undefined ? {} : { pieceBytes }),
    });
  }

  completePart(download: SavedDownload, index: number): Promise<void> {
    return this.#change(download, (state) => ({ ...state, complete: [...state.complete, index] }));
  }

  /** The list's entry comes before the state goes: a tab that ends in between finishes when it is opened again. */
  async finish(download: SavedDownload): Promise<void> {
    const { id, plan } = download;
    const store = await this.#open();
    const pieces = await Promise.all(
      plan.files.map((_file, index) => pieceKeys(store, this.#prefix(id, index))),
    );
    const sizes = await this.heldBytes(download);
    const etags = (await this.#read(id))?.etags ?? {};
    const old = (await this.#known(plan))?.pieces?.flat() ?? [];
    const entry: LocalRecord = {
      ...{ listing: await toListing(plan, sizes), handles: [], pieces, etags },
    };
    await store.set(recordKey(plan.kind, plan.name), entry, { durable: true });
    const kept = new Set(pieces.flat());
    await store.delete([`${STATE}${id}`, ...old.filter((key) => !kept.has(key))]);
  }

  async discard({ id }: SavedDownload): Promise<void> {
    const store = await this.#open();
    const pieces = (await store.keys()).filter((key) => key.startsWith(`${DOWNLOADED}${id}:`));
    await store.delete([`${STATE}${id}`, ...pieces]);
  }
}

async function toListing(
  plan: DownloadPlan,
  sizes: readonly number[],
): Promise<LocalRecord['listing']> {
  const { kind, name, isFolder, files } = plan;
  const content = files.map(({ url, sha256 }, index) => sha256 ?? `${url} ${sizes[index]}`);
  return {
    ...{ kind, name, source: 'browser', url: urlOf(kind, name) },
    filename: isFolder ? name : (files[0]?.path ?? name),
    files: files.map(({ path }, index) => ({ path, sizeBytes: sizes[index] ?? 0 })),
    version: (await sha256Text(content.join('\n'))).slice(0, 32),
  };
}
