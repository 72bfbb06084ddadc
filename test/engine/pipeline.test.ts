import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  GENERATION_DEFAULTS,
  type GenerationParams,
  type HiresParams,
  hiresParams,
  type InpaintParams,
  inpaintParams,
  samplingOptions,
} from '../../protocol/generation.ts';
import { SAMPLERS, SCHEDULERS } from '../../protocol/samplers.ts';
import { colorTarget, correctColors } from '../../web/engine/images/color-correction.ts';
import type { Pixels } from '../../web/engine/images/pixels.ts';
import type { RgbaPixels } from '../../web/engine/images/rgba.ts';
import { jobInfotext } from '../../web/engine/job-infotext.ts';
import { generate } from '../../web/engine/pipeline/generate.ts';
import type { FinishedPicture } from '../../web/engine/pipeline/job.ts';
import type { GeneratedImage, GenerationProgress } from '../../web/shared/engine.ts';
import { createToyModel } from '../fakes/toy-model.ts';

interface StoredImage {
  mode: string;
  width: number;
  height: number;
  data: string;
}

/** Latents of one picture, whole or, where they are many, their ends. */
type StoredLatents = number[] | { head: number[]; tail: number[] };

interface VectorJob {
  name: string;
  kind: 'txt2img' | 'img2img';
  request: Record<string, unknown>;
  passes: { call: string; shape: number[]; images: StoredLatents[] }[];
  network_calls: number;
  error?: string;
  first_calls: [number, number[]][];
  infotexts: string[];
  image_sizes: [number, number, string][];
  image_blocks?: string[];
  images?: StoredImage[];
}

const vectors = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/pipeline.json', import.meta.url), 'utf8'),
) as {
  jobs: VectorJob[];
  images: Record<string, StoredImage>;
  masks: Record<string, StoredImage>;
};

const CHECKPOINT = { name: 'toy-model', hash: '0123456789' };

