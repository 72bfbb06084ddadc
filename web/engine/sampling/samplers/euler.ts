import {
  addNoise,
  ancestralStep,
  churn,
  eulerStep,
  type SamplerRun,
  sigmaSteps,
} from './sampler.ts';

/** Euler's method with churn: Karras et al., arXiv:2206.00364, algorithm 2 without the second-order correction. */
export async function sampleEuler<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  let x = start;
  for (const { step, steps, sigma, sigmaNext } of sigmaSteps(sigmas)) {
    const churned = await churn(run, x, sigma, steps);
    const denoised = await run.denoiser(churned.x, churned.sigmaHat);
    await run.report({ step, steps, sigma, sigmaHat: churned.sigmaHat, x: churned.x, denoised });
    x = await eulerStep(run.math, churned.x, denoised, churned.sigmaHat, sigmaNext);
    run.math.keepOnly([x]);
  }
  return x;
}

/** Euler's method with ancestral noise (k-diffusion). `sNoise` has no effect, as in A1111. */
export async function sampleEulerAncestral<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  let x = start;
  for (const { step, steps, sigma, sigmaNext } of sigmaSteps(sigmas)) {
    const denoised = await run.denoiser(x, sigma);
    await run.report({ step, steps, sigma, sigmaHat: sigma, x, denoised });
    const { sigmaDown, sigmaUp } = ancestralStep(sigma, sigmaNext, run.eta);
    x = await eulerStep(run.math, x, denoised, sigma, sigmaDown);
    if (sigmaNext > 0) x = await addNoise(run, x, sigmaUp, sigma, sigmaNext);
    run.math.keepOnly([x]);
  }
  return x;
}
