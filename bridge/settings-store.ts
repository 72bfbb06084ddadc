import { readFile, rename } from 'node:fs/promises';
import { z } from 'zod';
import { errorCode, writeFileWhole } from './files.ts';
import type { Logger } from './log.ts';
import type { SettingsStore } from './services.ts';

const settingsFile = z.record(z.string().max(200), z.unknown());

export interface SettingsStoreOptions {
  /** The JSON file; made at the first change. */
  readonly path: string;
  readonly log: Logger;
  /** Values that the command line decides for this run; a later change replaces them. */
  readonly startValues?: Readonly<Record<string, unknown>>;
}

/** Options kept across restarts in one JSON file, replaced as a whole. */
class FileSettingsStore implements SettingsStore {
  readonly #path: string;
  #values: Readonly<Record<string, unknown>>;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, values: Readonly<Record<string, unknown>>) {
    this.#path = path;
    this.#values = values;
  }

  get(): Readonly<Record<string, unknown>> {
    return this.#values;
  }

  async set(changes: Readonly<Record<string, unknown>>): Promise<void> {
    this.#values = { ...this.#values, ...changes };
    // One write after the other; each writes what is current when its turn comes.
    const write = this.#writing.then(() =>
      writeFileWhole(this.#path, `${JSON.stringify(this.#values, null, 2)}\n`),
    );
    this.#writing = write.catch(() => {});
    await write;
  }
}

/** Reads the file; one that does not parse is set aside with a warning, and the settings start anew. */
export async function openSettingsStore({
  path,
  log,
  startValues = {},
}: SettingsStoreOptions): Promise<SettingsStore> {
  let values: Record<string, unknown> = {};
  try {
    values = settingsFile.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') {
      const aside = `${path}.damaged-${Date.now()}`;
      await rename(path, aside).catch(() => {});
      log.warn('The settings could not be read; they start anew and the old file is kept.', {
        kept: aside,
      });
    }
  }
  return new FileSettingsStore(path, { ...values, ...startValues });
}