/** Fields of requests that are fields of a generation. */
const FIELDS: Readonly<Record<string, (value: never) => Partial<GenerationParams>>> = {
  prompt: (prompt: string) => ({ prompt }),
  negative_prompt: (negativePrompt: string) => ({ negativePrompt }),
  seed: (seed: number) => ({ seed }),
  subseed: (subseed: number) => ({ subseed }),
  subseed_strength: (subseedStrength: number) => ({ subseedStrength }),
  seed_resize_from_w: (seedResizeFromWidth: number) => ({ seedResizeFromWidth }),
  seed_resize_from_h: (seedResizeFromHeight: number) => ({ seedResizeFromHeight }),
  steps: (steps: number) => ({ steps }),
  width: (width: number) => ({ width }),
  height: (height: number) => ({ height }),
  cfg_scale: (guidanceScale: number) => ({ guidanceScale }),
  batch_size: (batchSize: number) => ({ batchSize }),
  n_iter: (batchCount: number) => ({ batchCount }),
  eta: (eta: number) => ({ eta }),
  s_churn: (sChurn: number) => ({ sChurn }),
  s_noise: (sNoise: number) => ({ sNoise }),
  s_min_uncond: (sMinUncond: number) => ({ sMinUncond }),
  denoising_strength: (denoisingStrength: number) => ({ denoisingStrength }),
  resize_mode: (resizeMode: number) => ({ resizeMode }),
  initial_noise_multiplier: (initialNoiseMultiplier: number) => ({ initialNoiseMultiplier }),
  image: (name: string) => ({ initImages: [name] }),
};
/** Fields of a request that are fields of its mask. */
const MASK_FIELDS: Readonly<Record<string, (value: never) => Partial<InpaintParams>>> = {
  mask: (mask: string) => ({ mask: `mask:${mask}` }),
  mask_blur: (blur: number) => ({ blurX: blur, blurY: blur }),
  mask_blur_x: (blurX: number) => ({ blurX }),
  mask_blur_y: (blurY: number) => ({ blurY }),
  mask_round: (isRounded: boolean) => ({ isRounded }),
  inpainting_fill: (fill: number) => ({ fill }),
  inpainting_mask_invert: (invert: number) => ({ isInverted: invert === 1 }),
  inpaint_full_res: (isOnlyMasked: boolean) => ({ isOnlyMasked }),
  inpaint_full_res_padding: (padding: number) => ({ padding }),
};
/** Fields of a request that are fields of its second pass. */
const HIRES_FIELDS: Readonly<Record<string, (value: never) => Partial<HiresParams>>> = {
  enable_hr: () => ({}),
  hr_upscaler: (upscaler: string) => ({ upscaler }),
  hr_scale: (scale: number) => ({ scale }),
  hr_resize_x: (resizeWidth: number) => ({ resizeWidth }),
  hr_resize_y: (resizeHeight: number) => ({ resizeHeight }),
  hr_second_pass_steps: (steps: number) => ({ steps }),
  hr_sampler_name: (sampler: HiresParams['sampler']) => ({ sampler }),
  hr_scheduler: (label: string) => ({
    scheduler: SCHEDULERS.find((scheduler) => scheduler.label === label)!.name,
  }),
  hr_prompt: (prompt: string) => ({ prompt }),
  hr_negative_prompt: (negativePrompt: string) => ({ negativePrompt }),
  denoising_strength: (denoisingStrength: number) => ({ denoisingStrength }),
};
const option = (name: keyof GenerationParams['sampling']) => (value: never) => ({
  sampling: samplingOptions.parse({ [name]: value }),
});
const SETTINGS: Readonly<Record<string, (value: never) => Partial<GenerationParams>>> = {
  CLIP_stop_at_last_layers: (clipSkip: number) => ({ clipSkip }),
  eta_noise_seed_delta: (etaNoiseSeedDelta: number) => ({ etaNoiseSeedDelta }),
  randn_source: (source: string) => ({
    randnSource: source.toLowerCase() as GenerationParams['randnSource'],
  }),
  s_churn: option('sChurn'),
  s_tmin: option('sTmin'),
  s_tmax: option('sTmax'),
  s_noise: option('sNoise'),
  s_min_uncond: (sMinUncond: number) => ({ sMinUncond }),
  s_min_uncond_all: option('isMinUncondOnAllSteps'),
  skip_early_cond: option('skipEarlyCond'),
  enable_quantization: option('isQuantized'),
  sd_noise_schedule: () => ({ sampling: samplingOptions.parse({ zeroTerminalSnr: true }) }),
  use_downcasted_alpha_bar: option('downcastAlphas'),
  sigma_min: option('sigmaMin'),
  sigma_max: option('sigmaMax'),
  rho: option('rho'),
  always_discard_next_to_last_sigma: option('alwaysDiscardNextToLastSigma'),
  sgm_noise_multiplier: option('sgmNoiseMultiplier'),
  img2img_fix_steps: option('img2imgFixSteps'),
  img2img_extra_noise: option('img2imgExtraNoise'),
  use_old_scheduling: (useOldScheduling: boolean) => ({ useOldScheduling }),
};

/** The job as the bridge would hand it on, or null where it asks for what a generation does not have. */
function toParams({ kind, request }: VectorJob): GenerationParams | null {
  let params: GenerationParams = { ...GENERATION_DEFAULTS, mode: kind, randnSource: 'nv' };
  const mask = readFields(request, MASK_FIELDS);
  const hires = readFields(request, HIRES_FIELDS);
  if ('mask' in request) params.inpaint = inpaintParams.parse(mask);
  if ('enable_hr' in request) params.hires = hiresParams.parse(hires);
  if (kind === 'img2img') params = { ...params, initImages: ['init'] };
  for (const [key, value] of Object.entries(request)) {
    if (key === 'sampler_name') {
      const sampler = SAMPLERS.find(({ name }) => name === value)?.name;
      if (!sampler) return null;
      params = { ...params, sampler };
    } else if (key === 'scheduler') {
      const scheduler = SCHEDULERS.find(
        ({ name, label }) => value === name || value === label,
      )?.name;
      if (!scheduler) return null;
      params = { ...params, scheduler };
    } else if (key === 'override_settings') {
      const sampling: Partial<GenerationParams['sampling']> = {};
      for (const [name, setting] of Object.entries(value as object)) {
        const read = SETTINGS[name];
        if (!read) return null;
        const found = read(setting as never);
        for (const [key, own] of Object.entries(found.sampling ?? {})) {
          if (own !== GENERATION_DEFAULTS.sampling[key as 'rho']) sampling[key as 'rho'] = own as 0;
        }
        params = { ...params, ...found };
      }
      params = { ...params, sampling: samplingOptions.parse(sampling) };
    } else if (key === 'images') {
      params = { ...params, initImages: ['init', 'second'] };
    } else if (!(key in FIELDS) && (key in MASK_FIELDS || key in HIRES_FIELDS)) {
      // Read above.
    } else {
      const read = FIELDS[key];
      if (!read) return null;
      params = { ...params, ...read(value as never) };
    }
  }
  return params;
}

