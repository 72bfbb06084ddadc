import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/**
 * What clients need of the API, line by line: must-haves, should-haves, nice-to-haves, quirks of requests, guarantees of
 * replies, conformance. Each is the number of lines of its list.
 */
const LISTS = { M: 18, S: 10, N: 10, Q: 19, G: 11, C: 17 } as const;

/** Where each line's test is. */
const lines: Record<string, Record<string, string>> = JSON.parse(
  readFileSync(new URL('requirement-lines.json', import.meta.url), 'utf8'),
);
const texts = new Map<string, string>();

function textOf(path: string): string {
  const known =
    texts.get(path) ?? readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
  texts.set(path, known);
  return known;
}

describe.each(Object.entries(LISTS))('list %s', (letter, count) => {
  const files = lines[letter] ?? {};

  it('has every line', () => {
    expect(Object.keys(files)).toEqual(Array.from({ length: count }, (_, i) => String(i + 1)));
  });

  it.each(Object.entries(files))(`${letter}%s has a test of its name in %s`, (number, path) => {
    // The name of a test or of a group of them: `'[M6, Q2] …'`, behind `it(`, `describe(` or a table's `)(`.
    const named = new RegExp(`\\(\\s*['"\`]\\[(?:\\w+, )*${letter}${number}(?:, \\w+)*\\]`);
    expect(textOf(path)).toMatch(named);
  });
});
