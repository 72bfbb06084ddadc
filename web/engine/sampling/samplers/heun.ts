import type { LatentMath } from '../latent-math.ts';
import { churn, eulerStep, type SamplerRun, sigmaSteps } from './sampler.ts';

/**
 * Moves `x` by the mean of two slopes: the one at `x` and the one at the Euler step's end (`ahead`). Written as
 * one sum of the latents and the two estimates.
 */
export function heunCombine<T>(
  math: LatentMath<T>,
  { x, denoised, ahead, denoisedAhead }: { x: T; denoised: T; ahead: T; denoisedAhead: T },
  sigma: number,
  sigmaNext: number,
): Promise<T> {
  const half = (sigmaNext - sigma) / 2;
  return math.combine([
    [1 + half / sigma, x],
    [-half / sigma, denoised],
    [half / sigmaNext, ahead],
    [-half / sigmaNext, denoisedAhead],
  ]);
}

/** Heun's method with churn: Karras et al., arXiv:2206.00364, algorithm 2. */
export async function sampleHeun<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  const { math } = run;
  let x = start;
  for (const { step, steps, sigma, sigmaNext } of sigmaSteps(sigmas)) {
    const churned = await churn(run, x, sigma, steps);
    const { sigmaHat } = churned;
    const denoised = await run.denoiser(churned.x, sigmaHat);
    await run.report({ step, steps, sigma, sigmaHat, x: churned.x, denoised });
    const ahead = await eulerStep(math, churned.x, denoised, sigmaHat, sigmaNext);
    if (sigmaNext === 0) {
      x = ahead;
    } else {
      const denoisedAhead = await run.denoiser(ahead, sigmaNext);
      const terms = { x: churned.x, denoised, ahead, denoisedAhead };
      x = await heunCombine(math, terms, sigmaHat, sigmaNext);
    }
    math.keepOnly([x]);
  }
  return x;
}