function readFields<T>(
  request: Record<string, unknown>,
  fields: Readonly<Record<string, (value: never) => Partial<T>>>,
): Partial<T> {
  const read = Object.entries(request).map(([key, value]) => fields[key]?.(value as never));
  return Object.assign({}, ...read);
}

/** A stored picture as a browser decodes it: with an alpha channel, greys as colours. */
function asRgba({ width, height, data }: StoredImage): RgbaPixels {
  const bytes = Buffer.from(data, 'base64');
  const channels = bytes.length / (width * height);
  const out = new Uint8Array(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < Math.max(3, channels); c++) {
      out[i * 4 + c] = bytes[i * channels + (channels === 1 ? 0 : c)]!;
    }
  }
  return { width, height, data: out };
}

async function run(
  params: GenerationParams,
  control: Partial<Parameters<typeof generate>[0]['control']> = {},
) {
  const model = createToyModel();
  const pictures: FinishedPicture[] = [];
  const result = await generate({
    params,
    model,
    control: { isInterrupted: () => false, isSkipped: () => false, beginBatch() {}, ...control },
    async decodeImage(name) {
      const mask = /^mask:(.*)$/.exec(name)?.[1];
      return asRgba(mask === undefined ? vectors.images[name]! : vectors.masks[mask]!);
    },
    async finishImage(picture) {
      pictures.push(picture);
      return {
        ...{ index: picture.index, format: 'png', bytes: new Uint8Array(0), infotext: '' },
        ...{ prompt: '', negativePrompt: '', seed: picture.seed, subseed: picture.subseed },
        ...{ width: picture.pixels.width, height: picture.pixels.height },
      };
    },
  });
  return { model, pictures, result };
}

function expectLatents(latents: Float32Array, stored: StoredLatents): void {
  const pairs = Array.isArray(stored)
    ? [[latents, stored] as const]
    : [
        [latents.subarray(0, stored.head.length), stored.head] as const,
        [latents.subarray(latents.length - stored.tail.length), stored.tail] as const,
      ];
  for (const [made, expected] of pairs) {
    expect(made).toHaveLength(expected.length);
    const largest = Math.max(1, ...expected.map(Math.abs));
    const off = Math.max(...expected.map((value, i) => Math.abs(value - made[i]!)));
    expect(off).toBeLessThan(2e-3 * largest);
  }
}

/** Top left pixel of every block, as the vectors keep pictures. */
function blocks({ pixels: { width, height, data } }: FinishedPicture): number[] {
  const out: number[] = [];
  for (let y = 0; y < height; y += 8) {
    for (let x = 0; x < width; x += 8) {
      out.push(...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3));
    }
  }
  return out;
}

/** Without the notes, which are Easel's own. */
function infotextsOf(params: GenerationParams, pictures: readonly FinishedPicture[]): string[] {
  return pictures.map((picture) =>
    jobInfotext(params, { ...picture, notes: [] }, CHECKPOINT, '0.1.0'),
  );
}

const jobs = vectors.jobs.flatMap((job) => {
  const params = job.error ? null : toParams(job);
  return params ? [{ name: job.name, job, params }] : [];
});

