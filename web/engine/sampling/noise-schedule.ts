import { GenerationError } from '../../../protocol/errors.ts';
import { roundToHalf } from './half.ts';
import { at } from './indexing.ts';
import type { InfotextExtras } from './infotext-extras.ts';

/** How a checkpoint was trained to see noise: the fields of a diffusers scheduler config that decide it. */
export interface NoiseScheduleOptions {
  readonly trainSteps?: number;
  readonly betaStart?: number;
  readonly betaEnd?: number;
  readonly betaSchedule?: BetaSchedule;
  /** Rescales to zero signal at the last timestep (Lin et al., arXiv:2305.08891, algorithm 1). */
  readonly zeroTerminalSnr?: boolean;
  /** Rounds the cumulative products to half precision first, as A1111 did before 1.7.0. */
  readonly downcastAlphas?: boolean;
}

export type BetaSchedule = 'scaled_linear' | 'linear' | 'squaredcos_cap_v2';

/**
 * The noise levels of a checkpoint's timesteps, smallest first. `sigma` is the noise's standard deviation
 * beside a signal of scale 1: sqrt((1 - alphaCumprod) / alphaCumprod). Numbers are float32, as A1111 has them.
 */
export interface NoiseSchedule {
  readonly alphasCumprod: Float32Array;
  readonly sigmas: Float32Array;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  /** First and last trained timestep. */
  readonly timeRange: readonly [first: number, last: number];
  /** Model time of a sigma, interpolated in log sigma; `isQuantized` takes the nearest trained timestep. */
  sigmaToT(sigma: number, isQuantized?: boolean): number;
  /** Sigma of a model time, which may be fractional; clamped to the trained range. */
  tToSigma(timestep: number): number;
}

/** The last alphaCumprod of a zero-terminal-SNR schedule; 0 itself would make sigma infinite. */
const TERMINAL_ALPHA_CUMPROD = 4.8973451890853435e-8;

/** Noise schedule of a checkpoint; the defaults are those of SD 1, SD 2 and SDXL. */
export function createNoiseSchedule({
  trainSteps = 1000,
  betaStart = 0.00085,
  betaEnd = 0.012,
  betaSchedule = 'scaled_linear',
  zeroTerminalSnr = false,
  downcastAlphas = false,
}: NoiseScheduleOptions = {}): NoiseSchedule {
  const betas = trainingBetas(betaSchedule, trainSteps, betaStart, betaEnd);
  let product = 1;
  let alphas = Float32Array.from(betas, (beta) => {
    product *= 1 - beta;
    return product;
  });
  if (downcastAlphas) alphas = alphas.map(roundToHalf);
  if (zeroTerminalSnr) alphas = rescaleToZeroTerminalSnr(alphas);
  // A1111 keeps what it has downcast in half precision, and with it the sigmas.
  return noiseScheduleOf(alphas, downcastAlphas ? roundToHalf : Math.fround);
}

/** What settings of the noise schedule add to the infotext, in A1111's labels. */
export function noiseScheduleInfotext({
  zeroTerminalSnr = false,
  downcastAlphas = false,
}: NoiseScheduleOptions): InfotextExtras {
  return {
    ...(downcastAlphas ? { 'Downcast alphas_cumprod': true } : {}),
    ...(zeroTerminalSnr ? { 'Noise Schedule': 'Zero Terminal SNR' } : {}),
  };
}

function trainingBetas(
  kind: BetaSchedule,
  count: number,
  betaStart: number,
  betaEnd: number,
): number[] {
  const fraction = (i: number) => (count === 1 ? 0 : i / (count - 1));
  switch (kind) {
    case 'scaled_linear': {
      const [first, last] = [Math.sqrt(betaStart), Math.sqrt(betaEnd)];
      return Array.from({ length: count }, (_, i) => (first + (last - first) * fraction(i)) ** 2);
    }
    case 'linear':
      return Array.from(
        { length: count },
        (_, i) => betaStart + (betaEnd - betaStart) * fraction(i),
      );
    case 'squaredcos_cap_v2': {
      // Nichol and Dhariwal, arXiv:2102.09672, equation 17.
      const alphaBar = (time: number) => Math.cos((((time + 0.008) / 1.008) * Math.PI) / 2) ** 2;
      return Array.from({ length: count }, (_, i) =>
        Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999),
      );
    }
    default:
      throw new GenerationError(
        'unsupported',
        `This checkpoint's noise schedule "${String(kind)}" is not known; scaled_linear, linear and squaredcos_cap_v2 are.`,
      );
  }
}

/** Shifts the square roots so that the last is 0 and scales them so that the first stays (arXiv:2305.08891). */
function rescaleToZeroTerminalSnr(alphas: Float32Array): Float32Array<ArrayBuffer> {
  const roots = alphas.map(Math.sqrt);
  const first = at(roots, 0);
  const last = at(roots, roots.length - 1);
  const scale = Math.fround(first / Math.fround(first - last));
  const rescaled = roots.map((root) => Math.fround(Math.fround(root - last) * scale) ** 2);
  rescaled[rescaled.length - 1] = TERMINAL_ALPHA_CUMPROD;
  return rescaled;
}

/**
 * Two sigmas are as near as each other where their distances in log sigma differ by less than float32's logarithm is
 * off; then the lower timestep is taken. (LCM with an odd number of steps asks for such a middle.)
 */
const TIE = 2e-7;

/**
 * The noise schedule that given cumulative products make, as k-diffusion's `DiscreteSchedule` has it.
 *
 * @param round precision in which the sigmas are kept
 */
export function noiseScheduleOf(
  alphasCumprod: Float32Array,
  round: (value: number) => number = Math.fround,
): NoiseSchedule {
  const { fround } = Math;
  const sigmas = alphasCumprod.map((alpha) => round(Math.sqrt(round(round(1 - alpha) / alpha))));
  const logSigmas = sigmas.map((sigma) => round(Math.log(sigma)));
  const last = sigmas.length - 1;

  function nearest(logSigma: number): number {
    const distanceTo = (i: number) => Math.abs(logSigma - at(logSigmas, i));
    let best = 0;
    for (let i = 1; i <= last; i++) {
      if (distanceTo(i) < distanceTo(best) - TIE) best = i;
    }
    return best;
  }

  return {
    alphasCumprod,
    sigmas,
    sigmaMin: at(sigmas, 0),
    sigmaMax: at(sigmas, last),
    timeRange: [0, last],
    sigmaToT(sigma, isQuantized = false) {
      const logSigma = fround(Math.log(fround(sigma)));
      if (isQuantized) return nearest(logSigma);
      let low = 0;
      while (low < last - 1 && at(logSigmas, low + 1) <= logSigma) low += 1;
      const [below, above] = [at(logSigmas, low), at(logSigmas, low + 1)];
      const weight = Math.min(
        Math.max(fround(fround(below - logSigma) / fround(below - above)), 0),
        1,
      );
      return fround(fround(fround(1 - weight) * low) + fround(weight * (low + 1)));
    },
    tToSigma(timestep) {
      const t = Math.min(Math.max(fround(timestep), 0), last);
      const low = Math.floor(t);
      const weight = fround(t - low);
      const below = fround(fround(1 - weight) * at(logSigmas, low));
      return fround(Math.exp(fround(below + fround(weight * at(logSigmas, Math.ceil(t))))));
    },
  };
}
