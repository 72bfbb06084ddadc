import { at } from '../indexing.ts';
import { type TimestepRun, timestepSteps } from './timestep-sampler.ts';

/** Adams-Bashforth weights of the newest prediction and those before it (Liu et al., arXiv:2202.09778, equation 12). */
const ADAMS_BASHFORTH: readonly (readonly number[])[] = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/** PLMS: pseudo linear multistep, Liu et al., arXiv:2202.09778, algorithm 2; its first step asks the model twice. */
export async function samplePlms<T>(
  start: T,
  timesteps: readonly number[],
  run: TimestepRun<T>,
): Promise<T> {
  const { math } = run;
  let x = start;
  /** Earlier predictions, newest first. */
  let history: T[] = [];
  for (const { step, steps, timestep, timestepNext, alpha, alphaNext } of timestepSteps(
    timesteps,
    run.alphasCumprod,
  )) {
    const { guided } = await run.predictNoise(x, timestep);
    const move = async (terms: readonly (readonly [number, T])[]) => {
      const scale = -Math.sqrt(1 - alpha) / Math.sqrt(alpha);
      const estimate = await math.combine([
        [1 / Math.sqrt(alpha), x],
        ...terms.map(([weight, eps]) => [scale * weight, eps] as const),
      ]);
      const moved = await math.combine([
        [Math.sqrt(alphaNext), estimate],
        ...terms.map(([weight, eps]) => [Math.sqrt(1 - alphaNext) * weight, eps] as const),
      ]);
      return { estimate, moved };
    };
    let terms: (readonly [number, T])[];
    if (history.length === 0) {
      const { moved } = await move([[1, guided]]);
      const ahead = await run.predictNoise(moved, timestepNext);
      terms = [
        [1 / 2, guided],
        [1 / 2, ahead.guided],
      ];
    } else {
      const weights = at(ADAMS_BASHFORTH, history.length);
      terms = [guided, ...history].map((eps, i) => [at(weights, i), eps] as const);
    }
    const { estimate, moved } = await move(terms);
    history = [guided, ...history].slice(0, 3);
    x = moved;
    await run.report({ step, steps, sigma: 0, sigmaHat: 0, x, denoised: estimate });
    math.keepOnly([x, ...history]);
  }
  return x;
}
