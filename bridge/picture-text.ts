import { inflateSync } from 'node:zlib';
import { type Inflate, readPngText } from '../protocol/png-text.ts';
import { errorCode } from './files.ts';

/** By zlib itself, at once: the web's stream takes ten times the memory and the time for a text. */
const inflate: Inflate = (data, limit) => {
  try {
    const maxOutputLength = Math.max(1, limit);
    // One piece takes it all: pieces would be joined, and both kept until the next collection.
    return inflateSync(data, { maxOutputLength, chunkSize: Math.max(64, maxOutputLength + 1) });
  } catch (error) {
    if (errorCode(error) === 'ERR_BUFFER_TOO_LARGE') return null;
    throw error;
  }
};

/**
 * The texts of a PNG by keyword. Throws `invalid-request` for a file that is no whole PNG, for a text that is
 * broken, and for texts beyond the limits (1 MiB each, 4 MiB in all).
 */
export function readPngTexts(bytes: Uint8Array): Promise<Record<string, string>> {
  return readPngText(bytes, { inflate });
}
