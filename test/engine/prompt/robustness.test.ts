import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAttention } from '../../../protocol/attention.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import { parsePythonFloat, parsePythonInt, strip } from '../../../protocol/python-text.ts';
import { chunkPrompt } from '../../../web/engine/prompt/chunks.ts';
import { splitComposition } from '../../../web/engine/prompt/composition.ts';
import { countTokens } from '../../../web/engine/prompt/count-tokens.ts';
import { parseExtraNetworks } from '../../../web/engine/prompt/extra-networks.ts';
import { planConditioning } from '../../../web/engine/prompt/plan.ts';
import { schedulePrompt } from '../../../web/engine/prompt/schedules.ts';
import { createClipTokenizer, loadClipVocabulary } from '../../../web/engine/prompt/tokenizer.ts';
import { clip, openClip } from './vectors.ts';

const bits = fc.constantFrom(
  '(',
  ')',
  '[',
  ']',
  ':',
  '|',
  '\\',
  '<',
  '>',
  ' ',
  '\n',
  ',',
  'BREAK',
  'AND',
  '1.5',
  '.',
  '-2',
  '3',
  'lora:',
  'cat',
  '雪',
  '😀',
  '\ud83d',
  '\u3000',
  '&amp;',
  '’',
  '١',
  'Ã¶',
);
const prompt = fc.oneof(
  fc.array(bits, { maxLength: 40 }).map((list) => list.join('')),
  fc.string({ unit: 'binary', maxLength: 200 }),
);

