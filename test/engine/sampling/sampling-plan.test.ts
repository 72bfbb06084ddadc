import { describe, expect, it } from 'vitest';
import { GENERATION_DEFAULTS } from '../../../protocol/generation.ts';
import { SAMPLER_NAMES } from '../../../protocol/samplers.ts';
import { createFloat32Math } from '../../../web/engine/sampling/float32-math.ts';
import { roundToHalf } from '../../../web/engine/sampling/half.ts';
import { latentShape, latentSize, startLatents } from '../../../web/engine/sampling/latents.ts';
import { createNoiseSchedule } from '../../../web/engine/sampling/noise-schedule.ts';
import { runSigmaSampler } from '../../../web/engine/sampling/samplers/run-sampler.ts';
import {
  createSamplingPlan,
  type SamplingRequest,
  type SigmaPlan,
} from '../../../web/engine/sampling/sampling-plan.ts';

const schedule = createNoiseSchedule();
const txt2img: SamplingRequest = {
  sampler: 'Euler',
  scheduler: 'automatic',
  steps: 10,
  mode: 'txt2img',
};
const img2img: SamplingRequest = { ...txt2img, mode: 'img2img', denoisingStrength: 0.5 };
const sigmaPlan = (request: SamplingRequest) => createSamplingPlan(request, schedule) as SigmaPlan;

describe('a sampling plan', () => {
  it('takes the parameters of a generation as they are', () => {
    for (const sampler of SAMPLER_NAMES) {
      const plan = createSamplingPlan({ ...GENERATION_DEFAULTS, sampler }, schedule);
      expect(plan.steps).toBe(GENERATION_DEFAULTS.steps);
      expect(plan.start.signal).toBe(0);
    }
  });

  it('spans the Brownian tree over the whole schedule, also where img2img uses its end only', () => {
    const sampler = 'DPM++ 2M SDE';
    const whole = sigmaPlan({ ...txt2img, sampler });
    const cut = sigmaPlan({ ...img2img, sampler });
    expect(cut.sigmaRange).toEqual(whole.sigmaRange);
    expect(cut.sigmas.length).toBeLessThan(whole.sigmas.length);
    expect(whole.sigmaRange.min).toBeCloseTo(schedule.sigmaMin, 6);
  });

  it('counts the steps that are made', () => {
    expect(createSamplingPlan(img2img, schedule).steps).toBe(6);
    const givenSteps = 7;
    expect(createSamplingPlan({ ...img2img, givenSteps }, schedule).steps).toBe(7);
    const second = createSamplingPlan({ ...img2img, sampler: 'Heun' }, schedule);
    expect([second.steps, second.totalCalls]).toEqual([6, 12]);
  });

  it('reads a limit of 0 as none', () => {
    expect(sigmaPlan({ ...txt2img, sTmax: 0 }).options.sTmax).toBe(Number.POSITIVE_INFINITY);
    expect(sigmaPlan({ ...txt2img, sTmax: 3 }).options.sTmax).toBe(3);
  });

  it('scales the noise of img2img and says so first', () => {
    const plan = createSamplingPlan(
      {
        ...img2img,
        scheduler: 'beta',
        initialNoiseMultiplier: 0.5,
        settings: { img2imgExtraNoise: 0.2 },
      },
      schedule,
    ) as SigmaPlan;
    expect(plan.start).toEqual({ signal: 1, noise: (plan.sigmas[0]! + 0.2) * 0.5 });
    expect(Object.keys(plan.infotext)).toEqual([
      'Noise multiplier',
      'Schedule type',
      'Beta schedule alpha',
      'Beta schedule beta',
      'Extra noise',
    ]);
  });

  it.each(SAMPLER_NAMES)(
    'makes no step of %s where strength 0 is to be made exactly',
    async (sampler) => {
      const plan = createSamplingPlan(
        { ...img2img, sampler, denoisingStrength: 0, givenSteps: 10 },
        schedule,
      );
      expect(plan.start).toEqual({ signal: 1, noise: 0 });
      if (plan.kind === 'timestep') expect(plan.timesteps).toEqual([]);
      else {
        const x = Float32Array.of(1, 2);
        const same = await runSigmaSampler(plan.sampler, x, plan.sigmas, {
          math: createFloat32Math(),
          noise: () => Float32Array.of(0, 0),
          denoiser: () => Promise.reject(new Error('no call of the model was expected')),
          options: plan.options,
        });
        expect(same).toBe(x);
      }
    },
  );

  it.each([0, -3, 1.5, Number.NaN])('refuses %s steps', (steps) => {
    expect(() => createSamplingPlan({ ...txt2img, steps }, schedule)).toThrow(
      /Steps must be a whole number from 1/,
    );
  });

  it('refuses a schedule that no memory holds', () => {
    const request = { ...img2img, denoisingStrength: 1e-9, givenSteps: 1000 };
    expect(() => createSamplingPlan(request, schedule)).toThrow(/too long: ask for fewer steps/);
  });
});

describe('latents', () => {
  it('have whole sizes, whatever the channels and the factor', () => {
    expect(latentShape({ height: 61, width: 70, channels: 4, vaeFactor: 8 })).toEqual([4, 7, 8]);
    const shape = latentShape({ height: 512, width: 512, channels: 16, vaeFactor: 32 });
    expect(latentSize(shape)).toBe(16 * 16 * 16);
  });

  it('start from noise, or from a picture and noise', () => {
    const noise = Float32Array.of(1, 2, 3, 4);
    expect(startLatents({ signal: 0, noise: 2 }, noise)).toEqual(Float32Array.of(2, 4, 6, 8));
    const mix = { signal: 1, noise: 0.5 };
    const own = Float32Array.of(10, 20, 30, 40);
    expect(startLatents(mix, noise, own)).toEqual(Float32Array.of(10.5, 21, 31.5, 42));
    const shared = Float32Array.of(10, 20);
    expect(startLatents(mix, noise, shared)).toEqual(Float32Array.of(10.5, 21, 11.5, 22));
    expect(() => startLatents(mix, noise, Float32Array.of(1, 2, 3))).toThrow(/don't fit/);
  });
});

describe('arithmetic in JavaScript memory', () => {
  const math = createFloat32Math();

  it('adds in doubles and rounds once', async () => {
    const big = Float32Array.of(1e8);
    const one = Float32Array.of(1);
    const sum = await math.combine([
      [1, big],
      [1, one],
      [-1, big],
    ]);
    expect(sum).toEqual(one);
  });

  it('refuses sums of nothing and of different sizes', () => {
    expect(() => math.combine([])).toThrow(/at least one term/);
    const terms = [
      [1, Float32Array.of(1)],
      [1, Float32Array.of(1, 2)],
    ] as const;
    expect(() => math.combine(terms)).toThrow(/don't add up/);
  });

  it('rounds to half precision, ties to even', () => {
    const values = [0, 1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 65504, 70000, 2 ** -24, 2 ** -25, -0.1];
    expect(values.map(roundToHalf)).toEqual([
      0,
      1,
      1,
      1 + 2 ** -9,
      65504,
      Number.POSITIVE_INFINITY,
      2 ** -24,
      0,
      -0.0999755859375,
    ]);
  });
});
