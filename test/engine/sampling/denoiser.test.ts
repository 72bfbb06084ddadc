import { describe, expect, it } from 'vitest';
import {
  guidanceWeights,
  type ModelCall,
  sigmaCoefficients,
  skipReason,
  timestepCoefficients,
  type UncondSkipping,
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

  it('puts LCM’s boundary on v as on epsilon: both find the same latents', () => {
    const sparse = createLcmSchedule(schedule);
    const [x0, eps] = [0.3, -1.2];
    for (const sigma of [sparse.sigmaMin, 0.5, 2.7, sparse.sigmaMax]) {
      const root = Math.sqrt(sigma ** 2 + 1);
      const x = x0 + sigma * eps;
      const ofEpsilon = sigmaCoefficients('lcm', sparse)(sigma);
      const ofV = sigmaCoefficients('lcm_v_prediction', sparse)(sigma);
      expect([ofV.timestep, ofV.inputScale]).toEqual([ofEpsilon.timestep, ofEpsilon.inputScale]);
      const v = (eps - sigma * x0) / root;
      const denoised = ofV.skip * x + ofV.output * v;
      expect(denoised).toBeCloseTo(ofEpsilon.skip * x + ofEpsilon.output * eps, 9);
      expect(denoised).toBeCloseTo(x0, 4);
    }
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
  it('has weights that add up to 1', () => {
    const weights = guidanceWeights([1, 0.5, -0.25], 7.5);
    expect(weights.conds).toEqual([7.5, 3.75, -1.875]);
    expect(weights.uncond + weights.conds.reduce((a, b) => a + b, 0)).toBe(1);
  });

  it('skips on odd calls below the sigma, on every call where told so, and early in the run', () => {
    const at = (call: number, level: number) => ({ call, totalCalls: 20, level });
    const skipsUncond = (skipping: UncondSkipping, call: ModelCall) =>
      skipReason(skipping, call) !== null;
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
