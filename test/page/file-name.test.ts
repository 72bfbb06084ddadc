import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstWords, pictureFileName } from '../../web/page/file-name.ts';

const date = new Date(2026, 10, 24, 9, 5, 7);

describe('pictureFileName', () => {
  it('is time, first words and seed', () => {
    expect(pictureFileName({ prompt: 'A (red:1.2) apple, 3d', seed: 7, format: 'png', date })).toBe(
      '090507_A-red-1-2-apple-3d_7.png',
    );
  });

  it('keeps letters of every script', () => {
    expect(firstWords('ein grüner Bär, 赤い りんご')).toBe('ein-grüner-Bär-赤い-りんご');
  });

  it('has a name for a prompt without words', () => {
    expect(firstWords('')).toBe('picture');
    expect(firstWords('///...')).toBe('picture');
  });

  it('stays short', () => {
    expect(firstWords('x'.repeat(500))).toHaveLength(40);
    expect(firstWords('one two three four five six seven eight')).toBe(
      'one-two-three-four-five-six',
    );
  });

  it('never holds a path, a dot or anything that a file system refuses', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (prompt) => {
        const name = pictureFileName({ prompt, seed: 1, format: 'png', date });
        expect(name).toMatch(/^090507_[\p{L}\p{N}\p{M}-]+_1\.png$/u);
        expect(name.length).toBeLessThan(70);
      }),
    );
  });
});
