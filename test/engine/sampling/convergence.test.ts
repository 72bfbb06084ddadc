import { describe, expect, it } from 'vitest';
import { createFloat32Math } from '../../../web/engine/sampling/float32-math.ts';
import type { LatentMath } from '../../../web/engine/sampling/latent-math.ts';
import {
  createNoiseSchedule,
  noiseScheduleOf,
} from '../../../web/engine/sampling/noise-schedule.ts';
import { createBrownianNoise } from '../../../web/engine/sampling/rng/brownian.ts';
import { createPhilox } from '../../../web/engine/sampling/rng/philox.ts';
import {
  runSigmaSampler,
  runTimestepSampler,
  type SigmaRunOptions,
  type SigmaSamplerName,
  type TimestepSamplerName,
} from '../../../web/engine/sampling/samplers/run-sampler.ts';
import { karrasSigmas } from '../../../web/engine/sampling/schedulers/curves.ts';

/**
 * For Gaussian data of deviation `SPREAD` the best denoiser is x s^2 / (s^2 + sigma^2), and the exact path scales with
 * sqrt(s^2 + sigma^2). So the order of a solver shows: what doubling its steps does to its error.
 */
const SPREAD = 0.7;
const denoisedAt = (x: number, sigma: number) => (x * SPREAD ** 2) / (SPREAD ** 2 + sigma ** 2);
const [SIGMA_MAX, SIGMA_MIN] = [10, 0.05];
const EXACT = Math.sqrt((SPREAD ** 2 + SIGMA_MIN ** 2) / (SPREAD ** 2 + SIGMA_MAX ** 2));

/** One latent as a double, so that rounding does not hide the order. */
const scalars: LatentMath<number> = {
  combine: async (terms) => terms.reduce((sum, [c, x]) => sum + c * x, 0),
  fromArray: (values) => values[0]!,
  toArray: async (value) => Float32Array.of(value),
  keepOnly() {},
};

async function sigmaError(
  name: SigmaSamplerName,
  steps: number,
  options: SigmaRunOptions = { eta: 0 },
): Promise<number> {
  const ratio = (SIGMA_MIN / SIGMA_MAX) ** (1 / steps);
  const sigmas = Array.from({ length: steps + 1 }, (_, i) => SIGMA_MAX * ratio ** i);
  const end = await runSigmaSampler(name, 1, sigmas, {
    math: scalars,
    noise: () => Float32Array.of(0),
    denoiser: async (x, sigma) => denoisedAt(x, sigma),
    options,
  });
  return Math.abs(end - EXACT) / EXACT;
}

/** 62 and 122 model calls let DPM fast end with a step of order two; other counts end with one of order one. */
const STEPS = [62, 122] as const;

/** The order that two step counts show. */
const orderOf = (coarse: number, fine: number) => Math.log2(coarse / fine);

describe('order of convergence of the sigma samplers', () => {
  it.each([
    ['Euler', 1],
    ['Euler a', 1],
    ['Heun', 2],
    ['DPM2', 2],
    ['DPM2 a', 2],
    ['DPM++ 2M', 2],
    ['DPM++ 2S a', 2],
    ['DPM++ SDE', 2],
    ['DPM++ 2M SDE', 2],
    ['DPM++ 2M SDE Heun', 2],
    ['DPM fast', 3],
  ] as const)('%s without noise is of order %i', async (name, order) => {
    const [coarse, fine] = [await sigmaError(name, STEPS[0]), await sigmaError(name, STEPS[1])];
    expect(orderOf(coarse, fine)).toBeGreaterThan(order - 0.25);
    expect(orderOf(coarse, fine)).toBeLessThan(order + 0.6);
  });

  it.each([
    ['DPM++ 3M SDE', 'DPM++ 2M'],
    ['LMS', 'DPM++ 2M'],
    ['DPM++ 2M', 'Euler'],
    ['Heun', 'Euler'],
  ] as const)('%s comes closer than %s', async (better, worse) => {
    expect(await sigmaError(better, 60)).toBeLessThan(0.7 * (await sigmaError(worse, 60)));
  });

  it('DPM adaptive keeps its tolerance of a twentieth', async () => {
    expect(await sigmaError('DPM adaptive', 1)).toBeLessThan(0.05);
  });
});

/** A noise schedule so fine that timesteps are as good as continuous. */
const fine = noiseScheduleOf(
  Float32Array.from({ length: 1000 }, (_, i) => Math.exp(-0.5 * ((i + 1) / 100) ** 1.3)),
);

