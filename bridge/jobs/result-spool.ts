import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { generationSummary, jobId, jobImage } from '../../protocol/job.ts';
import { errorCode, makePrivateFolder, writeFileWhole } from '../files.ts';
import type { StoredResult } from './job-store.ts';

const storedResult = z.object({
  jobId,
  images: z.array(jobImage),
  summary: generationSummary,
});

/** Finished jobs' pictures on disk, one file a job, whole or not there at all. */
export class ResultSpool {
  readonly #folder: string;
  /** Bytes by job id, oldest first. */
  readonly #sizes = new Map<string, number>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<ResultSpool> {
    makePrivateFolder(folder);
    const spool = new ResultSpool(folder);
    const found: { id: string; sizeBytes: number; mtimeMs: number }[] = [];
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if (!name.endsWith('.json') || !jobId.safeParse(name.slice(0, -5)).success) {
        // Left by a crash in the middle of a write.
        if (name.endsWith('.tmp')) await rm(path, { force: true });
        continue;
      }
      const { size, mtimeMs } = await stat(path);
      found.push({ id: name.slice(0, -5), sizeBytes: size, mtimeMs });
    }
    found.sort((a, b) => a.mtimeMs - b.mtimeMs);
    for (const { id, sizeBytes } of found) spool.#sizes.set(id, sizeBytes);
    return spool;
  }

  #path(id: string): string {
    return join(this.#folder, `${jobId.parse(id)}.json`);
  }

  has(id: string): boolean {
    return this.#sizes.has(id);
  }

  /** Ids of everything kept, oldest first. */
  ids(): string[] {
    return [...this.#sizes.keys()];
  }

  get totalBytes(): number {
    let total = 0;
    for (const sizeBytes of this.#sizes.values()) total += sizeBytes;
    return total;
  }

  async write(result: StoredResult): Promise<void> {
    const text = JSON.stringify(result);
    await writeFileWhole(this.#path(result.jobId), text);
    this.#sizes.set(result.jobId, Buffer.byteLength(text));
  }

  /** The result, or null where it is gone or does not parse. */
  async read(id: string): Promise<StoredResult | null> {
    if (!this.has(id)) return null;
    try {
      return storedResult.parse(JSON.parse(await readFile(this.#path(id), 'utf8')));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') this.#sizes.delete(id);
      return null;
    }
  }

  async remove(id: string): Promise<void> {
    this.#sizes.delete(id);
    await rm(this.#path(id), { force: true });
  }
}
