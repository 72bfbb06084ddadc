import { at } from '../indexing.ts';
import { karrasSigmas } from '../schedulers/curves.ts';
import { heunCombine } from './heun.ts';
import { addNoise, eulerStep, type SamplerRun } from './sampler.ts';

/** Level to which a restart comes down before it goes back, and the level it goes back to. */
const RESTART_MIN = 0.1;
const RESTART_MAX = 2;

/**
 * The moves of a run, with A1111's plan: from 20 steps on nine of them go to one restart, from 36 on a quarter to each
 * of two, with the rest of the schedule made anew as Karras sigmas between the same ends.
 */
function restartMoves(given: readonly number[]): (readonly [from: number, to: number])[] {
  const steps = given.length - 1;
  const pairs = (list: readonly number[]) =>
    list.slice(0, -1).map((from, i) => [from, at(list, i + 1)] as const);
  if (steps < 20) return pairs(given);

  const [restarts, restartSteps] = steps >= 36 ? [2, Math.floor(steps / 4)] : [1, 9];
  const sigmas = karrasSigmas(steps - restartSteps * restarts, at(given, steps - 1), at(given, 0));
  const lowest = nearestIndex(sigmas, RESTART_MIN);
  const highest = nearestIndex(sigmas, RESTART_MAX);
  const moves = pairs(sigmas);
  if (highest >= lowest) return moves;
  const again = karrasSigmas(restartSteps + 1, at(sigmas, lowest), at(sigmas, highest)).slice(
    0,
    -1,
  );
  const repeated = Array.from({ length: restarts }, () => pairs(again)).flat();
  return [...moves.slice(0, lowest), ...repeated, ...moves.slice(lowest)];
}

function nearestIndex(list: readonly number[], value: number): number {
  const distances = list.map((entry) => Math.abs(entry - value));
  return distances.indexOf(Math.min(...distances));
}

/** Restart sampling: Xu et al., arXiv:2306.14878, algorithm 1, over Heun steps. */
export async function sampleRestart<T>(
  start: T,
  sigmas: readonly number[],
  run: SamplerRun<T>,
): Promise<T> {
  const { math } = run;
  const moves = restartMoves(sigmas);
  let x = start;
  let reached = Number.POSITIVE_INFINITY;
  for (const [step, [sigma, sigmaNext]] of moves.entries()) {
    if (sigma > reached) {
      const scale = Math.sqrt(sigma ** 2 - reached ** 2);
      x = await addNoise(run, x, scale, reached, sigma);
    }
    const denoised = await run.denoiser(x, sigma);
    // A1111 names the level that the step goes to "sigma" here, and the level of x "sigma_hat".
    const report = { step, steps: moves.length, sigma: sigmaNext, sigmaHat: sigma, x, denoised };
    await run.report(report);
    const ahead = await eulerStep(math, x, denoised, sigma, sigmaNext);
    if (sigmaNext === 0) {
      x = ahead;
    } else {
      const denoisedAhead = await run.denoiser(ahead, sigmaNext);
      x = await heunCombine(math, { x, denoised, ahead, denoisedAhead }, sigma, sigmaNext);
    }
    reached = sigmaNext;
    math.keepOnly([x]);
  }
  return x;
}
