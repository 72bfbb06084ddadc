import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  applyNamedStyles,
  applyStyles,
  mergeStyle,
  type PromptStyle,
  removeStyle,
} from '../../protocol/styles.ts';
import { formatStylesCsv, mergeStyleFiles, parseStylesCsv } from '../../protocol/styles-csv.ts';

type Row = [name: string, prompt: string | null, negativePrompt: string | null];

const vectors = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/styles.json', import.meta.url), 'utf8'),
) as {
  merge: { style: string; prompt: string; result: string }[];
  apply: { styles: string[]; prompt: string; result: string }[];
  extract: { style: string; prompt: string; found: boolean; result: string }[];
  files: {
    case: string;
    csv: string;
    styles: Row[];
    applied: {
      names?: string[];
      prompt?: string;
      negative_prompt?: string;
      result?: string;
      negative_result?: string;
    };
    written_back: string;
  }[];
  two_files: { one: string; two: string; styles: [string, string, string | null, string | null][] };
};

const toRow = ({ name, prompt, negativePrompt }: PromptStyle): Row => [
  name,
  prompt,
  negativePrompt,
];

test.each(vectors.merge)('“$style” and “$prompt”', ({ style, prompt, result }) => {
  expect(mergeStyle(style, prompt)).toBe(result);
});

test.each(vectors.apply)('$styles and “$prompt”', ({ styles, prompt, result }) => {
  expect(applyStyles(prompt, styles)).toBe(result);
});

test.each(vectors.extract)('“$style” in “$prompt”', ({ style, prompt, found, result }) => {
  expect(removeStyle(style, prompt)).toBe(found ? result : null);
});

describe('files', () => {
  test.each(vectors.files)('$case', ({ csv, styles, applied, written_back }) => {
    const parsed = parseStylesCsv(csv);
    expect(parsed.map(toRow)).toEqual(styles);
    expect(formatStylesCsv(parsed)).toBe(written_back);
    const { names = parsed.map(({ name }) => name) } = applied;
    const result = applyNamedStyles({ prompt: 'P', negativePrompt: 'N' }, names, parsed);
    // Where A1111 fails on a row that is too short, its missing texts count as empty here.
    expect(result).toEqual({
      prompt: applied.result ?? 'P, tulip, cedar',
      negativePrompt: applied.negative_result ?? 'N, walnut',
    });
  });

  test('two of them', () => {
    const { one, two, styles } = vectors.two_files;
    const merged = mergeStyleFiles([
      { name: 'styles_one.csv', styles: parseStylesCsv(one) },
      { name: 'styles_two.csv', styles: parseStylesCsv(two) },
    ]);
    expect(merged.map((style) => [style.name, ...toRow(style)])).toEqual(styles);
    expect(mergeStyleFiles([{ name: 'styles.csv', styles: parseStylesCsv(two) }])).toHaveLength(1);
  });

  test('any text is a file, in linear time', () => {
    const start = performance.now();
    for (const text of [
      '"'.repeat(100_000),
      '","'.repeat(33_000),
      '\r'.repeat(100_000),
      ','.repeat(100_000),
    ]) {
      expect(parseStylesCsv(text)).toEqual([]);
    }
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});
