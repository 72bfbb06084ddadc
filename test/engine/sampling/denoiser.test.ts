import { describe, expect, it } from 'vitest';
import {
  createCfgDenoiser,
  guidanceWeights,
  sigmaCoefficients,
  skipsUncond,
  timestepCoefficients,
  type UnetPass,
} from '../../../web/engine/sampling/denoiser.ts';
import { createFloat32Math } from '../../../web/engine/sampling/float32-math.ts';
import { createLcmSchedule } from '../../../web/engine/sampling/lcm-schedule.ts';
import { createNoiseSchedule } from '../../../web/engine/sampling/noise-schedule.ts';
import { expectClose, readVectors } from './vectors.ts';

type Wrapper = 'eps' | 'eps_quantized' | 'v' | 'v_quantized' | 'lcm';
interface Vectors {
  denoisers: {
    wrapper: Wrapper;
    sigma: number;
    x: number[];
    net_x: number[];
    net_t: number;
    denoised: number[];
  }[];
}

const schedule = createNoiseSchedule();
const math = createFloat32Math();
const COEFFICIENTS = {
  eps: sigmaCoefficients('epsilon', schedule),
  eps_quantized: sigmaCoefficients('epsilon', schedule, true),
  v: sigmaCoefficients('v_prediction', schedule),
  v_quantized: sigmaCoefficients('v_prediction', schedule, true),
  lcm: sigmaCoefficients('lcm', createLcmSchedule(schedule)),
};
const epsAt = (x: number, t: number) =>
  (0.2 + (0.7 * t) / 1000) * x + 0.1 * Math.sin(2 * x + t / 100);

describe('scaling around the UNet', () => {
  it.each(readVectors<Vectors>('schedules').denoisers)('$wrapper at sigma $sigma', async (row) => {
    const coefficients = COEFFICIENTS[row.wrapper](row.sigma);
    expectClose([coefficients.timestep], [row.net_t], 5e-4, { isAbsolute: true });
    const x = Float32Array.from(row.x);
    const scaled = x.map((value) => value * coefficients.inputScale);
    expectClose(scaled, row.net_x, 2e-5, { what: 'input' });
    const output = scaled.map((value) => epsAt(value, coefficients.timestep));
    const denoised = await math.combine([
      [coefficients.skip, x],
      [coefficients.output, output],
    ]);
    expectClose(denoised, row.denoised, 5e-5, { what: 'denoised' });
  });

  it('makes epsilon of v at a timestep: sqrt(a) v + sqrt(1 - a) x', () => {
    const alpha = schedule.alphasCumprod[500]!;
    const { skip, output, inputScale, timestep } = timestepCoefficients(
      'v_prediction',
      schedule,
    )(500.7);
    expect([inputScale, timestep]).toEqual([1, 500.7]);
    // With x = sqrt(a) x0 + sqrt(1 - a) eps and v = sqrt(a) eps - sqrt(1 - a) x0.
    const [x0, eps] = [0.3, -1.2];
    const x = Math.sqrt(alpha) * x0 + Math.sqrt(1 - alpha) * eps;
    const v = Math.sqrt(alpha) * eps - Math.sqrt(1 - alpha) * x0;
    expect(skip * x + output * v).toBeCloseTo(eps, 6);
    expect(timestepCoefficients('epsilon', schedule)(7)).toEqual({
      inputScale: 1,
      timestep: 7,
      skip: 0,
      output: 1,
    });
  });
});

