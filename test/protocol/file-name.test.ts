import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstWords, pictureFileName, pictureStem } from '../../protocol/file-name.ts';

const date = new Date(2026, 10, 24, 9, 5, 7);
const anyPrompt = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.stringMatching(/^[a-zA-Zäß赤 ,:()<>[\].0-9-]{0,120}$/),
);

describe('pictureFileName', () => {
  it('is time, first words and seed', () => {
    const prompt = '<lora:ink:0.8> A (red:1.2) apple, semi-3d';
    expect(pictureFileName({ prompt, seed: 7, format: 'png', date })).toBe(
      '090507_A_red_apple_semi-3d_7.png',
    );
    expect(pictureFileName({ prompt: '', seed: 7, format: 'webp', date })).toBe('090507_7.webp');
  });

  it('is the name that the bridge gives the same picture', () => {
    fc.assert(
      fc.property(anyPrompt, fc.nat(), (prompt, seed) => {
        const name = pictureFileName({ prompt, seed, format: 'png', date });
        expect(name).toBe(`${pictureStem(date, prompt, seed)}.png`);
      }),
    );
  });

  it('stays short', () => {
    expect(firstWords('x'.repeat(500))).toHaveLength(40);
    expect(firstWords('one two three four five six seven')).toBe('one_two_three_four_five_six');
  });

  it('never holds a path, a dot or anything that a file system refuses', () => {
    fc.assert(
      fc.property(anyPrompt, (prompt) => {
        const name = pictureFileName({ prompt, seed: 1, format: 'png', date });
        expect(name).toMatch(/^090507_([\p{L}\p{N}\p{M}_-]+_)?1\.png$/u);
      }),
    );
  });
});