describe('whole jobs end as in A1111', () => {
  test('most of the vectors are within reach', () => {
    expect(jobs.length).toBeGreaterThan(120);
  });

  test.each(jobs)('$name', async ({ job, params }) => {
    const { model, pictures, result } = await run(params);
    const [width, height] = job.image_sizes[0]!;
    expect({ width: result.width, height: result.height }).toEqual({ width, height });
    expect(model.calls).toHaveLength(job.network_calls);
    for (const [place, [timestep]] of job.first_calls.entries()) {
      expect(model.calls[place]!.timestep).toBeCloseTo(timestep, 2);
    }
    const finals = job.passes.filter(({ call }) => !params.hires || call === 'sample_img2img');
    const finalSize = finals[0]!.shape.reduce((product, side) => product * side, 1);
    // Second passes over pictures decode the first one too.
    const samples = model.samples.filter(({ length }) => length === finalSize);
    expect(samples).toHaveLength(finals.length);
    for (const [batch, latents] of samples.entries()) {
      const { images } = finals[batch]!;
      const size = latents.length / images.length;
      // What the timestep samplers leave, and all under a soft mask, is blended once more before it is decoded.
      if (params.inpaint && (params.sampler === 'DDIM' || !params.inpaint.isRounded)) continue;
      for (const [place, stored] of images.entries()) {
        expectLatents(latents.subarray(place * size, (place + 1) * size), stored);
      }
    }
    expect(pictures).toHaveLength(job.image_sizes.length);
    expect(infotextsOf(params, pictures)).toEqual(
      job.infotexts.map((text) => text.replace('Version: v1.10.1', 'Version: Easel 0.1.0')),
    );
    for (const [index, picture] of pictures.entries()) {
      const whole = job.images?.[index]?.data;
      const bytes = [...Buffer.from(whole ?? job.image_blocks![index]!, 'base64')];
      const made = whole ? [...picture.pixels.data] : blocks(picture);
      expect(made).toHaveLength(bytes.length);
      const off = made.map((value, i) => Math.abs(value - bytes[i]!));
      expect(off.reduce((largest, value) => Math.max(largest, value), 0)).toBeLessThanOrEqual(1);
    }
  });
});

test('substitutions are told in the infotext', async () => {
  const vector = jobs.find(({ name }) => name === 'inpaint empty mask, only masked')!;
  const { pictures } = await run(vector.params);
  const infotext = jobInfotext(vector.params, pictures[0]!, CHECKPOINT, '0.1.0');
  expect(infotext).toContain('Easel notes: "The mask is empty, so');
});

test('an unknown upscaler ends the job with its name', async () => {
  const vector = vectors.jobs.find(({ name }) => name === 'hires unknown upscaler')!;
  await expect(run(toParams(vector)!)).rejects.toMatchObject({
    code: 'invalid-request',
    message: expect.stringContaining('"No such upscaler"'),
  });
});

