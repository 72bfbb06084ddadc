import {
  addNoise,
  ancestralStep,
  eulerStep,
  midpointSigma,
  type SamplerRun,
  sigmaSteps,
} from './sampler.ts';

/** DPM-Solver++(2S), Lu et al., arXiv:2211.01095, algorithm 1, with ancestral noise (k-diffusion). */
export async function sampleDpmpp2sAncestral<T>(
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
      // In t = -log sigma the exact solution for a constant estimate shrinks x by the ratio of the sigmas.
      const sigmaMiddle = midpointSigma(sigma, sigmaDown);
      const middle = await eulerStep(math, x, denoised, sigma, sigmaMiddle);
      const denoisedMiddle = await run.denoiser(middle, sigmaMiddle);
      x = await eulerStep(math, x, denoisedMiddle, sigma, sigmaDown);
    }
    if (sigmaNext > 0) x = await addNoise(run, x, run.sNoise * sigmaUp, sigma, sigmaNext);
    math.keepOnly([x]);
  }
  return x;
}
