import { describe, expect, test } from 'vitest';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import { createContextAlignment } from '../../web/engine/context-alignment.ts';
import type { TextContext } from '../../web/engine/diffusion-model.ts';
import { createLocalEngine } from '../../web/engine/local-engine.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';

/** Texts of unlike lengths in one call: A1111's rules, and what the engine makes of them. */

const context = (...values: number[]): TextContext => ({
  ...{ tokens: values.length, values: Float32Array.from(values), textEmbeds: null },
});
const values = (contexts: readonly TextContext[]) => contexts.map((one) => [...one.values]);
const [one, two, four] = [context(1), context(2, 3), context(4, 5, 6, 7)];
const empty = context(9);

describe('parts that AND joins', () => {
  test('become as long as the longest by their last vector, and are the same ones every time', () => {
    const align = createContextAlignment({ padding: 'separate', empty: null });
    const first = align({ parts: [one, two, four], negative: one });
    expect(values(first.parts)).toEqual([
      [1, 1, 1, 1],
      [2, 3, 3, 3],
      [4, 5, 6, 7],
    ]);
    expect(first.negative).toBe(one);
    expect(align({ parts: [one, two, four], negative: one }).parts[0]).toBe(first.parts[0]);
  });

  test('of one length stay what they are', () => {
    const align = createContextAlignment({ padding: 'pad', empty });
    const parts = [two, context(7, 8)];
    expect(align({ parts, negative: null })).toEqual({ parts, negative: null });
  });
});

describe('prompt and negative prompt', () => {
  test.each([
    ['separate', [[1]], [4, 5, 6, 7], false],
    ['pad', [[1, 9, 9, 9]], [4, 5, 6, 7], true],
    ['pad-v0', [[1]], [4], true],
  ] as const)('a shorter prompt: %s', (padding, parts, negative, isPadded) => {
    let pads = 0;
    const align = createContextAlignment({ padding, empty, onPad: () => pads++ });
    const made = align({ parts: [one], negative: four });
    expect(values(made.parts)).toEqual(parts);
    expect([...made.negative!.values]).toEqual(negative);
    expect(pads > 0).toBe(isPadded);
  });

  test.each([
    ['separate', [1], false],
    ['pad', [1, 9, 9, 9], true],
    ['pad-v0', [1, 1, 1, 1], true],
  ] as const)('a longer prompt: %s', (padding, negative, isPadded) => {
    let pads = 0;
    const align = createContextAlignment({ padding, empty, onPad: () => pads++ });
    // The parts are brought together first: it is their common length that counts.
    const made = align({ parts: [two, four], negative: one });
    expect(values(made.parts)).toEqual([
      [2, 3, 3, 3],
      [4, 5, 6, 7],
    ]);
    expect([...made.negative!.values]).toEqual(negative);
    expect(pads > 0).toBe(isPadded);
  });
});

test('the engine pads as it is told, and says so', async () => {
  const access = nodeAccess();
  const engine = createLocalEngine({ ...ENGINE_CONFIG, precision: 'fp32' }, access);
  const long = Array.from({ length: 90 }, (_, i) => (i % 2 ? 'a cat' : 'dog')).join(' ');
  const make = async (change: Partial<GenerationParams>) => {
    // An empty negative prompt filled with empty ones would be what it was.
    const size = {
      width: 64,
      height: 64,
      steps: 2,
      seed: 3,
      guidanceScale: 30,
      negativePrompt: 'dog dog',
    };
    let infotext = '';
    const before = access.pictures.length;
    await engine.generate(
      { ...GENERATION_DEFAULTS, ...size, prompt: long, ...change },
      {
        onImage: (image) => {
          infotext = image.infotext;
        },
      },
    );
    return { infotext, pixels: access.pictures[before]!.data };
  };
  try {
    const apart = await make({});
    const padded = await make({ uncondPadding: 'pad' });
    const old = await make({ uncondPadding: 'pad-v0' });
    expect(apart.infotext).not.toContain('Pad conds');
    expect(padded.infotext).toMatch(/, Pad conds: True,/);
    expect(old.infotext).toMatch(/, Pad conds v0: True,/);
    expect(padded.pixels).not.toEqual(apart.pixels);
    expect(old.pixels).not.toEqual(apart.pixels);
    expect(old.pixels).not.toEqual(padded.pixels);
    const short = { prompt: 'a cat', negativePrompt: 'a dog' };
    const even = await make({ ...short, uncondPadding: 'pad' });
    expect(even.infotext).not.toContain('Pad conds');
    expect(even.pixels).toEqual((await make(short)).pixels);
  } finally {
    await engine.close();
  }
});