describe('a job on its way', () => {
  const params: GenerationParams = { ...GENERATION_DEFAULTS, width: 64, height: 64, steps: 6 };

  test('tells every step, rising to the end', async () => {
    const told: GenerationProgress[] = [];
    await run(
      { ...params, batchSize: 2, batchCount: 2 },
      { onProgress: (progress) => told.push(progress) },
    );
    const steps = told.filter(({ stage }) => stage === 'sampling').map(({ step }) => step);
    expect(steps).toEqual([0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6]);
    const fractions = told.map(({ fraction }) => fraction);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
    expect(told[0]).toMatchObject({ stage: 'encoding', fraction: 0, imageCount: 4 });
    expect(told.at(-1)).toMatchObject({ stage: 'decoding', imageIndex: 3, step: 6 });
    expect(fractions.at(-1)).toBeLessThan(1);
  });

  test('ends after the step in which it is interrupted, with the picture as it is', async () => {
    let isInterrupted = false;
    const { model, pictures, result } = await run(
      { ...params, batchCount: 3 },
      {
        isInterrupted: () => isInterrupted,
        onProgress: ({ step, imageIndex }) => {
          if (imageIndex === 1 && step === 2) isInterrupted = true;
        },
      },
    );
    expect(result.interrupted).toBe(true);
    expect(pictures.map(({ index }) => index)).toEqual([0, 1]);
    expect(model.calls).toHaveLength(6 + 2);
  });

  test('drops the picture that is skipped and goes on', async () => {
    let isSkipped = false;
    const { pictures, result } = await run(
      { ...params, batchCount: 3 },
      {
        isSkipped: () => isSkipped,
        beginBatch: () => {
          isSkipped = false;
        },
        onProgress: ({ step, imageIndex }) => {
          if (imageIndex === 1 && step === 2) isSkipped = true;
        },
      },
    );
    expect(result.interrupted).toBe(false);
    expect(pictures.map(({ index }) => index)).toEqual([0, 2]);
  });

  test('rejects with AbortError when it is aborted, at the next step', async () => {
    const abort = new AbortController();
    const aborted = run(params, {
      signal: abort.signal,
      onProgress: ({ step }) => {
        if (step === 2) abort.abort();
      },
    });
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('leaves the negative prompt out where it cancels', async () => {
    const { model } = await run({ ...params, guidanceScale: 1 });
    expect(model.calls.every(({ texts }) => texts.length === 1)).toBe(true);
    const guided = await run({ ...params, guidanceScale: 1, prompt: 'a AND b' });
    expect(guided.model.calls.every(({ texts }) => texts.length === 3)).toBe(true);
  });

  test.each([
    [{ mode: 'img2img', initImages: [] } as const, 'needs a picture'],
    [{ mode: 'img2img', initImages: ['init', 'second'] } as const, 'for a batch of 1'],
    [{ width: 64, height: 4 }, 'too small'],
  ])('is refused when it makes no sense: %j', async (change, message) => {
    await expect(run({ ...params, ...change } as GenerationParams)).rejects.toMatchObject({
      code: 'invalid-request',
      message: expect.stringContaining(message),
    });
  });
});

test('img2img brings its pictures back to the colours of what they were made from, where it is asked to', async () => {
  const size = { width: 64, height: 64 };
  const rgba = new Uint8Array(64 * 64 * 4);
  for (let i = 0; i < 64 * 64; i++) rgba.set([220, (i % 64) * 3, 40, 255], i * 4);
  const make = async (change: Partial<GenerationParams>) => {
    const pictures: Pixels[] = [];
    await generate({
      params: {
        ...{ ...GENERATION_DEFAULTS, ...size, mode: 'img2img', initImages: ['x'], steps: 4 },
        ...{ batchSize: 2, prompt: 'a cat', ...change },
      },
      model: createToyModel(),
      control: { isInterrupted: () => false, isSkipped: () => false, beginBatch() {} },
      decodeImage: async () => ({ ...size, data: rgba }),
      finishImage: async ({ pixels }) => {
        pictures.push(pixels);
        return {} as GeneratedImage;
      },
    });
    return pictures;
  };
  const red = ({ data }: Pixels) =>
    data.reduce((sum, v, i) => sum + (i % 3 === 0 ? v - data[i + 2]! : 0), 0);
  const source = { ...size, data: rgba.filter((_, i) => i % 4 < 3) };
  const [plain, corrected] = [await make({}), await make({ correctsColors: true })];
  expect(corrected).toHaveLength(2);
  for (const [index, picture] of corrected.entries()) {
    expect(picture).toEqual(correctColors(plain[index]!, colorTarget(source)));
    expect(picture).not.toEqual(plain[index]);
    expect(red(picture)).toBeGreaterThan(red(plain[index]!));
  }
});

test('the upscaler of img2img enlarges init pictures, and what is pasted back of an area', async () => {
  const noisy = (width: number, height: number): RgbaPixels => ({
    ...{ width, height },
    data: Uint8Array.from({ length: width * height * 4 }, (_, i) =>
      i % 4 === 3 ? 255 : (i * 97 + (i >> 4) * 31) % 256,
    ),
  });
  const mask = noisy(256, 256);
  // A corner of a large picture is redrawn: 128 pixels of it from 64 of the job.
  for (let i = 0; i < 256 * 256; i++) {
    const isIn = i % 256 < 128 && i < 256 * 128;
    mask.data.fill(isIn ? 255 : 0, i * 4, i * 4 + 3);
  }
  const make = async (picture: RgbaPixels, change: Partial<GenerationParams>) => {
    let made: Pixels | null = null;
    await generate({
      params: {
        ...{ ...GENERATION_DEFAULTS, width: 64, height: 64, mode: 'img2img', steps: 2 },
        ...{ initImages: ['x'], ...change },
      },
      model: createToyModel(),
      control: { isInterrupted: () => false, isSkipped: () => false, beginBatch() {} },
      decodeImage: async (image) => (image === 'mask' ? mask : picture),
      finishImage: async ({ pixels }) => {
        made = pixels;
        return {} as GeneratedImage;
      },
    });
    return made;
  };
  const [small, large] = [noisy(24, 24), noisy(256, 256)];
  const nearest = { resizeUpscaler: 'Nearest' };
  expect(await make(small, nearest)).not.toEqual(await make(small, {}));
  expect(await make(large, nearest)).toEqual(await make(large, {}));
  const inpaint = inpaintParams.parse({
    mask: 'mask',
    isOnlyMasked: true,
    padding: 0,
    blurX: 0,
    blurY: 0,
  });
  expect(await make(large, { ...nearest, inpaint })).not.toEqual(await make(large, { inpaint }));
});
