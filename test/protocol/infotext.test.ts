import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatInfotext,
  type ParseInfotextOptions,
  parseInfotext,
} from '../../protocol/infotext.ts';
import { oldFirstPassSize } from '../../protocol/infotext-defaults.ts';
import {
  formatPythonFloat,
  formatValue,
  quoteValue,
  unquoteValue,
} from '../../protocol/infotext-values.ts';
import {
  parseSettingPairs,
  SETTING_NAMES,
  settingOverrides,
} from '../../protocol/setting-names.ts';
import type { PromptStyle } from '../../protocol/styles.ts';

interface ParsedCase {
  infotext: string;
  options?: {
    auto_backcompat?: boolean;
    infotext_skip_pasting?: string[];
    use_old_hires_fix_width_height?: boolean;
    infotext_styles?: NonNullable<ParseInfotextOptions['styleMode']>;
  };
  styles?: boolean;
  result: Record<string, unknown>;
}

const vectors = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/infotext.json', import.meta.url), 'utf8'),
) as {
  parsed: ParsedCase[];
  quote: { value: string | number | boolean | null; quoted: unknown }[];
  unquote: { value: string; unquoted: string }[];
  override_settings: (
    | { pairs: string[]; settings: Record<string, unknown> }
    | { params: Record<string, string>; overrides: [string, string, unknown][] }
  )[];
  setting_names: Record<string, string>;
  first_pass_size: { width: number; height: number; first_pass: [number, number] }[];
  styles_used: [string, string, string][];
};

const styles: PromptStyle[] = vectors.styles_used.map(([name, prompt, negativePrompt]) => ({
  name,
  prompt,
  negativePrompt,
}));

function parseOptions({ options = {}, ...row }: ParsedCase): ParseInfotextOptions {
  return {
    autoBackcompat: options.auto_backcompat ?? true,
    skipKeys: options.infotext_skip_pasting ?? [],
    useOldHiresSize: options.use_old_hires_fix_width_height ?? false,
    styleMode: options.infotext_styles ?? 'Apply if any',
    styles: row.styles ? styles : [],
  };
}

describe('reading', () => {
  test.each(vectors.parsed)('$infotext $options', (row) => {
    expect(parseInfotext(row.infotext, parseOptions(row))).toEqual(row.result);
  });

  test.each(vectors.first_pass_size)('first pass of $width × $height', (row) => {
    const { width, height } = oldFirstPassSize(row.width, row.height);
    expect([width, height]).toEqual(row.first_pass);
  });

  test('labels that are members of every object are plain values', () => {
    const values = parseInfotext('x\n__proto__: 1, constructor: 2, toString: 3');
    expect(Object.entries(values).slice(0, 3)).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
      ['toString', '3'],
    ]);
    expect(Object.getPrototypeOf(values)).toBe(Object.prototype);
  });

  test.each([
    'a'.repeat(100_000),
    'ab:"\\'.repeat(20_000),
    'ab: "x'.repeat(16_000),
    ' '.repeat(100_000),
    'ab '.repeat(33_000),
    ':'.repeat(100_000),
    `${'\n'.repeat(50_000)}${'a: b, '.repeat(8_000)}`,
    `x\n${'key: value, '.repeat(8_000)}`,
  ])('100,000 characters of %.12s… take no time', (text) => {
    const start = performance.now();
    parseInfotext(text, { styles });
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

describe('quoting', () => {
  test.each(vectors.quote)('$value', ({ value, quoted }) => {
    if (typeof value === 'string') expect(quoteValue(value)).toBe(quoted);
    else if (value !== null)
      expect(quoteValue(formatValue('Custom', value))).toBe(pythonText(quoted));
    else
      expect(formatInfotext({ ...FIELDS, extraParams: { Custom: value } })).not.toContain('Custom');
  });
  test.each(vectors.unquote)('$value is $unquoted', ({ value, unquoted }) => {
    expect(unquoteValue(value)).toBe(unquoted);
  });
});

function pythonText(value: unknown): string {
  return typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value);
}

describe('settings', () => {
  test('labels are A1111’s, in its order', () => {
    const names = [...SETTING_NAMES].map(([label, { setting }]) => [label, setting]);
    expect(names).toEqual(Object.entries(vectors.setting_names));
  });

  test.each(vectors.override_settings)('%j', (row) => {
    if ('pairs' in row) {
      expect(parseSettingPairs(row.pairs)).toEqual(row.settings);
    } else {
      const overrides = settingOverrides(row.params);
      expect(overrides.map(({ label, setting, value }) => [label, setting, value])).toEqual(
        row.overrides,
      );
    }
  });
});

const FIELDS = {
  prompt: 'a cat, (red)',
  negativePrompt: '',
  steps: 20,
  sampler: 'Euler a',
  guidanceScale: 7,
  seed: 1,
  width: 512,
  height: 768,
} as const;

describe('writing', () => {
  test('floats are Python’s', () => {
    const numbers = [0, 7, 0.1, 1e-4, 1e-5, 1.5e-7, 123456789012345680, 1e15, 1e16, 2 ** 70, -3];
    expect(numbers.map(formatPythonFloat)).toEqual([
      '0.0',
      '7.0',
      '0.1',
      '0.0001',
      '1e-05',
      '1.5e-07',
      '1.2345678901234568e+17',
      '1000000000000000.0',
      '1e+16',
      '1.1805916207174113e+21',
      '-3.0',
    ]);
    expect(
      [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0].map(formatPythonFloat),
    ).toEqual(['nan', 'inf', '-inf', '-0.0']);
  });

  test('extra parameters take a fixed key’s place, and a value that is its key stands alone', () => {
    const text = formatInfotext({
      ...FIELDS,
      scheduler: 'Automatic',
      extraParams: { 'Schedule type': 'Karras', Tiled: 'Tiled', Gone: null, Flag: true },
      version: 'easel-0.1.0',
    });
    expect(text).toBe(
      'a cat, (red)\nSteps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7.0, Seed: 1, ' +
        'Size: 512x768, Tiled, Flag: True, Version: easel-0.1.0',
    );
  });

  // Keys that A1111 reads back, values that it can hold: no empty ones, no sizes, no blanks at the ends.
  const value = fc.oneof(
    fc.string({ minLength: 1 }),
    fc.constantFrom('a, b', 'x: y', 'q"u, "', '\n', '\\'),
  );
  const extraParams = fc.dictionary(
    fc.stringMatching(/^[A-Za-z][A-Za-z0-9 /-]{1,20}[A-Za-z]$/),
    value.filter((text) => text.trim() === text && text !== '' && !/^\d+x\d+$/.test(text)),
    { maxKeys: 8 },
  );
  const isPlain = (text: string): boolean =>
    text
      .split('\n')
      .every((line) => line === line.trim() && !line.startsWith('Negative prompt:')) &&
    text === text.trim();
  const prompt = fc.string({ unit: 'grapheme' }).filter(isPlain);

  test('what was written is read again', () => {
    fc.assert(
      fc.property(prompt, prompt, extraParams, (text, negativePrompt, extras) => {
        const written = formatInfotext({
          ...FIELDS,
          prompt: text,
          negativePrompt,
          extraParams: extras,
        });
        const values = parseInfotext(written);
        expect(values).toMatchObject({ Prompt: text, 'Negative prompt': negativePrompt });
        for (const [key, extra] of Object.entries(extras)) {
          if (unquoteValue(extra) === extra) expect(values[key]).toBe(extra);
        }
      }),
    );
  });

  test('any text is read', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        expect(parseInfotext(text)).toHaveProperty('Prompt');
      }),
    );
  });
});
