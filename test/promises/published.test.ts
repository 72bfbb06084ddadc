import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../e2e/support/bridge.ts';

const IDS = [
  ...Array.from({ length: 17 }, (_, place) => `S${place + 1}`),
  ...Array.from({ length: 20 }, (_, place) => `R${place + 1}`),
  ...Array.from({ length: 7 }, (_, place) => `D${place + 1}`),
];

/** The rows of every table: cells by row, ids first. */
function rowsOf(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => /^\| [SRD]\d+ \|/.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
}

describe('docs/promises.md', () => {
  const rows = rowsOf(readFileSync(join(ROOT, 'docs/promises.md'), 'utf8'));

  it('has a row of five whole cells for every promise', () => {
    for (const id of IDS) {
      const found = rows.filter(([first]) => first === id);
      expect(found, id).toHaveLength(1);
      expect(found[0], id).toHaveLength(5);
      expect(
        found[0]?.every((cell) => cell !== ''),
        id,
      ).toBe(true);
    }
  });

  it('names tests that are there, with a title that begins with the number', () => {
    for (const [id = '', , , , tests = ''] of rows) {
      const paths = [...tests.matchAll(/`([^`]+\.ts)`/g)].map((match) => match[1] ?? '');
      expect(paths.length, id).toBeGreaterThan(0);
      for (const path of paths) {
        const file = join(ROOT, 'test', path);
        expect(existsSync(file), path).toBe(true);
        const title = new RegExp(`\\b(?:it|test)(?:\\.each)?\\([^'"\`]*['"\`]${id} |['"\`]${id} `);
        expect(title.test(readFileSync(file, 'utf8')), `${id} in ${path}`).toBe(true);
      }
    }
  });
});
