import { GenerationError } from '../../../../protocol/errors.ts';
import { type TimestepRun, timestepSteps } from './timestep-sampler.ts';

/**
 * DDIM: Song et al., arXiv:2010.02502, equation 12. With CFG++ (Chung et al., arXiv:2406.08070) the direction
 * back to the noise is the unconditional prediction's. Ends at the lowest timestep, as A1111 does, not at 0.
 */
async function sampleDdimAlong<T>(
  start: T,
  timesteps: readonly number[],
  run: TimestepRun<T>,
  hasUncondDirection: boolean,
): Promise<T> {
  const { math } = run;
  let x = start;
  for (const { step, steps, timestep, alpha, alphaNext } of timestepSteps(
    timesteps,
    run.alphasCumprod,
  )) {
    const { guided, uncond } = await run.predictNoise(x, timestep);
    const direction = hasUncondDirection ? uncond : guided;
    if (direction === null) {
      throw new GenerationError('internal', 'DDIM CFG++ needs the unconditional prediction.');
    }
    const denoised = await math.combine([
      [1 / Math.sqrt(alpha), x],
      [-Math.sqrt(1 - alpha) / Math.sqrt(alpha), guided],
    ]);
    const sigma = run.eta * Math.sqrt(((1 - alphaNext) / (1 - alpha)) * (1 - alpha / alphaNext));
    // Drawn also for eta 0, as A1111 does: what follows must not depend on eta.
    const noise = run.noise();
    x = await math.combine([
      [Math.sqrt(alphaNext), denoised],
      [Math.sqrt(1 - alphaNext - sigma ** 2), direction],
      ...(sigma === 0 ? [] : [[sigma, math.fromArray(noise)] as const]),
    ]);
    await run.report({ step, steps, sigma: 0, sigmaHat: 0, x, denoised });
    math.keepOnly([x]);
  }
  return x;
}

/** DDIM: Song et al., arXiv:2010.02502. */
export function sampleDdim<T>(x: T, timesteps: readonly number[], run: TimestepRun<T>): Promise<T> {
  return sampleDdimAlong(x, timesteps, run, false);
}

/** DDIM with CFG++: Chung et al., arXiv:2406.08070. Its predictor guides with `guidanceScale / 12.5`. */
export function sampleDdimCfgPlusPlus<T>(
  x: T,
  timesteps: readonly number[],
  run: TimestepRun<T>,
): Promise<T> {
  return sampleDdimAlong(x, timesteps, run, true);
}
