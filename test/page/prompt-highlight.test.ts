import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { highlightPrompt } from '../../web/page/prompt-highlight.ts';

const shown = (prompt: string, embeddings: string[] = []) =>
  highlightPrompt(prompt, embeddings)
    .filter(({ kind }) => kind !== 'plain')
    .map(({ kind, text }) => [kind, text]);

describe('highlightPrompt', () => {
  it('colours brackets by what they do to the weight', () => {
    expect(shown('a (red) apple')).toEqual([['stronger', '(red)']]);
    expect(shown('(red:1.3), (blue:0.7), [green]')).toEqual([
      ['stronger', '(red:1.3)'],
      ['weaker', '(blue:0.7)'],
      ['weaker', '[green]'],
    ]);
  });

  it('shows inner brackets in their own colour', () => {
    expect(shown('(a [b] c)')).toEqual([
      ['stronger', '(a '],
      ['weaker', '[b]'],
      ['stronger', ' c)'],
    ]);
  });

  it('marks brackets that nothing closes, and leaves escaped ones alone', () => {
    expect(shown('(a')).toEqual([['stray', '(']]);
    expect(shown('a]')).toEqual([['stray', ']']]);
    expect(shown('\\(a\\)')).toEqual([]);
  });

  it('knows LoRA tags, keywords and textual inversions', () => {
    expect(shown('<lora:ink:0.8> a BREAK b AND my-style', ['my-style'])).toEqual([
      ['network', '<lora:ink:0.8>'],
      ['keyword', 'BREAK'],
      ['keyword', 'AND'],
      ['embedding', 'my-style'],
    ]);
    expect(shown('SAND my-styles', ['my-style'])).toEqual([]);
  });

  it('gives the whole prompt back, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'()[]\\<>:a1. lorBREAK') }), (prompt) => {
        const parts = highlightPrompt(prompt, ['a', 'o.']);
        expect(parts.map(({ text }) => text).join('')).toBe(prompt);
      }),
    );
  });
});