describe('any prompt', () => {
  test('is planned, or refused for a weight', () => {
    fc.assert(
      fc.property(prompt, prompt, fc.integer({ min: 1, max: 30 }), (text, negative, steps) => {
        try {
          const plan = planConditioning({
            prompts: [text],
            negativePrompts: [negative],
            steps,
            tokenizers: [clip, openClip],
            hires: { steps: 5, isSecondOrder: true },
          });
          for (let call = 0; call < steps + 2; call++) {
            for (const ref of plan.firstPass.condAt(call).flat()) {
              expect(plan.groups[ref.group]?.texts[ref.row]).toBeDefined();
            }
            expect(plan.hiresPass?.uncondAt(call)).toHaveLength(1);
          }
          const [first] = plan.groups;
          expect(first?.encoders.map((chunks) => chunks.length)[0]).toBe(
            first?.encoders[1]?.length,
          );
        } catch (error) {
          expect(error).toBeInstanceOf(GenerationError);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('has 77 ids a chunk, framed, and as many multipliers', () => {
    fc.assert(
      fc.property(prompt, (text) => {
        const { chunks } = chunkPrompt(text, clip, { emphasis: 'None' });
        for (const { tokens, multipliers } of chunks) {
          expect([tokens.length, multipliers.length, tokens[0], tokens[76]]).toEqual([
            77,
            77,
            clip.bosId,
            clip.eosId,
          ]);
        }
      }),
    );
  });

  test('keeps every letter outside of its brackets and weights', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('cat', '(', ')', '[', ']', ' '), { maxLength: 30 }),
        (list) => {
          const letters = (text: string): string => text.replace(/[^a-z]/g, '');
          const text = list.join('');
          expect(
            letters(
              parseAttention(text)
                .map((part) => part.text)
                .join(''),
            ),
          ).toBe(letters(text));
          expect(schedulePrompt(text, 10)).toEqual([{ lastStep: 10, text }]);
        },
      ),
    );
  });
});

describe('100,000 characters', () => {
  const size = 100_000;
  const cases: [string, string][] = [
    ['letters', 'a'.repeat(size)],
    ['a long word of many pairs', 'antidisestablishment'.repeat(size / 20)],
    ['blanks', ' '.repeat(size)],
    ['open round brackets', '('.repeat(size)],
    ['open square brackets', '['.repeat(size)],
    ['closed brackets', `${'['.repeat(size / 2)}${']'.repeat(size / 2)}`],
    ['bracketed letters', `${'(a'.repeat(size / 3)}${')'.repeat(size / 3)}`],
    ['nested schedules', `${'['.repeat(size / 4)}a${':1]'.repeat(size / 4)}`],
    ['open schedules', '[a:'.repeat(size / 3)],
    ['bars', '[a|'.repeat(size / 3)],
    ['colons', ':'.repeat(size)],
    ['colons and blanks', ': '.repeat(size / 2)],
    ['weights', '(a:1.1)'.repeat(size / 7)],
    ['open tags', '<lora:a'.repeat(size / 7)],
    ['tags', '<lora:a:1>'.repeat(size / 10)],
    ['BREAK', 'BREAK '.repeat(size / 6)],
    ['blanks between BREAK', ' '.repeat(size / 2) + 'BREAK'.repeat(size / 10)],
    ['AND', 'a AND '.repeat(size / 6)],
    ['commas', 'a, '.repeat(size / 3)],
    ['entities', '&amp'.repeat(size / 4)],
    ['nested entities', `&${'amp;'.repeat(size / 4)}`],
    ['open references', '&#1'.repeat(size / 3)],
    ['garbled text', 'Ã¶'.repeat(size / 2)],
    ['backslashes', '\\'.repeat(size)],
    ['marks', 'e\u0301'.repeat(size / 2)],
    ['emoji', '😀'.repeat(size / 2)],
    ['digits', '(1.'.repeat(size / 3)],
  ];

  test.each(cases)('of %s do not take quadratic time', (_, text) => {
    const start = performance.now();
    splitComposition(text);
    parseExtraNetworks(text);
    schedulePrompt(text, 50);
    try {
      countTokens(text, clip, { steps: 50 });
      chunkPrompt(text, openClip);
    } catch (error) {
      expect(error).toBeInstanceOf(GenerationError);
    }
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

describe('a vocabulary of another size', () => {
  const { bosId, eosId, ...small } = loadClipVocabulary('#version: 0.2\nc a\nca t</w>\n');

  test('is as large as its merges make it', () => {
    expect([bosId, eosId]).toEqual([514, 515]);
    expect(Object.keys(small.vocab)).toHaveLength(516);
  });

  const tokenizer = createClipTokenizer({ ...small, bosId, eosId, padId: 0 });

  test('encodes what it has by its merges, the rest by bytes', () => {
    expect(tokenizer.encode('cat')).toEqual([513]);
    expect(tokenizer.encode('<|endoftext|> CAT')).toEqual([515, 513]);
    expect(tokenizer.encode('雪')).toHaveLength(3);
    expect(tokenizer.commaId).toBe(256 + 44 - 33);
  });

  test('makes the end id of symbols that it lacks', () => {
    const bare = createClipTokenizer({
      vocab: { 'a</w>': 7 },
      merges: [],
      bosId: 1,
      eosId: 2,
      padId: 2,
    });
    expect(bare.encode('a b a')).toEqual([7, 2, 7]);
    expect(bare.commaId).toBeNull();
    expect(chunkPrompt('a b', bare).chunks[0]?.tokens.slice(0, 4)).toEqual([1, 7, 2, 2]);
  });
});

describe('Python’s numbers', () => {
  test.each([
    ['1.5', 1.5],
    [' 1_0.5 ', 10.5],
    ['１.５', 1.5],
    ['١٢', 12],
    ['𝟙', 1],
    ['-.5e3', -500],
    ['5.', 5],
    ['inf', Number.POSITIVE_INFINITY],
    ['-Infinity', Number.NEGATIVE_INFINITY],
    ['nan', Number.NaN],
    ['', null],
    ['.', null],
    ['1__0', null],
    ['0x10', null],
    ['1,5', null],
    ['\ufeff1', null],
  ])('%j', (text, value) => {
    expect(parsePythonFloat(text)).toBe(value);
  });

  test('integers have no point', () => {
    expect([' 12 ', '-3', '1_000', '1.0', ''].map(parsePythonInt)).toEqual([
      12,
      -3,
      1000,
      null,
      null,
    ]);
  });

  test('blanks are Python’s', () => {
    expect(strip('\x1c\x85\u3000a\ufeff \n')).toBe('a\ufeff');
  });
});
