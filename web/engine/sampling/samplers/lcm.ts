import { addNoise, type SamplerRun, sigmaSteps } from './sampler.ts';

/**
 * Multistep consistency sampling: Luo et al., arXiv:2310.04378, algorithm 3. Takes the estimate and puts noise
 * of the next level on it.
 */
export async function sampleLcm<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  let x = start;
  for (const { step, steps, sigma, sigmaNext } of sigmaSteps(sigmas)) {
    const denoised = await run.denoiser(x, sigma);
    await run.report({ step, steps, sigma, sigmaHat: sigma, x, denoised });
    x = sigmaNext > 0 ? await addNoise(run, denoised, sigmaNext, sigma, sigmaNext) : denoised;
    run.math.keepOnly([x]);
  }
  return x;
}
