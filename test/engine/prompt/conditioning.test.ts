import { describe, expect, test } from 'vitest';
import { alignConditioning, type Conditioning } from '../../../web/engine/prompt/conditioning.ts';

const cond = (...values: number[]): Conditioning => ({
  values: Float32Array.from(values),
  tokens: values.length,
  channels: 1,
});

describe('cond and uncond of unequal length', () => {
  const long = cond(1, 2, 3, 4);
  const short = cond(5, 6);
  const empty = cond(8, 9);

  test('are denoised apart unless a setting says otherwise', () => {
    expect(alignConditioning(long, short, 'separate', empty)).toEqual({
      cond: long,
      uncond: short,
      isPadded: false,
    });
    expect(alignConditioning(short, cond(1, 2), 'pad', empty).isPadded).toBe(false);
  });

  test('pad_cond_uncond fills the shorter one with empty prompts', () => {
    expect(alignConditioning(long, short, 'pad', empty)).toEqual({
      cond: long,
      uncond: cond(5, 6, 8, 9),
      isPadded: true,
    });
    expect(alignConditioning(short, long, 'pad', empty).cond).toEqual(cond(5, 6, 8, 9));
  });

  test('pad_cond_uncond_v0 cuts or stretches uncond alone', () => {
    expect(alignConditioning(long, short, 'pad-v0', empty).uncond).toEqual(cond(5, 6, 6, 6));
    const cut = alignConditioning(short, long, 'pad-v0', empty);
    expect([...cut.uncond.values]).toEqual([1, 2]);
    expect(cut.cond).toBe(short);
  });
});
