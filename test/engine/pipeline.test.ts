import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import { SAMPLERS, SCHEDULERS } from '../../protocol/samplers.ts';
import { jobInfotext } from '../../web/engine/job-infotext.ts';
import { type FinishedPicture, generate } from '../../web/engine/pipeline.ts';
import type { GenerationProgress } from '../../web/shared/engine.ts';
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
  passes: { images: StoredLatents[] }[];
  network_calls: number;
  first_calls: [number, number[]][];
  infotexts: string[];
  image_sizes: [number, number, string][];
  image_blocks?: string[];
  images?: StoredImage[];
}

const vectors = JSON.parse(
  readFileSync(new URL('../fixtures/vectors/pipeline.json', import.meta.url), 'utf8'),
) as { jobs: VectorJob[]; images: Record<string, StoredImage> };

const CHECKPOINT = { name: 'toy-model', hash: '0123456789' };

/** Requests whose fields a generation has; masks, hires and settings of A1111 beyond that are later work. */
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
};
const SETTINGS: Readonly<Record<string, (value: never) => Partial<GenerationParams>>> = {
  CLIP_stop_at_last_layers: (clipSkip: number) => ({ clipSkip }),
  eta_noise_seed_delta: (etaNoiseSeedDelta: number) => ({ etaNoiseSeedDelta }),
  randn_source: (source: string) => ({
    randnSource: source.toLowerCase() as GenerationParams['randnSource'],
  }),
};

/** The job as the bridge would hand it on, or null where it asks for what a generation does not have. */
function toParams({ kind, request }: VectorJob): GenerationParams | null {
  let params: GenerationParams = { ...GENERATION_DEFAULTS, mode: kind, randnSource: 'nv' };
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
      for (const [name, setting] of Object.entries(value as object)) {
        const read = SETTINGS[name];
        if (!read) return null;
        params = { ...params, ...read(setting as never) };
      }
    } else if (key === 'images') {
      params = { ...params, initImages: ['init', 'second'] };
    } else {
      const read = FIELDS[key];
      if (!read) return null;
      params = { ...params, ...read(value as never) };
    }
  }
  return params;
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
      const { width, height, data } = vectors.images[name]!;
      return { width, height, data: new Uint8Array(Buffer.from(data, 'base64')) };
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

const jobs = vectors.jobs.flatMap((job) => {
  const params = toParams(job);
  return params ? [{ name: job.name, job, params }] : [];
});

describe('whole jobs end as in A1111', () => {
  test('most of the vectors are within reach', () => {
    expect(jobs.length).toBeGreaterThan(70);
  });

  test.each(jobs)('$name', async ({ job, params }) => {
    const { model, pictures, result } = await run(params);
    const [width, height] = job.image_sizes[0]!;
    expect({ width: result.width, height: result.height }).toEqual({ width, height });
    expect(model.calls).toHaveLength(job.network_calls);
    for (const [place, [timestep]] of job.first_calls.entries()) {
      expect(model.calls[place]!.timestep).toBeCloseTo(timestep, 2);
    }
    for (const [batch, latents] of model.samples.entries()) {
      const { images } = job.passes[batch]!;
      const size = latents.length / images.length;
      for (const [place, stored] of images.entries()) {
        expectLatents(latents.subarray(place * size, (place + 1) * size), stored);
      }
    }
    expect(pictures).toHaveLength(job.image_sizes.length);
    expect(pictures.map((picture) => jobInfotext(params, picture, CHECKPOINT, '0.1.0'))).toEqual(
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
