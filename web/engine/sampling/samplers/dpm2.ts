import type { LatentMath } from '../latent-math.ts';
import {
  addNoise,
  ancestralStep,
  churn,
  eulerStep,
  midpointSigma,
  type SamplerRun,
  sigmaSteps,
} from './sampler.ts';

/** `x` plus the slope at the middle of the step, times the whole step. */
function midpointCombine<T>(
  math: LatentMath<T>,
  x: T,
  middle: T,
  denoisedMiddle: T,
  sigmaMiddle: number,
  dt: number,
): Promise<T> {
  return math.combine([
    [1, x],
    [dt / sigmaMiddle, middle],
    [-dt / sigmaMiddle, denoisedMiddle],
  ]);
}

/** DPM-Solver-2 with churn (Lu et al., arXiv:2206.00927, algorithm 1, as k-diffusion's `sample_dpm_2`). */
export async function sampleDpm2<T>(
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
    if (sigmaNext === 0) {
      x = await eulerStep(math, churned.x, denoised, sigmaHat, sigmaNext);
    } else {
      const sigmaMiddle = midpointSigma(sigmaHat, sigmaNext);
      const middle = await eulerStep(math, churned.x, denoised, sigmaHat, sigmaMiddle);
      const denoisedMiddle = await run.denoiser(middle, sigmaMiddle);
      const dt = sigmaNext - sigmaHat;
      x = await midpointCombine(math, churned.x, middle, denoisedMiddle, sigmaMiddle, dt);
    }
    math.keepOnly([x]);
  }
  return x;
}

/** DPM-Solver-2 with ancestral noise (k-diffusion's `sample_dpm_2_ancestral`). */
export async function sampleDpm2Ancestral<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  const { math } = run;
  let x = start;
  for (const { step, steps, sigma, sigmaNext } of sigmaSteps(sigmas)) {
    const denoised = await run.denoiser(x, sigma);
    await run.report({ step, steps, sigma, sigmaHat: sigma, x, denoised });
    const { sigmaDown, sigmaUp } = ancestralStep(sigma, sigmaNext, run.eta);
    if (sigmaDown === 0) {
      x = await eulerStep(math, x, denoised, sigma, sigmaDown);
    } else {
      const sigmaMiddle = midpointSigma(sigma, sigmaDown);
      const middle = await eulerStep(math, x, denoised, sigma, sigmaMiddle);
      const denoisedMiddle = await run.denoiser(middle, sigmaMiddle);
      x = await midpointCombine(math, x, middle, denoisedMiddle, sigmaMiddle, sigmaDown - sigma);
      x = await addNoise(run, x, run.sNoise * sigmaUp, sigma, sigmaNext);
    }
    math.keepOnly([x]);
  }
  return x;
}
