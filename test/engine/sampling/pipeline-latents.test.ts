import { describe, expect, it } from 'vitest';
import { isFloatLabel } from '../../../protocol/infotext-values.ts';
import { resolveSamplerAndScheduler } from '../../../protocol/sampler-names.ts';
import { type SamplerName, samplerInfo } from '../../../protocol/samplers.ts';
import {
  CFG_PLUS_PLUS_GUIDANCE_FACTOR,
  guidanceWeights,
  type ModelCall,
  type SkipReason,
  sigmaCoefficients,
  skippingInfotext,
  skipReason,
  timestepCoefficients,
} from '../../../web/engine/sampling/denoiser.ts';
import { createFloat32Math } from '../../../web/engine/sampling/float32-math.ts';
import { latentShape, latentSize, startLatents } from '../../../web/engine/sampling/latents.ts';
import { createLcmSchedule } from '../../../web/engine/sampling/lcm-schedule.ts';
import {
  createNoiseSchedule,
  noiseScheduleInfotext,
} from '../../../web/engine/sampling/noise-schedule.ts';
import { createBrownianNoise } from '../../../web/engine/sampling/rng/brownian.ts';
import { createImageRng } from '../../../web/engine/sampling/rng/image-rng.ts';
import {
  runSigmaSampler,
  runTimestepSampler,
} from '../../../web/engine/sampling/samplers/run-sampler.ts';
import { createSamplingPlan } from '../../../web/engine/sampling/sampling-plan.ts';
import { settingsOf, type VectorOptions } from './settings.ts';
import { expectClose, readVectors } from './vectors.ts';

/**
 * Whole sampling runs of A1111 around its toy network, from seeds to latents. Prompts are not parsed here: the texts
 * of each call are those that the vectors say the network was called with. Hires and masks that change pictures are
 * tested with the pictures they need.
 */
interface Job {
  name: string;
  kind: 'txt2img' | 'img2img';
  request: {
    prompt: string;
    seed: number;
    subseed: number;
    subseed_strength?: number;
    seed_enable_extras?: boolean;
    seed_resize_from_w?: number;
    seed_resize_from_h?: number;
    steps: number;
    width: number;
    height: number;
    cfg_scale: number;
    sampler_name: string;
    scheduler?: string;
    batch_size?: number;
    n_iter?: number;
    eta?: number;
    s_churn?: number;
    s_noise?: number;
    s_min_uncond?: number;
    denoising_strength?: number;
    initial_noise_multiplier?: number;
    images?: number;
    image?: string;
    mask?: string;
    inpainting_fill?: number;
    inpainting_mask_invert?: number;
    enable_hr?: boolean;
    override_settings?: VectorOptions;
  };
  passes?: { images: (number[] | { head: number[]; tail: number[] })[] }[];
  network_calls: number;
  first_calls: [t: number, texts: number[]][];
  encoded_texts: string[];
  infotexts: string[];
}
interface Picture {
  width: number;
  height: number;
  data: string;
}

const vectors = readVectors<{ jobs: Job[]; images: Record<string, Picture> }>('pipeline');
const math = createFloat32Math();
const VAE_FACTOR = 8;

/** What the README of the vectors allows. */
const TOLERANCE = 3e-4;
/**
 * Runs in which the toy network and a guidance of 7 make more of float32's last digit: one value of 256 is off by 6e-4
 * and 7e-4 in the first two, two by 4e-4 in the third.
 */
const COARSE: Readonly<Record<string, number>> = {
  'old style name': 1e-3,
  'zero terminal SNR': 1e-3,
  'sampler DPM fast': 5e-4,
};
/** Model times; DPM adaptive chooses its own from what the network answered. */
const timeTolerance = (name: string) => (name.includes('DPM adaptive') ? 5e-3 : 5e-4);

