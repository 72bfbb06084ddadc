import { describe, expect, it } from 'vitest';
import { type SamplerName, SCHEDULERS } from '../../../protocol/samplers.ts';
import { img2imgSteps } from '../../../web/engine/sampling/img2img-steps.ts';
import { createLcmSchedule } from '../../../web/engine/sampling/lcm-schedule.ts';
import {
  createNoiseSchedule,
  type NoiseSchedule,
  noiseScheduleOf,
} from '../../../web/engine/sampling/noise-schedule.ts';
import {
  betaCumulative,
  betaQuantile,
} from '../../../web/engine/sampling/schedulers/beta-distribution.ts';
import {
  computeSigmas,
  computeTimesteps,
} from '../../../web/engine/sampling/schedulers/compute-sigmas.ts';
import { settingsOf, type VectorOptions } from './settings.ts';
import { expectClose, readVectors, schedulerByLabel, type VectorNumber } from './vectors.ts';

type ModelName = 'default' | 'zero_terminal_snr' | 'downcast' | 'sdxl';
interface Vectors {
  alphas: Record<
    Exclude<ModelName, 'sdxl'>,
    { alphas_cumprod: number[]; sigma_min: number; sigma_max: number }
  >;
  schedulers: {
    name: string;
    label: string;
    aliases: string[] | null;
    default_rho: number;
    need_inner_model: boolean;
  }[];
  sigmas: {
    model: ModelName;
    sampler: SamplerName;
    scheduler: string;
    n: number;
    sigmas: VectorNumber[];
    infotext: Record<string, unknown>;
  }[];
  option_variants: {
    options: VectorOptions;
    scheduler: string;
    n: number;
    sigmas: VectorNumber[];
    infotext: Record<string, unknown>;
  }[];
  timesteps: { n: number; always_discard_next_to_last_sigma: boolean; timesteps: number[] }[];
  conversions: {
    model: 'default' | 'zero_terminal_snr' | 'lcm';
    sigma: number[];
    t?: number[];
    t_quantized: number[];
    from_t: number[];
    to_sigma: number[];
    all_sigmas?: number[];
  }[];
  img2img_steps: {
    steps: number;
    denoising_strength: number;
    img2img_fix_steps: boolean;
    given_steps: number | null;
    schedule_steps: number;
    t_enc: number;
  }[];
}

const vectors = readVectors<Vectors>('schedules');
const plain = createNoiseSchedule();
const SCHEDULES: Record<ModelName, NoiseSchedule> = {
  default: plain,
  sdxl: plain,
  zero_terminal_snr: createNoiseSchedule({ zeroTerminalSnr: true }),
  // The vectors took the alphas back to float32 before they asked for sigmas; a job does not (pipeline-latents.test.ts).
  downcast: noiseScheduleOf(createNoiseSchedule({ downcastAlphas: true }).alphasCumprod),
};

function sigmaTolerance(scheduler: string, model: ModelName): number {
  return scheduler === 'KL Optimal' || model === 'zero_terminal_snr' ? 3e-4 : 2e-5;
}

describe('the noise schedule', () => {
  it.each(['default', 'zero_terminal_snr', 'downcast'] as const)('%s', (name) => {
    const [schedule, want] = [SCHEDULES[name], vectors.alphas[name]];
    const isRescaled = name === 'zero_terminal_snr';
    const what = 'alphas';
    expectClose(schedule.alphasCumprod, want.alphas_cumprod, isRescaled ? 1e-6 : 1e-7, { what });
    const tolerance = isRescaled ? 3e-4 : 2e-5;
    const ends = [schedule.sigmaMin, schedule.sigmaMax];
    expectClose(ends, [want.sigma_min, want.sigma_max], tolerance, { what: 'ends' });
  });

  it.each(vectors.conversions)('converts sigma and t: $model', (row) => {
    const schedule = row.model === 'lcm' ? createLcmSchedule(plain) : SCHEDULES[row.model];
    if (row.t) {
      const times = row.sigma.map((sigma) => schedule.sigmaToT(sigma));
      expectClose(times, row.t, 5e-4, { what: 't', isAbsolute: true });
    }
    expect(row.sigma.map((sigma) => schedule.sigmaToT(sigma, true))).toEqual(row.t_quantized);
    const sigmas = row.from_t.map((t) => schedule.tToSigma(t));
    expectClose(sigmas, row.to_sigma, row.model === 'zero_terminal_snr' ? 3e-4 : 2e-5);
    if (row.all_sigmas) expectClose(schedule.sigmas, row.all_sigmas, 2e-5, { what: 'sigmas' });
  });

  it('knows the linear and the cosine betas', () => {
    const linear = createNoiseSchedule({ betaSchedule: 'linear', betaStart: 1e-4, betaEnd: 0.02 });
    expect(linear.alphasCumprod[0]).toBeCloseTo(0.9999, 7);
    expect(linear.alphasCumprod[999]).toBeCloseTo(4.0358e-5, 8);
    const cosine = createNoiseSchedule({ betaSchedule: 'squaredcos_cap_v2' });
    expect(cosine.alphasCumprod[499]).toBeCloseTo(0.4938, 3);
  });

  it('names a beta schedule that it does not know', () => {
    const betaSchedule = 'sigmoid' as 'linear';
    expect(() => createNoiseSchedule({ betaSchedule })).toThrow(/"sigmoid" is not known/);
  });
});