describe('guidance', () => {
  const x = Float32Array.of(1, -2, 0.5);
  const conds = [Float32Array.of(0.1, 0.2, 0.3), Float32Array.of(-1, 0, 1)];
  const uncond = Float32Array.of(0.5, 0.25, -0.5);
  const coefficients = { inputScale: 1, timestep: 0, skip: 0.5, output: -2 };
  const unet: UnetPass<Float32Array> = async () => ({ conds, uncond });
  const base = { math, coefficientsAt: () => coefficients, unet, totalCalls: 10 };

  it('adds weight times scale of each difference to the negative prediction', async () => {
    const denoise = createCfgDenoiser({ ...base, condWeights: [1, 0.5], guidanceScale: 7 });
    const { guided, uncond: own } = await denoise(x, 3);
    const denoisedOf = (output: Float32Array, i: number) => 0.5 * x[i]! - 2 * output[i]!;
    const want = [0, 1, 2].map((i) => {
      const negative = denoisedOf(uncond, i);
      const [a, b] = [denoisedOf(conds[0]!, i) - negative, denoisedOf(conds[1]!, i) - negative];
      return negative + 7 * a + 3.5 * b;
    });
    expectClose(guided, want, 1e-6);
    expectClose(
      own!,
      [0, 1, 2].map((i) => denoisedOf(uncond, i)),
      1e-6,
    );
  });

  it('takes the first part for the negative prompt where that is skipped', async () => {
    const asked: boolean[] = [];
    const denoise = createCfgDenoiser({
      ...base,
      condWeights: [1],
      guidanceScale: 7,
      skipping: { sMinUncond: 1 },
      unet: async ({ hasUncond }) => {
        asked.push(hasUncond);
        return { conds: [conds[0]!], uncond: hasUncond ? uncond : null };
      },
    });
    await denoise(x, 0.5);
    const { guided, uncond: own } = await denoise(x, 0.5);
    expect(asked).toEqual([true, false]);
    const want = [0, 1, 2].map((i) => 0.5 * x[i]! - 2 * conds[0]![i]!);
    expectClose(guided, want, 1e-6);
    expect(own).toBeNull();
  });

  it('counts the calls and hands the coefficients on', async () => {
    const seen: unknown[] = [];
    const denoise = createCfgDenoiser({
      ...base,
      condWeights: [1],
      guidanceScale: 7,
      unet: async ({ call, coefficients: given }) => {
        seen.push([call, given]);
        return { conds: [conds[0]!], uncond };
      },
    });
    for (const level of [9, 5]) await denoise(x, level);
    expect(seen).toEqual([
      [0, coefficients],
      [1, coefficients],
    ]);
  });

  it('puts the known part back before or after', async () => {
    const blend = async (latents: Float32Array) => latents.map((value) => value + 100);
    const options = { ...base, condWeights: [1, 1], guidanceScale: 1 };
    const plain = (await createCfgDenoiser(options)(x, 1)).guided;
    const after = createCfgDenoiser({ ...options, blendKnown: { when: 'after', blend } });
    expectClose(
      (await after(x, 1)).guided,
      [...plain].map((value) => value + 100),
      1e-6,
    );
    const before = createCfgDenoiser({ ...options, blendKnown: { when: 'before', blend } });
    expectClose(
      (await before(x, 1)).guided,
      [...plain].map((value) => value + 50),
      1e-6,
    );
  });

  it('has weights that add up to 1', () => {
    const weights = guidanceWeights([1, 0.5, -0.25], 7.5);
    expect(weights.conds).toEqual([7.5, 3.75, -1.875]);
    expect(weights.uncond + weights.conds.reduce((a, b) => a + b, 0)).toBe(1);
  });

  it('skips on odd calls below the sigma, on every call where told so, and early in the run', () => {
    const at = (call: number, level: number) => ({ call, totalCalls: 20, level });
    expect(skipsUncond({}, at(1, 0))).toBe(false);
    const below = { sMinUncond: 2 };
    expect([0, 1, 2, 3].map((call) => skipsUncond(below, at(call, 1.9)))).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect(skipsUncond(below, at(1, 2))).toBe(false);
    expect(skipsUncond({ ...below, isEveryCall: true }, at(0, 1))).toBe(true);
    const early = { skipEarly: 0.1 };
    expect([0, 2, 3].map((call) => skipsUncond(early, at(call, 9)))).toEqual([true, true, false]);
  });
});
