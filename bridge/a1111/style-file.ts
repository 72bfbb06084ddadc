import { readFile, stat } from 'node:fs/promises';
import type { PromptStyle } from '../../protocol/styles.ts';
import { MAX_STYLES_CHARACTERS, parseStylesCsv } from '../../protocol/styles-csv.ts';

/** Reads the styles as they are now. */
export type StyleReader = () => Promise<readonly PromptStyle[]>;

/** Bytes of UTF-8 for the longest file that is read. */
const MAX_BYTES = MAX_STYLES_CHARACTERS * 4;

/**
 * A1111's `styles.csv`: read when asked for, and again only once it changed. No file, one that cannot be read and one
 * beyond the limit are no styles.
 */
export function createStyleReader(path: string): StyleReader {
  let version = '';
  let styles: readonly PromptStyle[] = [];
  return async function readStyles() {
    try {
      const { mtimeMs, size } = await stat(path);
      const found = `${mtimeMs} ${size}`;
      if (found === version) return styles;
      styles = size > MAX_BYTES ? [] : parseStylesCsv(await readFile(path, 'utf8'));
      version = found;
    } catch {
      version = '';
      styles = [];
    }
    return styles;
  };
}
