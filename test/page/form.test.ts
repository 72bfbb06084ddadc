import { describe, expect, it } from 'vitest';
import { generationParams, MAX_RANDOM_SEED } from '../../protocol/generation.ts';
import {
  drawSeed,
  FORM_DEFAULTS,
  findProblems,
  hiresSize,
  NUMBER_FIELDS,
  NUMBER_RULES,
  toEditParams,
  toGenerationParams,
  toUpscaleParams,
} from '../../web/page/form.ts';

function paramsOf(overrides: Partial<typeof FORM_DEFAULTS>) {
  const result = toGenerationParams({ ...FORM_DEFAULTS, ...overrides }, { draw: () => 99 });
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result.params;
}

describe('the second pass', () => {
  it("is made only where it is switched on, with null for what is the first pass's", () => {
    expect(paramsOf({}).hires).toBeNull();
    expect(
      paramsOf({ hires: 'on', hiresScale: '1.5', hiresSampler: 'Euler a' }).hires,
    ).toMatchObject({
      upscaler: 'Latent',
      scale: 1.5,
      steps: 0,
      denoisingStrength: 0.7,
      sampler: 'Euler a',
      scheduler: null,
      prompt: null,
      negativePrompt: null,
    });
  });

  it('is looked at only where it is made', () => {
    const wrong = { ...FORM_DEFAULTS, hiresScale: 'x' };
    expect(findProblems(wrong)).toEqual({});
    expect(findProblems({ ...wrong, hires: 'on' })).toHaveProperty('hiresScale');
    expect(findProblems({ ...wrong, hires: 'on' }, { isImg2img: true })).toEqual({});
  });

  it('has a size as soon as the numbers are there', () => {
    expect(hiresSize({ ...FORM_DEFAULTS, hiresScale: '1.51' })).toEqual({
      width: 768,
      height: 768,
    });
    expect(hiresSize({ ...FORM_DEFAULTS, width: '' })).toBeNull();
  });
});

describe('jobs of Edit', () => {
  const canvas = { initImage: 'UElD', mask: 'TUFTSw==' };
  const editOf = (overrides: Partial<typeof FORM_DEFAULTS>, mask: string | null = canvas.mask) =>
    toEditParams({ ...FORM_DEFAULTS, ...overrides }, { ...canvas, mask }, { draw: () => 99 });

  it('redraw the mask at a size of their own', () => {
    const result = editOf({
      editWidth: '576',
      maskBlur: '8',
      inpaintFill: 'noise',
      inpaintArea: 'masked',
      maskPadding: '16',
      hires: 'on',
    });
    expect(result).toMatchObject({
      params: {
        mode: 'img2img',
        initImages: ['UElD'],
        width: 576,
        height: 512,
        seed: 99,
        hires: null,
        inpaint: {
          mask: 'TUFTSw==',
          blurX: 8,
          blurY: 8,
          fill: 2,
          isOnlyMasked: true,
          padding: 16,
        },
      },
    });
  });

  it('redraw all without a mask', () => {
    expect(editOf({}, null)).toMatchObject({ params: { mode: 'img2img', inpaint: null } });
  });

  it('look at the fields that they are made of', () => {
    expect(editOf({ width: '1', hiresScale: 'x', upscaleBy: 'x' })).toHaveProperty('params');
    expect(editOf({ maskBlur: '-1' })).toHaveProperty('problems.maskBlur');
    expect(editOf({ maskBlur: '-1' }, null)).toHaveProperty('params');
    expect(editOf({ editHeight: '' }, null)).toHaveProperty('problems.editHeight');
    expect(findProblems({ ...FORM_DEFAULTS, editWidth: 'x', maskBlur: 'x' })).toEqual({});
  });

  it('enlarge as the fields say', () => {
    const values = { ...FORM_DEFAULTS, upscaler: 'Nearest', upscaleBy: '1.5', steps: 'x' };
    expect(toUpscaleParams(values, 'UElD')).toMatchObject({
      params: {
        mode: 'upscale',
        initImages: ['UElD'],
        upscale: { upscaler: 'Nearest', scale: 1.5 },
      },
    });
    expect(toUpscaleParams({ ...values, upscaleBy: '99' }, 'UElD')).toHaveProperty(
      'problems.upscaleBy',
    );
  });
});

describe('toGenerationParams', () => {
  it('makes a job of the defaults', () => {
    expect(paramsOf({})).toMatchObject({
      mode: 'txt2img',
      prompt: '',
      steps: 20,
      guidanceScale: 5,
      width: 512,
      height: 512,
      seed: 99,
      sampler: 'Euler',
      scheduler: 'automatic',
      checkpoint: null,
    });
  });

  it('draws a seed for -1 and keeps any other', () => {
    expect(paramsOf({ seed: '-1' }).seed).toBe(99);
    expect(paramsOf({ seed: '0' }).seed).toBe(0);
    expect(paramsOf({ seed: '4294967295' }).seed).toBe(4294967295);
  });

  it('varies a seed, and skips layers, only where asked to', () => {
    expect(paramsOf({})).toMatchObject({ subseed: 99, subseedStrength: 0, clipSkip: 1 });
    expect(paramsOf({ subseed: '5', subseedStrength: '0.3', clipSkip: '2' })).toMatchObject({
      subseed: 5,
      subseedStrength: 0.3,
      clipSkip: 2,
    });
  });

  it('reads blanks around numbers and fractions where they are allowed', () => {
    expect(paramsOf({ steps: ' 8 ', guidanceScale: '6.5' })).toMatchObject({
      steps: 8,
      guidanceScale: 6.5,
    });
  });

  it.each([
    ['steps', '0'],
    ['steps', '1001'],
    ['steps', '2.5'],
    ['steps', ''],
    ['steps', 'many'],
    ['guidanceScale', '-1'],
    ['guidanceScale', 'NaN'],
    ['width', '63'],
    ['height', '4097'],
    ['seed', '-2'],
    ['seed', '1e30'],
    ['batchSize', '17'],
    ['batchCount', '101'],
  ] as const)('names %s when it is "%s"', (field, text) => {
    const result = toGenerationParams({ ...FORM_DEFAULTS, [field]: text });
    expect(result).toMatchObject({ problems: { [field]: { min: NUMBER_RULES[field].min } } });
    expect(Object.keys('problems' in result ? result.problems : {})).toEqual([field]);
  });

  it('names every wrong field at once', () => {
    const problems = findProblems({ ...FORM_DEFAULTS, steps: '', width: '1', seed: 'x' });
    expect(Object.keys(problems).sort()).toEqual(['seed', 'steps', 'width']);
  });

  it('accepts exactly what the protocol accepts at both ends of every range', () => {
    for (const field of NUMBER_FIELDS) {
      for (const value of [NUMBER_RULES[field].min, NUMBER_RULES[field].max]) {
        const params = paramsOf({ [field]: String(value) });
        expect(generationParams.safeParse(params).success, `${field} ${value}`).toBe(true);
      }
    }
  });
});

describe('drawSeed', () => {
  it('stays in the range that A1111 draws from', () => {
    for (let i = 0; i < 1000; i++) {
      const seed = drawSeed();
      expect(Number.isInteger(seed) && seed >= 0 && seed <= MAX_RANDOM_SEED).toBe(true);
    }
  });
});
