import { at } from '../indexing.ts';

/** Signal and noise at a continuous time from 0 to 1, where time k / N is timestep k - 1 of N. */
export interface ContinuousSchedule {
  /** Half the log signal-to-noise ratio. */
  lambda(time: number): number;
  marginal(time: number): { alpha: number; sigma: number; lambda: number };
  timeOfLambda(lambda: number): number;
}

/** The discrete noise schedule made continuous by linear interpolation of log alpha (DPM-Solver, appendix D.1). */
export function createContinuousSchedule(alphasCumprod: Float32Array): ContinuousSchedule {
  const count = alphasCumprod.length;
  const times = Array.from({ length: count }, (_, i) => (i + 1) / count);
  const logAlphas = Array.from(alphasCumprod, (alpha) => Math.log(alpha) / 2);
  const risingLogAlphas = logAlphas.toReversed();
  const fallingTimes = times.toReversed();

  function marginal(time: number): { alpha: number; sigma: number; lambda: number } {
    const logAlpha = interpolate(times, logAlphas, time);
    const sigma = Math.sqrt(-Math.expm1(2 * logAlpha));
    return { alpha: Math.exp(logAlpha), sigma, lambda: logAlpha - Math.log(sigma) };
  }

  return {
    marginal,
    lambda: (time) => marginal(time).lambda,
    timeOfLambda: (lambda) =>
      interpolate(risingLogAlphas, fallingTimes, -0.5 * Math.log1p(Math.exp(-2 * lambda))),
  };
}

/** Piecewise linear through rising `xs`, continued straight beyond the ends. */
function interpolate(xs: readonly number[], ys: readonly number[], x: number): number {
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(xs, middle) <= x) low = middle;
    else high = middle;
  }
  const weight = (x - at(xs, low)) / (at(xs, low + 1) - at(xs, low));
  return at(ys, low) + weight * (at(ys, low + 1) - at(ys, low));
}
