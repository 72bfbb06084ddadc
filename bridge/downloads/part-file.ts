import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { gigabytes } from '../../protocol/downloads/room.ts';
import type { PartFile } from '../../protocol/downloads/transfer.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { errorCode } from '../files.ts';

const READ_BYTES = 2 ** 20;

export interface PartFileOptions {
  /** The `.part` file; made where it is not there. */
  readonly path: string;
  readonly etag: string | null;
  /** Notes the host's mark of the version beside the part. */
  readonly saveEtag: (etag: string | null) => Promise<void>;
}

/** A full disk in words; any other error as it is. */
export function diskError(error: unknown, path: string): unknown {
  if (!['ENOSPC', 'EDQUOT'].includes(errorCode(error))) return error;
  return new GenerationError(
    'storage-full',
    `The disk is full: ${path} could not be written on. What is here is kept; free some space and go on.`,
    { cause: error },
  );
}

/** Opens a file's part: each byte is on its way to the disk as soon as it came. */
export async function openPartFile(options: PartFileOptions): Promise<PartFile> {
  const { path, saveEtag } = options;
  await mkdir(dirname(path), { recursive: true });
  const file = await openForWriting(path);
  let heldBytes = (await file.stat()).size;
  let etag = options.etag;
  return {
    get heldBytes() {
      return heldBytes;
    },
    get etag() {
      return etag;
    },
    async begin(given) {
      etag = given;
      await saveEtag(given);
    },
    async write(bytes) {
      try {
        for (let offset = 0; offset < bytes.length; ) {
          const { bytesWritten } = await file.write(
            bytes,
            offset,
            bytes.length - offset,
            heldBytes,
          );
          offset += bytesWritten;
          heldBytes += bytesWritten;
        }
      } catch (error) {
        throw diskError(error, path);
      }
    },
    async flush() {
      await file.sync();
    },
    async restart() {
      await file.truncate(0);
      heldBytes = 0;
      etag = null;
      await saveEtag(null);
    },
    async sha256(onProgress, signal) {
      const hash = createHash('sha256');
      let done = 0;
      for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES })) {
        signal.throwIfAborted();
        hash.update(chunk);
        done += chunk.length;
        onProgress(done);
      }
      return hash.digest('hex');
    },
    close: () => file.close(),
  };
}

async function openForWriting(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return await open(path, 'w+', 0o644);
  }
}

/** Throws `storage-full` with the figures. */
export function refuseRoom(what: string, missing: number, needed: number, free: number): never {
  throw new GenerationError(
    'storage-full',
    `${what} still takes ${gigabytes(missing)} and needs ${gigabytes(needed)} of free disk space, but ${gigabytes(free)} are free. Free some, or choose another place with --models-dir.`,
  );
}
