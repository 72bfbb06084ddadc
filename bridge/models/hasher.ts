import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeFileWhole } from '../files.ts';
import type { Logger } from '../log.ts';

/** One file as its hash is remembered: another size or time is another file. */
export interface HashedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

const cacheFile = z.record(
  z.string(),
  z.object({
    sizeBytes: z.number(),
    mtimeMs: z.number(),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
);

const CHUNK_BYTES = 1024 ** 2;
const PAUSE_MS = 500;

export interface HasherOptions {
  /** JSON file of known hashes. */
  readonly cachePath: string;
  readonly log: Logger;
  /** True while the disk and the processor are wanted for something better. */
  readonly isBusy: () => boolean;
}

/** SHA-256 of files, one after the other in the background, remembered across restarts. */
export class Hasher {
  readonly #options: HasherOptions;
  readonly #known: Map<string, z.infer<typeof cacheFile>[string]>;
  readonly #wanted = new Map<string, HashedFile>();
  #work: Promise<void> = Promise.resolve();
  #isWorking = false;
  #isClosed = false;

  private constructor(options: HasherOptions, known: z.infer<typeof cacheFile>) {
    this.#options = options;
    this.#known = new Map(Object.entries(known));
  }

  static async open(options: HasherOptions): Promise<Hasher> {
    try {
      return new Hasher(
        options,
        cacheFile.parse(JSON.parse(await readFile(options.cachePath, 'utf8'))),
      );
    } catch {
      return new Hasher(options, {});
    }
  }

  /** The hash in hex, or null while it is not known; asking puts the file in line. */
  get(file: HashedFile): string | null {
    const known = this.#known.get(file.path);
    if (known?.sizeBytes === file.sizeBytes && known.mtimeMs === file.mtimeMs) return known.sha256;
    this.#wanted.set(file.path, file);
    if (!this.#isWorking) {
      this.#isWorking = true;
      this.#work = this.#hashAll();
    }
    return null;
  }

  /** Resolves when nothing is in line. */
  async idle(): Promise<void> {
    while (this.#isWorking) await this.#work;
  }

  async #hashAll(): Promise<void> {
    // The first file is not touched in the request that asked for it.
    await new Promise((resolve) => setTimeout(resolve, 0));
    for (const file of this.#wanted.values()) {
      this.#wanted.delete(file.path);
      const sha256 = await this.#hash(file);
      if (sha256 === null) continue;
      const { sizeBytes, mtimeMs } = file;
      this.#known.set(file.path, { sizeBytes, mtimeMs, sha256 });
      await this.#save();
    }
    this.#isWorking = false;
  }

  async #hash({ path }: HashedFile): Promise<string | null> {
    try {
      const file = await open(path);
      try {
        return await this.#digest(file);
      } finally {
        await file.close();
      }
    } catch (error) {
      this.#options.log.warn('A model file could not be read.', { path, error: String(error) });
      return null;
    }
  }

  /** Null when it is closed before the end. */
  async #digest(file: FileHandle): Promise<string | null> {
    const hash = createHash('sha256');
    // One piece of memory for the whole file: a stream's pieces pile up until the next collection.
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(chunk.subarray(0, bytesRead));
      while (this.#options.isBusy() && !this.#isClosed) {
        // Not unreferenced: `close` waits for it, and a process with nothing else to do would end here.
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
      if (this.#isClosed) return null;
    }
  }

  async #save(): Promise<void> {
    try {
      await writeFileWhole(
        this.#options.cachePath,
        JSON.stringify(Object.fromEntries(this.#known)),
      );
    } catch (error) {
      this.#options.log.warn('The file hashes could not be kept.', { error: String(error) });
    }
  }

  /** Stops hashing; safe to call twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wanted.clear();
    await this.idle();
  }
}
