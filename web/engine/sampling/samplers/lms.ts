import { at } from '../indexing.ts';
import { type SamplerRun, sigmaSteps } from './sampler.ts';

const ORDER = 4;

/**
 * Weight of the j-th newest slope: the integral of its Lagrange polynomial from `sigmas[step]` to `sigmas[step + 1]`.
 * Gauss-Legendre with two points is exact, since the polynomial is of degree three at most.
 */
function adamsWeight(order: number, sigmas: readonly number[], step: number, j: number): number {
  const lagrange = (tau: number) => {
    let product = 1;
    for (let k = 0; k < order; k++) {
      if (k === j) continue;
      const node = at(sigmas, step - k);
      product *= (tau - node) / (at(sigmas, step - j) - node);
    }
    return product;
  };
  const [from, to] = [at(sigmas, step), at(sigmas, step + 1)];
  const [middle, half] = [(from + to) / 2, (to - from) / 2];
  const offset = half / Math.sqrt(3);
  return half * (lagrange(middle - offset) + lagrange(middle + offset));
}

/** Linear multistep (Adams-Bashforth over uneven sigmas) of order four, as in k-diffusion. */
export async function sampleLms<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  const { math } = run;
  let x = start;
  /** Slopes dx/dsigma, newest first. */
  let slopes: T[] = [];
  for (const { step, steps, sigma, sigmaNext } of sigmaSteps(sigmas)) {
    const denoised = await run.denoiser(x, sigma);
    await run.report({ step, steps, sigma, sigmaHat: sigma, x, denoised });
    const slope = await math.combine([
      [1 / sigma, x],
      [-1 / sigma, denoised],
    ]);
    slopes = [slope, ...slopes].slice(0, ORDER);
    if (sigmaNext === 0 && slopes.length === 1) {
      x = denoised;
    } else {
      x = await math.combine([
        [1, x],
        ...slopes.map((d, j) => [adamsWeight(slopes.length, sigmas, step, j), d] as const),
      ]);
    }
    math.keepOnly([x, ...slopes]);
  }
  return x;
}
