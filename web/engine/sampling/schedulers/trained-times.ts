import { at, linspace, linspaceFloat32 } from '../indexing.ts';
import type { NoiseSchedule } from '../noise-schedule.ts';
import { betaQuantile } from './beta-distribution.ts';

/** Sigmas that are read off the checkpoint's own noise schedule. All end in 0. */

/** Evenly spaced timesteps from the last trained one to the first (k-diffusion's `get_sigmas`). */
export function uniformSigmas(steps: number, schedule: NoiseSchedule): number[] {
  const [first, last] = schedule.timeRange;
  return [...linspaceFloat32(last, first, steps).map((t) => schedule.tToSigma(t)), 0];
}

/** Evenly spaced timesteps between two sigmas, both included. */
export function normalSigmas(
  steps: number,
  schedule: NoiseSchedule,
  sigmaMin: number,
  sigmaMax: number,
): number[] {
  const times = linspaceFloat32(schedule.sigmaToT(sigmaMax), schedule.sigmaToT(sigmaMin), steps);
  return [...times.map((t) => schedule.tToSigma(t)), 0];
}

/** Evenly spaced timesteps between two sigmas without the lower end, as Stability's generative-models has them. */
export function sgmUniformSigmas(
  steps: number,
  schedule: NoiseSchedule,
  sigmaMin: number,
  sigmaMax: number,
): number[] {
  const times = linspaceFloat32(
    schedule.sigmaToT(sigmaMax),
    schedule.sigmaToT(sigmaMin),
    steps + 1,
  );
  return [...times.slice(0, -1).map((t) => schedule.tToSigma(t)), 0];
}

/** Every n-th trained sigma, counted from the largest (ComfyUI's "simple"). */
export function simpleSigmas(steps: number, { sigmas }: NoiseSchedule): number[] {
  const stride = sigmas.length / steps;
  const picked = Array.from({ length: steps }, (_, step) =>
    at(sigmas, sigmas.length - 1 - Math.floor(step * stride)),
  );
  return [...picked, 0];
}

/** Every n-th trained sigma from the second on; it can have a step more than asked for (28 gives 29). */
export function ddimSigmas(steps: number, { sigmas }: NoiseSchedule): number[] {
  const stride = Math.max(Math.floor(sigmas.length / steps), 1);
  const picked: number[] = [];
  for (let i = 1; i < sigmas.length; i += stride) picked.push(at(sigmas, i));
  return [...picked.reverse(), 0];
}

/** Sigmas at evenly spaced quantiles of a beta distribution (Lee et al., arXiv:2407.12173). */
export function betaSigmas(
  steps: number,
  sigmaMin: number,
  sigmaMax: number,
  alpha: number,
  beta: number,
): number[] {
  const quantiles = linspace(0, 1, steps).map((p) => betaQuantile(1 - p, alpha, beta));
  return [...quantiles.map((q) => Math.fround(sigmaMin + q * (sigmaMax - sigmaMin))), 0];
}
