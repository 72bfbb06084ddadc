import { type FileHandle, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode, makePrivateFolder, writeFileWhole } from '../files.ts';

/** One value a line. */
export type JournalRecord = Readonly<Record<string, unknown>>;

interface Pending {
  readonly line: string;
  readonly isSync: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * An append-only file of JSON lines. Appends that arrive while a write is under way share the next
 * write and its fsync. A line cut short by a crash is left out when the file is read.
 */
export class Journal {
  readonly #path: string;
  #handle: FileHandle;
  #pending: Pending[] = [];
  /** Writes follow each other; a failed one does not keep the next from being tried. */
  #tail: Promise<void> = Promise.resolve();
  #sizeBytes: number;
  /** True when the file may end in half a line. */
  #isTorn: boolean;

  private constructor(path: string, handle: FileHandle, sizeBytes: number, isTorn: boolean) {
    this.#path = path;
    this.#handle = handle;
    this.#sizeBytes = sizeBytes;
    this.#isTorn = isTorn;
  }

  /** Opens the file, making it where there is none, and reads what it holds. */
  static async open(path: string): Promise<{ journal: Journal; records: unknown[]; torn: number }> {
    makePrivateFolder(dirname(path));
    let text = '';
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
    const records: unknown[] = [];
    let torn = 0;
    for (const line of text.split('\n')) {
      if (line === '') continue;
      try {
        records.push(JSON.parse(line));
      } catch {
        torn += 1;
      }
    }
    const handle = await open(path, 'a', 0o600);
    const isTorn = text !== '' && !text.endsWith('\n');
    return { journal: new Journal(path, handle, Buffer.byteLength(text), isTorn), records, torn };
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => {});
    return done;
  }

  /** Appends a record; with `isSync` it has reached the disk once this resolves. */
  append(record: JournalRecord, { isSync }: { isSync: boolean }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ line: `${JSON.stringify(record)}\n`, isSync, resolve, reject });
      if (this.#pending.length === 1) void this.#enqueue(() => this.#flush());
    });
  }

  async #flush(): Promise<void> {
    const batch = this.#pending;
    this.#pending = [];
    const text = (this.#isTorn ? '\n' : '') + batch.map(({ line }) => line).join('');
    try {
      this.#isTorn = true;
      await this.#handle.appendFile(text);
      this.#isTorn = false;
      this.#sizeBytes += Buffer.byteLength(text);
      if (batch.some(({ isSync }) => isSync)) await this.#handle.sync();
      for (const { resolve } of batch) resolve();
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  /** Replaces everything by `records`, whole or not at all. */
  rewrite(records: readonly JournalRecord[]): Promise<void> {
    const text = records.map((record) => `${JSON.stringify(record)}\n`).join('');
    return this.#enqueue(async () => {
      await writeFileWhole(this.#path, text);
      await this.#handle.close();
      this.#handle = await open(this.#path, 'a', 0o600);
      this.#sizeBytes = Buffer.byteLength(text);
      this.#isTorn = false;
    });
  }

  /** Writes what is pending and closes the file. */
  async close(): Promise<void> {
    await this.#enqueue(async () => {
      await this.#handle.sync();
    }).catch(() => {});
    await this.#handle.close();
  }
}