const jobs = vectors.jobs.filter(
  ({ passes, request }) =>
    passes &&
    !request.enable_hr &&
    // Masks that A1111's blur and resizing leave as they are, over the picture's own latents.
    (!request.mask || (request.mask === 'square' && request.inpainting_fill === 1)) &&
    !request.image &&
    // These need A1111's resizing of pictures.
    !(request.images === undefined && request.width !== 64 && 'denoising_strength' in request),
);

/** The value that stands for a text's conditioning. */
function textValue(text: string): number {
  const bytes = new TextEncoder().encode(text);
  return (bytes.reduce((sum, byte, i) => sum + byte * (i + 1), 0) % 1009) / 1009;
}

/** The toy VAE: the mean of each block of 8 by 8 pixels, and the mean of the three as a fourth channel. */
function encode({ width, height, data }: Picture): Float32Array {
  const pixels = Buffer.from(data, 'base64');
  const [rows, columns] = [height / VAE_FACTOR, width / VAE_FACTOR];
  const latents = new Float32Array(4 * rows * columns);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const block = Math.floor(y / VAE_FACTOR) * columns + Math.floor(x / VAE_FACTOR);
      for (let channel = 0; channel < 3; channel++) {
        const value = (pixels[(y * width + x) * 3 + channel]! / 255) * 2 - 1;
        latents[channel * rows * columns + block]! += value / VAE_FACTOR ** 2;
        latents[3 * rows * columns + block]! += value / VAE_FACTOR ** 2 / 3;
      }
    }
  }
  return latents;
}

/** The texts of every call of the network, in its row order: parts of each picture's prompt, then negatives. */
function textsOfCalls(job: Job): (call: number) => number[] {
  const exact = new Map(
    job.encoded_texts.map((text) => [textValue(text).toFixed(5), textValue(text)]),
  );
  let rows = job.first_calls.map(([, texts]) => texts.map((h) => exact.get(h.toFixed(5)) ?? h));
  if (job.request.override_settings?.batch_cond_uncond === false) {
    rows = rows.filter((_, i) => i % 2 === 0).map((texts, i) => [...texts, ...rows[2 * i + 1]!]);
  }
  return (call) => rows[Math.min(call, rows.length - 1)]!;
}

/** Puts the picture back where the mask "square" (16, 16 to 48, 40 pixels) does not let it change. */
function blendKnown(
  latents: Float32Array,
  initLatents: Float32Array,
  isInverted: boolean,
): Float32Array {
  return latents.map((value, i) => {
    const [x, y] = [i % 8, Math.floor(i / 8) % 8];
    const isMasked = x >= 2 && x < 6 && y >= 2 && y < 5;
    return isMasked !== isInverted ? value : initLatents[i % initLatents.length]!;
  });
}

/** The weights of a prompt's AND parts. */
function partWeights(prompt: string): number[] {
  return prompt.split(' AND ').map((part) => Number(/ :(-?[\d.]+)$/.exec(part)?.[1] ?? 1));
}

