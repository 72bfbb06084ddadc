import type { PictureInfo } from './picture.ts';

/** A zip without its 64-bit extension ends here; some room is left for the directory. */
export const MAX_ZIP_BYTES = 2 ** 32 - 2 ** 26;
export const MAX_ZIP_FILES = 65_000;

/** A zip knows no earlier dates (and fflate refuses them). */
const FIRST_DATE = Date.UTC(1980, 0, 2);

export interface ZipOptions {
  readonly file: (id: string) => Promise<Blob | null>;
  /** Called after each picture. */
  readonly onProgress?: (done: number) => void;
}

export interface Zipped {
  readonly zip: Blob;
  /** Pictures whose files are gone. */
  readonly missing: number;
}

function freeName(name: string, taken: Set<string>): string {
  const dot = name.lastIndexOf('.');
  const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
  let free = name;
  for (let number = 2; taken.has(free.toLowerCase()); number++) {
    free = `${stem}_${number}${extension}`;
  }
  taken.add(free.toLowerCase());
  return free;
}

/**
 * Puts pictures into one zip, stored as they are: pictures are compressed already. Finished pieces are handed to the
 * browser as blobs, which it may keep on the disk. Rejects with what fflate says.
 */
export async function zipPictures(
  pictures: readonly PictureInfo[],
  { file, onProgress = () => {} }: ZipOptions,
): Promise<Zipped> {
  const { Zip, ZipPassThrough } = await import('fflate');
  const parts: Blob[] = [];
  let failure: Error | null = null;
  const zip = new Zip((error, chunk) => {
    if (error) failure = error;
    // A copy: fflate's piece may be a view of a larger buffer.
    else parts.push(new Blob([chunk.slice()]));
  });
  const taken = new Set<string>();
  let missing = 0;
  for (const [index, { id, fileName, createdAt }] of pictures.entries()) {
    const blob = await file(id).catch(() => null);
    if (blob) {
      const entry = new ZipPassThrough(freeName(fileName, taken));
      entry.mtime = Math.max(createdAt, FIRST_DATE);
      zip.add(entry);
      entry.push(new Uint8Array(await blob.arrayBuffer()), true);
    } else {
      missing += 1;
    }
    onProgress(index + 1);
  }
  zip.end();
  if (failure) throw failure;
  return { zip: new Blob(parts, { type: 'application/zip' }), missing };
}
