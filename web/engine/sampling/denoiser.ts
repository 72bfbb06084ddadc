import { at } from './indexing.ts';
import type { InfotextExtras } from './infotext-extras.ts';
import type { NoiseSchedule } from './noise-schedule.ts';

/**
 * What stands around one call of the UNet: it sees `inputScale * x` at `timestep`, and the result that the sampler
 * wants is `skip * x + output * unet(...)`. Scalars, so that a GPU can do the same sum.
 */
export interface ModelCoefficients {
  readonly inputScale: number;
  readonly timestep: number;
  readonly skip: number;
  readonly output: number;
}

/** What a UNet was trained to predict. */
export type Prediction = 'epsilon' | 'v_prediction';

/** What the sigma samplers make of it: for LCM, the checkpoint's prediction behind a consistency boundary. */
export type SigmaPrediction = Prediction | 'lcm' | 'lcm_v_prediction';

/** Coefficients at a noise level: a sigma for the sigma samplers, a timestep for the others. */
export type CoefficientsAt = (level: number) => ModelCoefficients;

/** Denoised latents from a UNet that predicts epsilon: x - sigma * eps (k-diffusion's `CompVisDenoiser`). */
function epsilonCoefficients(sigma: number): Omit<ModelCoefficients, 'timestep'> {
  return { inputScale: 1 / Math.sqrt(sigma ** 2 + 1), skip: 1, output: -sigma };
}

/** Denoised latents from a UNet that predicts v (Salimans and Ho, arXiv:2202.00512, appendix D, over sigmas). */
function vPredictionCoefficients(sigma: number): Omit<ModelCoefficients, 'timestep'> {
  const variance = sigma ** 2 + 1;
  return {
    inputScale: 1 / Math.sqrt(variance),
    skip: 1 / variance,
    output: -sigma / Math.sqrt(variance),
  };
}

/** Boundary scalings of a latent consistency model: Luo et al., arXiv:2310.04378, section 4.1. */
const LCM_SIGMA_DATA = 0.5;
const LCM_TIMESTEP_SCALING = 10;

/**
 * Denoised latents from a latent consistency model: c_skip * x + c_out * d, where d are the latents that `inner`
 * gives, so that a v-predicting checkpoint can be distilled as well as one that predicts epsilon.
 */
function lcmCoefficients(
  inner: Omit<ModelCoefficients, 'timestep'>,
  timestep: number,
): Omit<ModelCoefficients, 'timestep'> {
  const scaled = timestep * LCM_TIMESTEP_SCALING;
  const norm = scaled ** 2 + LCM_SIGMA_DATA ** 2;
  const skip = LCM_SIGMA_DATA ** 2 / norm;
  const output = scaled / Math.sqrt(norm);
  return {
    inputScale: inner.inputScale,
    skip: skip + output * inner.skip,
    output: output * inner.output,
  };
}

/**
 * Coefficients of the sigma samplers, whose result is the denoised latents.
 *
 * @param schedule for LCM the sparse one of `createLcmSchedule`
 * @param isQuantized rounds the timestep to a trained one (A1111's "enable quantization")
 */
export function sigmaCoefficients(
  prediction: SigmaPrediction,
  schedule: NoiseSchedule,
  isQuantized = false,
): CoefficientsAt {
  return (sigma) => {
    const timestep = schedule.sigmaToT(sigma, isQuantized);
    switch (prediction) {
      case 'epsilon':
        return { ...epsilonCoefficients(sigma), timestep };
      case 'v_prediction':
        return { ...vPredictionCoefficients(sigma), timestep };
      case 'lcm':
        return { ...lcmCoefficients(epsilonCoefficients(sigma), timestep), timestep };
      case 'lcm_v_prediction':
        return { ...lcmCoefficients(vPredictionCoefficients(sigma), timestep), timestep };
    }
  };
}

/**
 * Coefficients of the timestep samplers, whose result is epsilon. `x` is at the scale of the training there, so it
 * enters the UNet as it is. Fractional timesteps (UniPC) take the alpha of the timestep below.
 */
export function timestepCoefficients(
  prediction: Prediction,
  { alphasCumprod }: NoiseSchedule,
): CoefficientsAt {
  return (timestep) => {
    if (prediction === 'epsilon') return { inputScale: 1, timestep, skip: 0, output: 1 };
    const last = alphasCumprod.length - 1;
    const alpha = at(alphasCumprod, Math.min(Math.max(Math.trunc(timestep), 0), last));
    return { inputScale: 1, timestep, skip: Math.sqrt(1 - alpha), output: Math.sqrt(alpha) };
  };
}

/** Scale that DDIM CFG++ puts on the guidance: Chung et al., arXiv:2406.08070, want it between 0 and 1. */
export const CFG_PLUS_PLUS_GUIDANCE_FACTOR = 1 / 12.5;

/**
 * Weights of classifier-free guidance with composition (Liu et al., arXiv:2206.01714), as A1111 has it:
 * uncond + sum of weight * guidanceScale * (cond - uncond). They add up to 1.
 */
export function guidanceWeights(
  condWeights: readonly number[],
  guidanceScale: number,
): { uncond: number; conds: number[] } {
  const conds = condWeights.map((weight) => weight * guidanceScale);
  return { uncond: 1 - conds.reduce((sum, weight) => sum + weight, 0), conds };
}

/** When the negative prompt is left out: A1111's "Negative Guidance minimum sigma" and "Skip early CFG". */
export interface UncondSkipping {
  /** Below this sigma on every other call; 0 is off. */
  readonly sMinUncond?: number;
  /** Below `sMinUncond` on every call. */
  readonly isEveryCall?: boolean;
  /** Share of the run, from its start, that goes without; 0 is off. */
  readonly skipEarly?: number;
}

/** Why a call of the model leaves the negative prompt out. */
export type SkipReason = 'early' | 'below-sigma';

/** A call of the model within its run; `totalCalls` counts the steps of second-order samplers twice. */
export interface ModelCall {
  readonly call: number;
  readonly totalCalls: number;
  /** Its sigma, or its timestep. */
  readonly level: number;
}

/** Why a call leaves the negative prompt out; null where it doesn't. */
export function skipReason(
  { sMinUncond = 0, isEveryCall = false, skipEarly = 0 }: UncondSkipping,
  { call, totalCalls, level }: ModelCall,
): SkipReason | null {
  if (skipEarly !== 0 && call / totalCalls <= skipEarly) return 'early';
  const isItsTurn = call % 2 === 1 || isEveryCall;
  return isItsTurn && sMinUncond > 0 && level < sMinUncond ? 'below-sigma' : null;
}

/** What a run's infotext says once a call of it has skipped the negative prompt, in A1111's labels. */
export function skippingInfotext(
  { sMinUncond = 0, isEveryCall = false, skipEarly = 0 }: UncondSkipping,
  reason: SkipReason,
): InfotextExtras {
  if (reason === 'early') return { 'Skip Early CFG': skipEarly };
  return { NGMS: sMinUncond, ...(isEveryCall ? { 'NGMS all steps': true } : {}) };
}
