import { open, readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ByteSource, ModelFiles } from '../../../web/compiler/model.ts';

/** Folder of the small models with reference outputs. */
export const MODELS = fileURLToPath(new URL('../../fixtures/models', import.meta.url));

/** A file on disk as the compiler reads it. */
export async function fileSource(path: string, name: string): Promise<ByteSource> {
  const { size } = await stat(path);
  return {
    path: name,
    sizeBytes: size,
    async read(offset, length, { signal } = {}) {
      signal?.throwIfAborted();
      const file = await open(path);
      try {
        const bytes = new Uint8Array(length);
        const { bytesRead } = await file.read(bytes, 0, length, offset);
        return bytes.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    },
  };
}

/** A folder on disk as a model. */
export async function folderFiles(path: string, name = 'model'): Promise<ModelFiles> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const paths = entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name));
  const files = paths.sort().map((p) => fileSource(p, relative(path, p).replaceAll('\\', '/')));
  return { name, files: await Promise.all(files) };
}

/** Bytes in memory as a file. */
export function memorySource(path: string, bytes: Uint8Array): ByteSource {
  return {
    path,
    sizeBytes: bytes.byteLength,
    async read(offset, length, { signal } = {}) {
      signal?.throwIfAborted();
      return bytes.slice(offset, offset + length);
    },
  };
}

/** JSON as a file. */
export function jsonSource(path: string, value: unknown): ByteSource {
  return memorySource(path, new TextEncoder().encode(JSON.stringify(value)));
}
