import type { PromptStyle } from './styles.ts';

/** Largest styles file that is read, in characters. */
export const MAX_STYLES_CHARACTERS = 4_000_000;

/**
 * Reads A1111's `styles.csv`: a header with `name`, `prompt` (once `text`) and `negative_prompt`, rows that start
 * with `#` left out, of equal names the last one at the first one's place. Reading stops at a row that has no name
 * or no prompt column, as it does there; a row that is too short has null for what it lacks.
 */
export function parseStylesCsv(text: string): PromptStyle[] {
  const [header = [], ...rows] = parseCsv(
    text.replace(/^\ufeff/, '').slice(0, MAX_STYLES_CHARACTERS),
  );
  const column = (name: string): number => header.lastIndexOf(name);
  const nameColumn = column('name');
  const promptColumn = column('prompt') >= 0 ? column('prompt') : column('text');
  const negativeColumn = column('negative_prompt');
  const styles = new Map<string, PromptStyle>();
  if (nameColumn < 0 || promptColumn < 0) return [];
  for (const row of rows) {
    if (row.length === 0) continue;
    const name = row[nameColumn];
    if (name === undefined) break;
    if (name.startsWith('#')) continue;
    const prompt = row[promptColumn] ?? null;
    const negativePrompt = negativeColumn < 0 ? '' : (row[negativeColumn] ?? null);
    styles.set(name, { name, prompt, negativePrompt });
  }
  return [...styles.values()];
}

/** Writes `styles.csv` as A1111 does: byte order mark, CRLF, quotes only where needed. */
export function formatStylesCsv(styles: readonly PromptStyle[]): string {
  const rows = styles.map(({ name, prompt, negativePrompt }) => [
    name,
    prompt ?? '',
    negativePrompt ?? '',
  ]);
  return `\ufeff${[['name', 'prompt', 'negative_prompt'], ...rows]
    .map((row) => `${row.map(quoteField).join(',')}\r\n`)
    .join('')}`;
}

/**
 * The styles of several files in one list: before each file's own an entry that names the file, and of equal names
 * the last file's text. One file alone has no such entry.
 */
export function mergeStyleFiles(
  files: readonly { readonly name: string; readonly styles: readonly PromptStyle[] }[],
): PromptStyle[] {
  const merged = new Map<string, PromptStyle>();
  for (const file of files) {
    if (files.length > 1) {
      const name = centered(` ${file.name.replace(/\.csv$/i, '').toUpperCase()} `, 40);
      merged.set(name, { name, prompt: null, negativePrompt: null });
    }
    for (const style of file.styles) merged.set(style.name, style);
  }
  return [...merged.values()];
}

/** Python's `text.center(width, '-')`. */
function centered(text: string, width: number): string {
  const fill = Math.max(0, width - text.length);
  const left = (fill >> 1) + (fill & width & 1);
  return '-'.repeat(left) + text + '-'.repeat(fill - left);
}

function quoteField(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}

/** CSV as Python's reader takes it with `skipinitialspace`: quotes only count at a field's start. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let at = 0;
  while (at < text.length) {
    const row: string[] = [];
    for (;;) {
      while (text[at] === ' ') at++;
      const isQuoted = text[at] === '"';
      const field = isQuoted ? readQuoted(text, at + 1) : readPlain(text, at);
      at = field.end;
      // A blank line is a row of no fields.
      const isLineEnd = at >= text.length || text[at] !== ',';
      if (!(isLineEnd && row.length === 0 && !isQuoted && field.value === ''))
        row.push(field.value);
      if (isLineEnd) break;
      at++;
    }
    if (text[at] === '\r' && text[at + 1] === '\n') at++;
    at++;
    rows.push(row);
  }
  return rows;
}

interface Field {
  readonly value: string;
  readonly end: number;
}

function readPlain(text: string, start: number): Field {
  let end = start;
  while (end < text.length && !/[,\r\n]/.test(text[end] ?? '')) end++;
  return { value: text.slice(start, end), end };
}

function readQuoted(text: string, start: number): Field {
  let value = '';
  let at = start;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return { value: value + text.slice(at), end: text.length };
    value += text.slice(at, quote);
    at = quote + 1;
    if (text[at] !== '"') break;
    value += '"';
    at++;
  }
  // What stands between a closing quote and the comma belongs to the field.
  const rest = readPlain(text, at);
  return { value: value + rest.value, end: rest.end };
}
