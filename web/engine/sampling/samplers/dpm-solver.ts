import { at, linspaceFloat32 } from '../indexing.ts';
import { addNoise, ancestralStep, type SamplerRun, sigmaOf, timeOf } from './sampler.ts';

/** DPM-Solver, Lu et al., arXiv:2206.00927, over t = -log sigma: orders one to three, and the two drivers of k-diffusion. */

/** Noise that the model sees in `x`, (x - denoised) / sigma. */
async function epsilon<T>(
  { math, denoiser }: SamplerRun<T>,
  x: T,
  t: number,
): Promise<{ eps: T; denoised: T }> {
  const sigma = sigmaOf(t);
  const denoised = await denoiser(x, sigma);
  const eps = await math.combine([
    [1 / sigma, x],
    [-1 / sigma, denoised],
  ]);
  return { eps, denoised };
}

interface SolverStep<T> {
  readonly x: T;
  readonly eps: T;
  readonly t: number;
  readonly tNext: number;
}

/** DPM-Solver-1, which is DDIM. */
function solverStep1<T>({ math }: SamplerRun<T>, { x, eps, t, tNext }: SolverStep<T>): Promise<T> {
  return math.combine([
    [1, x],
    [-sigmaOf(tNext) * Math.expm1(tNext - t), eps],
  ]);
}

/** Epsilon at the fraction `r` of the step, reached by a first-order step. */
async function epsilonAhead<T>(
  run: SamplerRun<T>,
  { x, eps, t, tNext }: SolverStep<T>,
  r: number,
): Promise<T> {
  const tAhead = Math.fround(t + Math.fround(r * (tNext - t)));
  const ahead = await solverStep1(run, { x, eps, t, tNext: tAhead });
  return (await epsilon(run, ahead, tAhead)).eps;
}

/** DPM-Solver-2 from epsilon at the start and at the fraction `r` of the step. */
function solverStep2<T>(
  { math }: SamplerRun<T>,
  { x, eps, t, tNext }: SolverStep<T>,
  epsAhead: T,
  r: number,
): Promise<T> {
  const scale = sigmaOf(tNext) * Math.expm1(tNext - t);
  return math.combine([
    [1, x],
    [-scale + scale / (2 * r), eps],
    [-scale / (2 * r), epsAhead],
  ]);
}

/** DPM-Solver-3 with its inner points at one and two thirds of the step. */
async function solverStep3<T>(
  run: SamplerRun<T>,
  { x, eps, t, tNext }: SolverStep<T>,
  epsThird: T,
): Promise<T> {
  const { math } = run;
  const h = tNext - t;
  const [r1, r2] = [1 / 3, 2 / 3];
  const t2 = Math.fround(t + Math.fround(r2 * h));
  const scale2 = sigmaOf(t2) * Math.expm1(r2 * h);
  const slope2 = sigmaOf(t2) * (r2 / r1) * (Math.expm1(r2 * h) / (r2 * h) - 1);
  const u2 = await math.combine([
    [1, x],
    [-scale2 + slope2, eps],
    [-slope2, epsThird],
  ]);
  const { eps: epsTwoThirds } = await epsilon(run, u2, t2);
  const scale = sigmaOf(tNext) * Math.expm1(h);
  const slope = (sigmaOf(tNext) / r2) * (Math.expm1(h) / h - 1);
  return math.combine([
    [1, x],
    [-scale + slope, eps],
    [-slope, epsTwoThirds],
  ]);
}

/** Where a step ends before its noise is added, and that noise's deviation. */
function splitStep(
  t: number,
  tNext: number,
  tEnd: number,
  eta: number,
): { tDown: number; sigmaUp: number } {
  if (eta === 0) return { tDown: tNext, sigmaUp: 0 };
  const { sigmaDown } = ancestralStep(sigmaOf(t), sigmaOf(tNext), eta);
  const tDown = Math.min(tEnd, timeOf(sigmaDown));
  const { fround } = Math;
  const variance = fround(fround(sigmaOf(tNext) ** 2) - fround(sigmaOf(tDown) ** 2));
  return { tDown, sigmaUp: Math.sqrt(variance) };
}

/** Orders of the steps that spend exactly `calls` model calls (DPM-Solver, section 3.4, "fast"). */
function fastOrders(calls: number): number[] {
  const count = Math.floor(calls / 3) + 1;
  const threes = (n: number) => Array.from({ length: n }, () => 3);
  return calls % 3 === 0 ? [...threes(count - 2), 2, 1] : [...threes(count - 1), calls % 3];
}

