import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import type { ByteSource, ModelFiles } from '../../web/compiler/model.ts';

/** A file on the disk as the compiler reads models. */
export function fileSource(path: string, name: string): ByteSource {
  const bytes = readFileSync(path);
  return {
    path: name,
    sizeBytes: bytes.length,
    read: async (offset, length) => Uint8Array.from(bytes.subarray(offset, offset + length)),
  };
}

/** A model folder with everything below it. */
export function folderFiles(folder: string, name: string): ModelFiles {
  const files = (path: string): string[] =>
    readdirSync(path).flatMap((entry) => {
      const child = join(path, entry);
      return statSync(child).isDirectory() ? files(child) : [child];
    });
  return {
    name,
    files: files(folder).map((path) =>
      fileSource(path, relative(folder, path).split(sep).join('/')),
    ),
  };
}
