import { at } from '../indexing.ts';
import type { Denoiser, LatentMath } from '../latent-math.ts';

/**
 * What a sampler tells once a step: its latents and the model's estimate. The sigma samplers tell it before they
 * move on (`x` is at `sigmaHat`), the timestep samplers and DPM adaptive after they have moved.
 */
export interface SamplerStep<T> {
  readonly step: number;
  /** Steps of the whole run; 0 where the sampler does not know (DPM adaptive). */
  readonly steps: number;
  /** Noise level of the step; 0 for the timestep samplers. */
  readonly sigma: number;
  /** Level after added churn, which `x` has. */
  readonly sigmaHat: number;
  readonly x: T;
  /** Estimate of the clean latents; null where a sampler has none for its last step (UniPC). */
  readonly denoised: T | null;
}

/**
 * Fresh noise of the latents' size for the step from `sigma` to `sigmaNext`. Samplers of the SDE family need a
 * Brownian tree, the others take the next noise of the job's generator and don't care for the interval.
 */
export type StepNoise = (sigma: number, sigmaNext: number) => Float32Array;

/** What a run of one sampler works with. */
export interface SamplerRun<T> {
  readonly math: LatentMath<T>;
  readonly denoiser: Denoiser<T>;
  readonly noise: StepNoise;
  /** Fraction of the ancestral noise, 0 to 1. */
  readonly eta: number;
  readonly sChurn: number;
  readonly sTmin: number;
  readonly sTmax: number;
  readonly sNoise: number;
  /** DPM fast alone: model calls to spend. */
  readonly modelCalls: number;
  /** To be called once a step; throws when the run is to end. */
  readonly report: (step: SamplerStep<T>) => Promise<void>;
}

/** A solver: takes `x` at noise level `sigmas[0]` down the sigmas. */
export type SigmaSampler = <T>(x: T, sigmas: readonly number[], run: SamplerRun<T>) => Promise<T>;

/** The steps between neighbouring sigmas. */
export function* sigmaSteps(
  sigmas: readonly number[],
): Generator<{ step: number; steps: number; sigma: number; sigmaNext: number }> {
  const steps = sigmas.length - 1;
  for (let step = 0; step < steps; step++) {
    yield { step, steps, sigma: at(sigmas, step), sigmaNext: at(sigmas, step + 1) };
  }
}

/** `x` moved from `from` to `to` along the line through `x` and the denoised estimate (an Euler step). */
export function eulerStep<T>(
  math: LatentMath<T>,
  x: T,
  denoised: T,
  from: number,
  to: number,
): Promise<T> {
  const dt = (to - from) / from;
  return math.combine([
    [1 + dt, x],
    [-dt, denoised],
  ]);
}

/** `x` plus scaled fresh noise. Noise is drawn even at scale 0, as k-diffusion does, to keep the stream in step. */
export async function addNoise<T>(
  { math, noise }: Pick<SamplerRun<T>, 'math' | 'noise'>,
  x: T,
  scale: number,
  sigma: number,
  sigmaNext: number,
): Promise<T> {
  const values = noise(sigma, sigmaNext);
  if (scale === 0) return x;
  return math.combine([
    [1, x],
    [scale, math.fromArray(values)],
  ]);
}

/**
 * Splits a step to `sigmaNext` into a deterministic part (down to `sigmaDown`) and fresh noise of deviation
 * `sigmaUp`, as ancestral sampling does (k-diffusion's `get_ancestral_step`). The subtraction is made in float32 as
 * there: after a large step the two squares agree in nearly all digits, and the model is asked at what is left.
 */
export function ancestralStep(
  sigma: number,
  sigmaNext: number,
  eta: number,
): { sigmaDown: number; sigmaUp: number } {
  if (eta === 0) return { sigmaDown: sigmaNext, sigmaUp: 0 };
  const full = Math.sqrt((sigmaNext ** 2 * (sigma ** 2 - sigmaNext ** 2)) / sigma ** 2);
  const { fround } = Math;
  const sigmaUp = Math.min(sigmaNext, fround(eta * full));
  const left = fround(fround(sigmaNext ** 2) - fround(sigmaUp ** 2));
  return { sigmaDown: Math.sqrt(left), sigmaUp };
}

/**
 * Stochastic churn of Karras et al. (arXiv:2206.00364, algorithm 2): raises the noise level a little before the
 * step. Draws noise at every step, also where it adds none, as k-diffusion does.
 */
export async function churn<T>(
  run: SamplerRun<T>,
  x: T,
  sigma: number,
  steps: number,
): Promise<{ x: T; sigmaHat: number }> {
  const isInside = sigma >= run.sTmin && sigma <= run.sTmax;
  const gamma = isInside ? Math.min(run.sChurn / steps, Math.SQRT2 - 1) : 0;
  const sigmaHat = sigma * (gamma + 1);
  const scale = gamma > 0 ? run.sNoise * Math.sqrt(sigmaHat ** 2 - sigma ** 2) : 0;
  return { x: await addNoise(run, x, scale, sigma, sigmaHat), sigmaHat };
}

/** Time of a sigma in the solvers that step in t = -log sigma, and back; float32 as in k-diffusion. */
export const timeOf = (sigma: number) => -Math.fround(Math.log(sigma));
export const sigmaOf = (t: number) => Math.fround(Math.exp(-t));

/**
 * The sigma at the middle of a step in log sigma. Rounded where k-diffusion's float32 rounds: a Brownian tree tells
 * times apart that differ in the sixth decimal.
 */
export function midpointSigma(sigma: number, sigmaNext: number): number {
  const { fround } = Math;
  const t = timeOf(sigma);
  const h = fround(timeOf(sigmaNext) - t);
  return sigmaOf(fround(t + h / 2));
}
