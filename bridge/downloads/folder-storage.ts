import { mkdir, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  type DownloadStorage,
  type SavedDownload,
  savedDownload,
} from '../../protocol/downloads/download-manager.ts';
import type { DownloadKind } from '../../protocol/downloads/file-kind.ts';
import type { DownloadPlan } from '../../protocol/downloads/plan-parts.ts';
import { neededRoom } from '../../protocol/downloads/room.ts';
import { syncFolder, writeFileWhole } from '../files.ts';
import type { Logger } from '../log.ts';
import type { ModelFolders } from '../options/options.ts';
import { diskError, openPartFile, refuseRoom } from './part-file.ts';

/** What lies beside a part: how to go on with it. For this user's eyes, as an address may hold a key. */
const partState = z.object({
  version: z.literal(1),
  download: savedDownload,
  /** The host's marks of the files' versions, by index. */
  etags: z.record(z.string(), z.string().nullable()),
  /** Indexes of files that are whole and checked. */
  complete: z.array(z.int().min(0)),
});
type PartState = z.infer<typeof partState>;

const finishedModels = z.record(z.string(), z.object({ kind: z.string(), name: z.string() }));

const STATE_ENDING = '.part.json';

export interface FolderStorageOptions {
  readonly folders: ModelFolders;
  /** JSON file of what was downloaded under which name. */
  readonly finishedPath: string;
  readonly log: Logger;
}

/**
 * Downloads in the models folder: `NAME.safetensors.part`, or `NAME.part/` for a diffusers folder, with
 * `….part.json` beside it; the name without `.part` once everything is there and checked.
 */
export class FolderStorage implements DownloadStorage {
  readonly #options: FolderStorageOptions;

  constructor(options: FolderStorageOptions) {
    this.#options = options;
  }

  /** Where the model will be. */
  #target({ kind, name, isFolder }: DownloadPlan): string {
    return join(this.#options.folders[kind], isFolder ? name : `${name}.safetensors`);
  }

  #statePath(plan: DownloadPlan): string {
    return `${this.#target(plan)}${STATE_ENDING}`;
  }

  #partPath(plan: DownloadPlan, index: number): string {
    const part = `${this.#target(plan)}.part`;
    const path = plan.files[index]?.path ?? '';
    return plan.isFolder ? `${join(part, ...path.split('/'))}.part` : part;
  }

  async #readState(path: string): Promise<PartState | null> {
    try {
      return partState.parse(JSON.parse(await readFile(path, 'utf8')));
    } catch {
      return null;
    }
  }

  async #change(download: SavedDownload, change: (state: PartState) => PartState): Promise<void> {
    const path = this.#statePath(download.plan);
    const before = (await this.#readState(path)) ?? {
      ...{ version: 1, download, etags: {}, complete: [] },
    };
    try {
      await writeFileWhole(path, JSON.stringify(change(before)));
    } catch (error) {
      throw diskError(error, path);
    }
  }

  async saved(): Promise<readonly SavedDownload[]> {
    const found: SavedDownload[] = [];
    for (const [kind, folder] of Object.entries(this.#options.folders)) {
      for (const name of await readdir(folder).catch(() => [])) {
        if (!name.endsWith(STATE_ENDING)) continue;
        const state = await this.#readState(join(folder, name));
        if (state?.download.plan.kind === kind) found.push(state.download);
        else
          this.#options.log.warn('A download cannot be gone on with: its state is damaged.', {
            name,
          });
      }
    }
    return found;
  }

  async present(plan: DownloadPlan): Promise<string | null> {
    const target = this.#target(plan);
    const isThere = await exists(target);
    return isThere
      ? `${target} is there already, so nothing was fetched. Delete or rename it to fetch it again.`
      : null;
  }

  save(download: SavedDownload): Promise<void> {
    return this.#change(download, (state) => ({ ...state, download }));
  }

  async makeRoom({ plan }: SavedDownload, missing: number): Promise<void> {
    const folder = this.#options.folders[plan.kind];
    await mkdir(folder, { recursive: true });
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const needed = missing === 0 ? 0 : neededRoom(missing);
    if (free < needed) refuseRoom(plan.title, missing, needed, free);
  }

  /** A file may have got its name just before the process was ended, and its mark not any more. */
  async #isComplete(plan: DownloadPlan, index: number, state: PartState | null): Promise<boolean> {
    if (state?.complete.includes(index)) return true;
    if (!plan.isFolder) return false;
    const whole = this.#partPath(plan, index).slice(0, -'.part'.length);
    const size = (await stat(whole).catch(() => null))?.size ?? null;
    return size !== null && size === plan.files[index]?.sizeBytes;
  }

  async heldBytes({ plan }: SavedDownload): Promise<readonly number[]> {
    const state = await this.#readState(this.#statePath(plan));
    return Promise.all(
      plan.files.map(async ({ sizeBytes }, index) => {
        if (await this.#isComplete(plan, index, state)) return sizeBytes ?? 0;
        return (await stat(this.#partPath(plan, index)).catch(() => null))?.size ?? 0;
      }),
    );
  }

  async openPart(download: SavedDownload, index: number) {
    const { plan } = download;
    const state = await this.#readState(this.#statePath(plan));
    if (await this.#isComplete(plan, index, state)) return null;
    return await openPartFile({
      path: this.#partPath(plan, index),
      etag: state?.etags[index] ?? null,
      saveEtag: (etag) =>
        this.#change(download, (before) => ({
          ...before,
          etags: { ...before.etags, [index]: etag },
        })),
    });
  }

  async completePart(download: SavedDownload, index: number): Promise<void> {
    const { plan } = download;
    if (plan.isFolder) {
      const part = this.#partPath(plan, index);
      await rename(part, part.slice(0, -'.part'.length));
    }
    await this.#change(download, (state) => ({ ...state, complete: [...state.complete, index] }));
  }

  async finish({ id, plan }: SavedDownload): Promise<void> {
    const target = this.#target(plan);
    // The name may have been given just before an earlier process was ended.
    if (await exists(`${target}.part`)) await rename(`${target}.part`, target);
    await syncFolder(this.#options.folders[plan.kind]);
    await rm(this.#statePath(plan), { force: true });
    const { kind, name } = plan;
    const { finishedPath } = this.#options;
    const all = { ...(await this.#finished()), [id]: { kind, name } };
    await writeFileWhole(finishedPath, JSON.stringify(all));
  }

  async #finished(): Promise<z.infer<typeof finishedModels>> {
    try {
      return finishedModels.parse(JSON.parse(await readFile(this.#options.finishedPath, 'utf8')));
    } catch {
      return {};
    }
  }

  /** The name under which a download came, when it did; the file may be gone since. */
  async finishedName(id: string, kind: DownloadKind): Promise<string | null> {
    const known = (await this.#finished())[id];
    return known?.kind === kind ? known.name : null;
  }

  async discard({ plan }: SavedDownload): Promise<void> {
    await rm(`${this.#target(plan)}.part`, { recursive: true, force: true });
    await rm(this.#statePath(plan), { force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
