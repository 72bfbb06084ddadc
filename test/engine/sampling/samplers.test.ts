import { describe, expect, it } from 'vitest';
import type { SamplerName } from '../../../protocol/samplers.ts';
import { createFloat32Math } from '../../../web/engine/sampling/float32-math.ts';
import { startLatents } from '../../../web/engine/sampling/latents.ts';
import { createNoiseSchedule } from '../../../web/engine/sampling/noise-schedule.ts';
import {
  runSigmaSampler,
  runTimestepSampler,
} from '../../../web/engine/sampling/samplers/run-sampler.ts';
import type { SamplerStep } from '../../../web/engine/sampling/samplers/sampler.ts';
import { createSamplingPlan } from '../../../web/engine/sampling/sampling-plan.ts';
import { settingsOf, type VectorOptions } from './settings.ts';
import { expectClose, readVectors, schedulerByLabel, type VectorNumber } from './vectors.ts';

interface Run {
  sampler: SamplerName;
  steps: number;
  scheduler: string;
  mode: 'txt2img' | 'img2img';
  job?: Record<string, number>;
  options?: VectorOptions;
  given_steps?: number;
  sigmas?: VectorNumber[];
  model_calls: number[];
  noise_intervals?: [number, number][];
  trace: { i: number; sigma: number; sigma_hat: number; x: number[]; denoised: number[] | null }[];
  final?: number[];
  used_noise?: number;
  infotext: Record<string, unknown>;
  error?: string;
}
interface Vectors {
  x0: number[];
  noise: number[][];
  runs: Run[];
}

const FILES = [
  'samplers-sigma',
  'samplers-variants',
  'samplers-img2img',
  'samplers-timesteps',
] as const;
const schedule = createNoiseSchedule();
const math = createFloat32Math();
/** What the README of the vectors allows for x and denoised. */
const TOLERANCE = 2e-5;
const denoisedAt = (x: number, sigma: number) =>
  x / (1 + sigma * sigma) + (0.1 * Math.sin(x) * sigma) / (1 + sigma);
const epsAt = (x: number, t: number) =>
  (0.2 + (0.7 * t) / 1000) * x + 0.1 * Math.sin(2 * x + t / 100);
const epsUncondAt = (x: number, t: number) =>
  (0.15 + (0.6 * t) / 1000) * x + 0.05 * Math.cos(3 * x - t / 200);

/** Runs one of the vectors' jobs around their formulas, with their list of noise. */
async function replay(run: Run, { x0, noise }: Vectors) {
  const job = run.job ?? {};
  const plan = createSamplingPlan(
    {
      sampler: run.sampler,
      scheduler: schedulerByLabel(run.scheduler),
      steps: run.steps,
      mode: run.mode,
      denoisingStrength: job.denoising_strength ?? 0.75,
      givenSteps: run.given_steps ?? null,
      eta: job.eta ?? null,
      ...(job.s_churn === undefined ? {} : { sChurn: job.s_churn }),
      ...(job.s_tmin === undefined ? {} : { sTmin: job.s_tmin }),
      ...(job.s_tmax === undefined ? {} : { sTmax: job.s_tmax }),
      ...(job.s_noise === undefined ? {} : { sNoise: job.s_noise }),
      settings: settingsOf(run.options),
    },
    schedule,
  );
  const calls: number[] = [];
  const intervals: [number, number][] = [];
  const trace: SamplerStep<Float32Array>[] = [];
  let used = 1;
  const nextNoise = () => Float32Array.from(noise[used++]!);
  const initLatents = run.mode === 'img2img' ? Float32Array.from(x0) : null;
  const start = startLatents(plan.start, Float32Array.from(noise[0]!), initLatents);
  const controls = {
    math,
    onStep: (step: SamplerStep<Float32Array>) => void trace.push(step),
  };
  const scale = (job.cfg_scale ?? 7) / 12.5;
  const final =
    plan.kind === 'sigma'
      ? await runSigmaSampler(plan.sampler, start, plan.sigmas, {
          ...controls,
          noise: (sigma, sigmaNext) => {
            intervals.push([sigma, sigmaNext]);
            return nextNoise();
          },
          options: plan.options,
          denoiser: async (x, sigma) => {
            calls.push(sigma);
            return x.map((value) => denoisedAt(value, sigma));
          },
        })
      : await runTimestepSampler(plan.sampler, start, plan.timesteps, {
          ...controls,
          noise: nextNoise,
          options: plan.options,
          alphasCumprod: schedule.alphasCumprod,
          predictNoise: async (x, t) => {
            calls.push(t);
            const eps = x.map((value) => epsAt(value, t));
            if (plan.sampler !== 'DDIM CFG++') return { guided: eps, uncond: null };
            const uncond = x.map((value) => epsUncondAt(value, t));
            const guided = uncond.map((value, i) => value + (eps[i]! - value) * scale);
            return { guided, uncond };
          },
        });
  return { plan, final, calls, intervals, trace, used };
}

describe.each(FILES)('%s', (file) => {
  const vectors = readVectors<Vectors>(file);
  const cases = vectors.runs.map((run) => ({
    name: `${run.sampler}, ${run.steps} steps, ${run.scheduler} ${JSON.stringify({ ...run.job, ...run.options, given: run.given_steps })}`,
    run,
  }));

  it.each(cases.filter(({ run }) => run.error === undefined))('$name', async ({ run }) => {
    const got = await replay(run, vectors);
    expectClose(got.calls, run.model_calls, TOLERANCE, { what: 'model calls' });
    expect(got.trace.map((step) => step.step)).toEqual(run.trace.map((step) => step.i));
    for (const [index, want] of run.trace.entries()) {
      const step = got.trace[index]!;
      expectClose([step.sigma, step.sigmaHat], [want.sigma, want.sigma_hat], TOLERANCE);
      expectClose(step.x.subarray(0, 16), want.x, TOLERANCE, { what: `x of step ${index}` });
      if (want.denoised === null) expect(step.denoised).toBeNull();
      else {
        const what = `denoised of step ${index}`;
        expectClose(step.denoised!.subarray(0, 16), want.denoised, TOLERANCE, { what });
      }
    }
    expectClose(got.final, run.final!, TOLERANCE, { what: 'final' });
    expect(got.used).toBe(run.used_noise);
    if (run.noise_intervals) {
      expectClose(got.intervals.flat(), run.noise_intervals.flat(), TOLERANCE);
    }
    expect(Object.entries(got.plan.infotext)).toEqual(Object.entries(run.infotext));
  });

  // A1111 stops with an exception of Python here; a user is better served by a picture.
  const failing = cases.filter(({ run }) => run.error !== undefined);
  it.runIf(failing.length > 0).each(failing)(
    '$name, where A1111 fails, gives a picture',
    async ({ run }) => {
      const { final, calls } = await replay(run, vectors);
      expect(calls.length).toBeGreaterThan(0);
      expect(final.every(Number.isFinite)).toBe(true);
      expect(final).not.toEqual(Float32Array.from(vectors.noise[0]!));
    },
  );
});