async function timestepError(name: TimestepSamplerName, stride: number): Promise<number> {
  const timesteps = Array.from({ length: 240 / stride + 1 }, (_, i) => 20 + i * stride);
  const marginal = (t: number) => {
    const alpha = fine.alphasCumprod[t]!;
    return alpha * SPREAD ** 2 + 1 - alpha;
  };
  const start = Math.sqrt(marginal(timesteps.at(-1)!));
  const end = await runTimestepSampler(name, start, timesteps, {
    math: scalars,
    noise: () => Float32Array.of(0),
    alphasCumprod: fine.alphasCumprod,
    predictNoise: async (x, t) => {
      const alpha = fine.alphasCumprod[t]!;
      const eps = (x * Math.sqrt(1 - alpha)) / (alpha * SPREAD ** 2 + 1 - alpha);
      return { guided: eps, uncond: eps };
    },
  });
  // Along the exact path x keeps its quantile: it scales with the marginal's deviation.
  return Math.abs(end / Math.sqrt(marginal(20)) - 1);
}

describe('order of convergence of the timestep samplers', () => {
  it.each([
    ['DDIM', 1],
    ['DDIM CFG++', 1],
  ] as const)('%s is of order %i', async (name, order) => {
    const [coarse, finer] = [await timestepError(name, 8), await timestepError(name, 4)];
    expect(orderOf(coarse, finer)).toBeGreaterThan(order - 0.25);
    expect(orderOf(coarse, finer)).toBeLessThan(order + 0.6);
  });

  it('PLMS comes much closer than DDIM', async () => {
    expect(await timestepError('PLMS', 8)).toBeLessThan(0.1 * (await timestepError('DDIM', 8)));
  });

  it('UniPC comes closer with more steps', async () => {
    const errors: number[] = [];
    for (const steps of [10, 20, 40]) errors.push(await uniPcError(steps));
    expect(errors[0]).toBeLessThan(0.06);
    expect(errors[1]).toBeLessThan(0.6 * errors[0]!);
    expect(errors[2]).toBeLessThan(0.6 * errors[1]!);
  });
});

async function uniPcError(steps: number): Promise<number> {
  const { alphasCumprod } = createNoiseSchedule();
  const timesteps = Array.from({ length: steps }, (_, i) => 1 + Math.floor(1000 / steps) * i);
  const logAt = (i: number) => Math.log(alphasCumprod[Math.min(Math.max(i, 0), 999)]!);
  const marginal = (alpha: number) => alpha * SPREAD ** 2 + 1 - alpha;
  const start = Math.sqrt(marginal(alphasCumprod[999]!));
  const end = await runTimestepSampler('UniPC', start, timesteps, {
    math: scalars,
    noise: () => Float32Array.of(0),
    alphasCumprod,
    options: { uniPc: { skipType: 'logSNR' } },
    predictNoise: async (x, t) => {
      const low = Math.floor(t);
      const weight = t - low;
      const alpha = Math.exp((1 - weight) * logAt(low) + weight * logAt(low + 1));
      return { guided: (x * Math.sqrt(1 - alpha)) / marginal(alpha), uncond: null };
    },
  });
  return Math.abs(end / Math.sqrt(marginal(alphasCumprod[0]!)) - 1);
}

describe('samplers that add noise', () => {
  const SIZE = 2048;
  it.each([
    'Euler a',
    'DPM2 a',
    'DPM++ 2S a',
    'DPM++ SDE',
    'DPM++ 2M SDE',
    'DPM++ 2M SDE Heun',
    'DPM++ 3M SDE',
    'Restart',
    'Heun',
  ] as const)("%s ends with the data's deviation", async (name) => {
    const sigmas = karrasSigmas(60, 0.03, 14.6);
    const random = createPhilox(5);
    const brownian = createBrownianNoise({
      seeds: [5],
      size: SIZE,
      sigmaMin: 0.03,
      sigmaMax: 14.6,
    });
    const isSde = name.includes('SDE');
    const start = random.randn(SIZE).map((value) => value * Math.hypot(14.6, SPREAD));
    const end = await runSigmaSampler(name, start, sigmas, {
      math: createFloat32Math(),
      noise: isSde ? brownian : () => random.randn(SIZE),
      denoiser: async (x, sigma) => x.map((value) => denoisedAt(value, sigma)),
      options: name === 'Heun' ? { sChurn: 10 } : {},
    });
    const deviation = Math.sqrt(end.reduce((sum, value) => sum + value * value, 0) / SIZE);
    expect(deviation / SPREAD).toBeGreaterThan(0.93);
    expect(deviation / SPREAD).toBeLessThan(1.07);
  });
});
