import { at } from '../indexing.ts';
import { type SamplerRun, sigmaSteps } from './sampler.ts';

/** DPM-Solver++(2M): Lu et al., arXiv:2211.01095, algorithm 2, in t = -log sigma. */
export async function sampleDpmpp2m<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  const { math } = run;
  let x = start;
  let previous: T | null = null;
  for (const { step, steps, sigma, sigmaNext } of sigmaSteps(sigmas)) {
    const denoised = await run.denoiser(x, sigma);
    await run.report({ step, steps, sigma, sigmaHat: sigma, x, denoised });
    const h = Math.log(sigma / sigmaNext);
    const growth = -Math.expm1(-h);
    if (previous === null || sigmaNext === 0) {
      x = await math.combine([
        [sigmaNext / sigma, x],
        [growth, denoised],
      ]);
    } else {
      const r = Math.log(at(sigmas, step - 1) / sigma) / h;
      x = await math.combine([
        [sigmaNext / sigma, x],
        [growth * (1 + 1 / (2 * r)), denoised],
        [-growth / (2 * r), previous],
      ]);
    }
    previous = denoised;
    math.keepOnly([x, denoised]);
  }
  return x;
}