/** Start and end of a run in t; a last sigma of 0, which has no t, gives way to the one before it. */
function timeSpan(sigmas: readonly number[]): { tStart: number; tEnd: number } {
  const last = at(sigmas, sigmas.length - 1);
  const end = last > 0 ? last : at(sigmas, sigmas.length - 2);
  return { tStart: timeOf(at(sigmas, 0)), tEnd: timeOf(end) };
}

/**
 * DPM-Solver-fast: `modelCalls` calls between the first and the last sigma above 0; what the sigmas are in between
 * does not matter. The result keeps the noise of the last level, as in k-diffusion.
 */
export async function sampleDpmFast<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  const calls = run.modelCalls;
  const { tStart, tEnd } = timeSpan(sigmas);
  // A single level leaves nothing to step over (A1111 fails here): the estimate is the picture.
  if (tEnd <= tStart) return run.denoiser(start, at(sigmas, 0));
  const orders = fastOrders(calls);
  const times = linspaceFloat32(tStart, tEnd, orders.length + 1);
  let x = start;
  for (const [step, order] of orders.entries()) {
    const [t, tNext] = [at(times, step), at(times, step + 1)];
    const { tDown, sigmaUp } = splitStep(t, tNext, tEnd, run.eta);
    const { eps, denoised } = await epsilon(run, x, t);
    const sigma = sigmaOf(t);
    await run.report({ step, steps: orders.length, sigma, sigmaHat: sigma, x, denoised });
    const move = { x, eps, t, tNext: tDown };
    if (order === 1) x = await solverStep1(run, move);
    else if (order === 2)
      x = await solverStep2(run, move, await epsilonAhead(run, move, 1 / 2), 1 / 2);
    else x = await solverStep3(run, move, await epsilonAhead(run, move, 1 / 3));
    x = await addNoise(run, x, sigmaUp * run.sNoise, sigma, sigmaOf(tNext));
    run.math.keepOnly([x]);
  }
  return x;
}

/** Tolerances and step control of k-diffusion's `sample_dpm_adaptive`. */
const ADAPTIVE = {
  order: 3,
  relativeTolerance: 0.05,
  absoluteTolerance: 0.0078,
  firstStep: 0.05,
  acceptSafety: 0.81,
} as const;

/** Integral step size control (k-diffusion's PID controller with its default of a pure integral part). */
function createStepControl(order: number): { h: number; propose(error: number): boolean } {
  return {
    h: ADAPTIVE.firstStep,
    propose(error) {
      const raw = (1 / (error + 1e-8)) ** (1 / order);
      const factor = 1 + Math.atan(raw - 1);
      this.h *= factor;
      return factor >= ADAPTIVE.acceptSafety;
    },
  };
}

/** Root mean square of the difference of two solutions in units of their tolerance; reads the latents back. */
async function stepError<T>(
  { math }: SamplerRun<T>,
  low: T,
  high: T,
  previous: T,
): Promise<number> {
  const [a, b, p] = await Promise.all([
    math.toArray(low),
    math.toArray(high),
    math.toArray(previous),
  ]);
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const magnitude = Math.max(Math.abs(at(a, i)), Math.abs(at(p, i)));
    const tolerance = Math.max(ADAPTIVE.absoluteTolerance, ADAPTIVE.relativeTolerance * magnitude);
    sum += ((at(a, i) - at(b, i)) / tolerance) ** 2;
  }
  return Math.sqrt(sum / a.length);
}

/**
 * DPM-Solver-12 and -23 with adaptive steps (DPM-Solver, appendix C), between the first and the last sigma above 0;
 * the number of steps has no say. `sNoise` has no effect, as in A1111.
 */
export async function sampleDpmAdaptive<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  const { math, eta } = run;
  const { tStart, tEnd } = timeSpan(sigmas);
  const control = createStepControl(eta > 0 ? 1.5 : ADAPTIVE.order);
  let t = tStart;
  let x = start;
  let lastLow = start;
  for (let step = 0; t < tEnd - 1e-5; step++) {
    const tNext = Math.min(tEnd, Math.fround(t + control.h));
    const { tDown, sigmaUp } = splitStep(t, tNext, tEnd, eta);
    const { eps, denoised } = await epsilon(run, x, t);
    const move = { x, eps, t, tNext: tDown };
    const epsThird = await epsilonAhead(run, move, 1 / 3);
    const low = await solverStep2(run, move, epsThird, 1 / 3);
    const high = await solverStep3(run, move, epsThird);
    if (control.propose(await stepError(run, low, high, lastLow))) {
      lastLow = low;
      x = await addNoise(run, high, sigmaUp, sigmaOf(t), sigmaOf(tNext));
      t = tNext;
    }
    const sigma = sigmaOf(t);
    await run.report({ step, steps: 0, sigma, sigmaHat: sigma, x, denoised });
    math.keepOnly([x, lastLow]);
  }
  return x;
}