async function runPass(job: Job, pass: number) {
  const { request } = job;
  const options = request.override_settings ?? {};
  const number = (key: string) => options[key] as number | undefined;
  const batchSize = request.batch_size ?? 1;
  const hasExtras = request.seed_enable_extras ?? true;
  const subseedStrength = hasExtras ? (request.subseed_strength ?? 0) : 0;
  const indexes = Array.from({ length: batchSize }, (_, i) => pass * batchSize + i);
  const seeds = indexes.map((i) => request.seed + (subseedStrength === 0 ? i : 0));
  const [channels, rows, columns] = latentShape({ ...request, channels: 4, vaeFactor: VAE_FACTOR });
  const shape = [channels, rows, columns] as const;
  const size = latentSize(shape);
  const source = options.randn_source === 'CPU' ? 'cpu' : 'nv';
  const rng = createImageRng({
    shape,
    seeds,
    subseeds: indexes.map((i) => request.subseed + i),
    subseedStrength,
    seedResizeFromHeight: request.seed_resize_from_h ?? 0,
    seedResizeFromWidth: request.seed_resize_from_w ?? 0,
    source,
    etaNoiseSeedDelta: number('eta_noise_seed_delta') ?? 0,
  });

  const scheduleOptions = {
    zeroTerminalSnr: options.sd_noise_schedule === 'Zero Terminal SNR',
    downcastAlphas: Boolean(options.use_downcasted_alpha_bar),
  };
  const schedule = createNoiseSchedule(scheduleOptions);
  const choice = resolveSamplerAndScheduler(request.sampler_name, request.scheduler);
  const plan = createSamplingPlan(
    {
      ...choice,
      mode: job.kind,
      steps: request.steps,
      denoisingStrength: request.denoising_strength ?? 0.75,
      eta: request.eta ?? null,
      sChurn: request.s_churn ?? 0,
      sNoise: request.s_noise ?? 1,
      initialNoiseMultiplier: request.initial_noise_multiplier ?? null,
      settings: settingsOf(samplingSettings(options)),
    },
    schedule,
  );
  const init =
    job.kind === 'img2img'
      ? ['init', 'second']
          .slice(0, request.images ?? 1)
          .map((name) => encode(vectors.images[name]!))
      : null;
  const initLatents = init && Float32Array.from(init.flatMap((latents) => [...latents]));
  const x = startLatents(plan.start, rng.first(), initLatents);

  const skipping = {
    sMinUncond: number('s_min_uncond') ?? request.s_min_uncond ?? 0,
    isEveryCall: Boolean(options.s_min_uncond_all),
    skipEarly: number('skip_early_cond') ?? 0,
  };
  const weights = partWeights(request.prompt);
  const textsAt = textsOfCalls(job);
  const skipped = new Set<SkipReason>();
  const times: number[] = [];
  const coefficientsAt = coefficientsOf(
    plan.sampler,
    schedule,
    Boolean(options.enable_quantization),
  );
  let calls = 0;

  const isInverted = request.inpainting_mask_invert === 1;
  const blend = (latents: Float32Array) =>
    request.mask && initLatents ? blendKnown(latents, initLatents, isInverted) : latents;
  // The timestep samplers put the picture back before the network sees the latents, the others after.
  const isBlendedBefore = plan.kind === 'timestep';

  const predict = async (given: Float32Array, level: number) => {
    const latents = isBlendedBefore ? blend(given) : given;
    const call: ModelCall = { call: calls++, totalCalls: plan.totalCalls, level };
    const reason = skipReason(skipping, call);
    if (reason) skipped.add(reason);
    const { inputScale, timestep, skip, output } = coefficientsAt(level);
    times.push(timestep);
    const texts = textsAt(call.call);
    expect(texts).toHaveLength(batchSize * (weights.length + (reason ? 0 : 1)));
    const unet = (textOf: (image: number) => number) =>
      latents.map((value, i) => {
        const scaled = value * inputScale;
        const phase = 2 * scaled + timestep / 100 + 6 * textOf(Math.floor(i / size));
        return (0.2 + (0.7 * timestep) / 1000) * scaled + 0.1 * Math.sin(phase);
      });
    const conds = weights.map((_, part) => unet((image) => texts[image * weights.length + part]!));
    const uncond = reason ? conds[0]! : unet((image) => texts[batchSize * weights.length + image]!);
    const isPlusPlus = plan.sampler === 'DDIM CFG++';
    const scale = request.cfg_scale * (isPlusPlus ? CFG_PLUS_PLUS_GUIDANCE_FACTOR : 1);
    const shares = guidanceWeights(weights, reason ? 1 : scale);
    const guided = await math.combine([
      [skip, latents],
      [output * shares.uncond, uncond],
      ...conds.map((cond, i) => [output * shares.conds[i]!, cond] as const),
    ]);
    return { guided: isBlendedBefore ? guided : blend(guided), uncond };
  };

  const final =
    plan.kind === 'sigma'
      ? await runSigmaSampler(plan.sampler, x, plan.sigmas, {
          math,
          noise: samplerInfo(choice.sampler).usesBrownianNoise
            ? createBrownianNoise({
                seeds,
                size,
                sigmaMin: plan.sigmaRange.min,
                sigmaMax: plan.sigmaRange.max,
                source,
              })
            : () => rng.next(),
          denoiser: async (latents, sigma) => (await predict(latents, sigma)).guided,
          options: plan.options,
        })
      : await runTimestepSampler(plan.sampler, x, plan.timesteps, {
          math,
          noise: () => rng.next(),
          alphasCumprod: schedule.alphasCumprod,
          predictNoise: predict,
          options: plan.options,
        });
  const infotext = {
    ...noiseScheduleInfotext(scheduleOptions),
    ...plan.infotext,
    ...Object.assign({}, ...[...skipped].map((reason) => skippingInfotext(skipping, reason))),
  };
  return { final, size, times, infotext: infotext as Record<string, string | number | boolean> };
}