describe('schedulers', () => {
  it('are those of A1111', () => {
    const got = SCHEDULERS.map((s) => [
      s.name,
      s.label,
      s.aliases,
      s.defaultRho,
      s.needsInnerModel,
    ]);
    const want = vectors.schedulers.map((s) => [
      s.name,
      s.label,
      s.aliases,
      s.default_rho,
      s.need_inner_model,
    ]);
    expect(got).toEqual(want);
  });

  it.each(vectors.sigmas)('$scheduler for $sampler, $n steps, $model', (row) => {
    const { sigmas, infotext } = computeSigmas({
      schedule: SCHEDULES[row.model],
      sampler: row.sampler,
      scheduler: schedulerByLabel(row.scheduler),
      steps: row.n,
      isSdxl: row.model === 'sdxl',
    });
    expectClose(sigmas, row.sigmas, sigmaTolerance(row.scheduler, row.model));
    expect(Object.entries(infotext)).toEqual(Object.entries(row.infotext));
  });

  it.each(vectors.option_variants)('$scheduler with $options', (row) => {
    const { sigmas, infotext } = computeSigmas({
      schedule: plain,
      sampler: 'Euler',
      scheduler: schedulerByLabel(row.scheduler),
      steps: row.n,
      settings: settingsOf(row.options),
    });
    expectClose(sigmas, row.sigmas, sigmaTolerance(row.scheduler, 'default'));
    expect(Object.entries(infotext)).toEqual(Object.entries(row.infotext));
  });

  it.each(vectors.timesteps)('timesteps of $n steps', (row) => {
    const { timesteps } = computeTimesteps({
      trainSteps: 1000,
      steps: row.n,
      alwaysDiscardNextToLastSigma: row.always_discard_next_to_last_sigma,
    });
    expect(timesteps).toEqual(row.timesteps);
  });

  it.each([-1, 2.5, Number.NaN])('refuse %s steps', (steps) => {
    const choice = { schedule: plain, sampler: 'Euler', scheduler: 'karras' } as const;
    expect(() => computeSigmas({ ...choice, steps })).toThrow(/Steps must be a whole number/);
    expect(() => computeTimesteps({ trainSteps: 1000, steps })).toThrow(/Steps must be/);
  });
});

describe('steps of img2img', () => {
  it.each(vectors.img2img_steps)(
    '$steps steps at $denoising_strength, fixed $img2img_fix_steps, given $given_steps',
    (row) => {
      const steps = img2imgSteps({
        steps: row.steps,
        denoisingStrength: row.denoising_strength,
        givenSteps: row.given_steps,
        hasExactSteps: row.img2img_fix_steps,
      });
      expect(steps).toEqual({ scheduleSteps: row.schedule_steps, tEnc: row.t_enc });
    },
  );
});

describe('the beta distribution', () => {
  it('has closed forms where a or b is 1, and is symmetric', () => {
    for (const x of [0.01, 0.3, 0.5, 0.77, 0.999]) {
      expect(betaCumulative(x, 1, 1)).toBeCloseTo(x, 12);
      expect(betaCumulative(x, 3, 1)).toBeCloseTo(x ** 3, 12);
      expect(betaCumulative(x, 1, 0.5)).toBeCloseTo(1 - Math.sqrt(1 - x), 12);
      expect(betaCumulative(x, 0.5, 0.5)).toBeCloseTo((2 / Math.PI) * Math.asin(Math.sqrt(x)), 12);
      expect(betaCumulative(x, 0.6, 2.5)).toBeCloseTo(1 - betaCumulative(1 - x, 2.5, 0.6), 12);
    }
  });

  it('inverts', () => {
    for (const p of [0, 1e-6, 0.2, 0.5, 0.9, 1]) {
      expect(betaCumulative(betaQuantile(p, 0.6, 0.6), 0.6, 0.6)).toBeCloseTo(p, 10);
    }
  });
});
