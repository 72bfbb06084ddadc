import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Makes a folder (and its parents) that only this user may enter. */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

/** Flushes a folder's entries, so that a rename survives a power cut; a no-op where not possible. */
export async function syncFolder(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    await handle.sync();
  } catch {
    // Windows cannot open folders; the rename itself is atomic there too.
  } finally {
    await handle?.close();
  }
}

export interface WriteOptions {
  /** File mode; 0600 keeps the file to this user. */
  readonly mode?: number;
}

/**
 * Writes a whole file or nothing: a temporary name in the same folder, fsync, rename, fsync of the
 * folder. An existing file is replaced.
 */
export async function writeFileWhole(
  path: string,
  data: Uint8Array | string,
  { mode = 0o600 }: WriteOptions = {},
): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporary = join(folder, `.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** The `code` of a Node error (`ENOENT`, `ENOSPC`), or an empty text. */
export function errorCode(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}