function coefficientsOf(
  sampler: SamplerName,
  schedule: ReturnType<typeof createNoiseSchedule>,
  isQuantized: boolean,
) {
  if (sampler === 'LCM') return sigmaCoefficients('lcm', createLcmSchedule(schedule));
  return ['DDIM', 'DDIM CFG++', 'PLMS', 'UniPC'].includes(sampler)
    ? timestepCoefficients('epsilon', schedule)
    : sigmaCoefficients('epsilon', schedule, isQuantized);
}

/** Settings of A1111 that sampling itself takes; the others are read where they matter or have no say here. */
function samplingSettings(options: VectorOptions): VectorOptions {
  const elsewhere = new Set([
    's_min_uncond',
    's_min_uncond_all',
    'skip_early_cond',
    'eta_noise_seed_delta',
    'randn_source',
    'enable_quantization',
    'sd_noise_schedule',
    'use_downcasted_alpha_bar',
    'CLIP_stop_at_last_layers',
    'use_old_scheduling',
    'batch_cond_uncond',
    'add_version_to_infotext',
    'add_model_hash_to_info',
    'add_model_name_to_info',
  ]);
  return Object.fromEntries(Object.entries(options).filter(([key]) => !elsewhere.has(key)));
}

function infotextValue(key: string, value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  const isWholeFloat = typeof value === 'number' && isFloatLabel(key);
  return isWholeFloat && Number.isInteger(value) ? `${value}.0` : String(value);
}

describe('whole sampling runs', () => {
  it('covers most of the jobs', () => {
    expect(jobs.length).toBeGreaterThan(90);
  });

  it.each(jobs)('$name', async (job) => {
    const times: number[] = [];
    const tolerance = COARSE[job.name] ?? TOLERANCE;
    for (const [index, pass] of job.passes!.entries()) {
      const got = await runPass(job, index);
      times.push(...got.times);
      for (const [image, want] of pass.images.entries()) {
        const latents = got.final.subarray(image * got.size, (image + 1) * got.size);
        const what = `pass ${index}, image ${image}`;
        if (Array.isArray(want)) expectClose(latents, want, tolerance, { what });
        else {
          expectClose(latents.subarray(0, want.head.length), want.head, tolerance, { what });
          expectClose(latents.subarray(got.size - want.tail.length), want.tail, tolerance, {
            what,
          });
        }
      }
      const parameters = job.infotexts[index * (job.request.batch_size ?? 1)]!.split('\n').at(-1)!;
      for (const [key, value] of Object.entries(got.infotext)) {
        expect(`, ${parameters},`).toContain(`, ${key}: ${infotextValue(key, value)},`);
      }
    }
    const isApart = job.request.override_settings?.batch_cond_uncond === false;
    expect(times.length * (isApart ? 2 : 1)).toBe(job.network_calls);
    if (isApart) return;
    const asked = job.first_calls.map(([t]) => t);
    expectClose(times.slice(0, asked.length), asked, timeTolerance(job.name), {
      isAbsolute: true,
    });
  });
});
