import { at, linspace } from '../indexing.ts';
import type { TimestepRun, UniPcOptions } from './timestep-sampler.ts';
import { type ContinuousSchedule, createContinuousSchedule } from './uni-pc-schedule.ts';
import { uniPcWeights } from './uni-pc-weights.ts';

/** The model's estimate at one continuous time. */
interface Estimate<T> {
  readonly time: number;
  readonly denoised: T;
}

/** The continuous times of a run, falling from `first` to `last`, one more than the steps. */
function uniPcTimes(
  { skipType }: UniPcOptions,
  schedule: ContinuousSchedule,
  first: number,
  last: number,
  steps: number,
): number[] {
  switch (skipType) {
    case 'logSNR':
      return linspace(schedule.lambda(first), schedule.lambda(last), steps + 1).map((lambda) =>
        schedule.timeOfLambda(lambda),
      );
    case 'time_quadratic':
      return linspace(Math.sqrt(first), Math.sqrt(last), steps + 1).map((root) => root ** 2);
    case 'time_uniform':
      return linspace(first, last, steps + 1);
  }
}

/**
 * UniPC: Zhao et al., arXiv:2302.04867, algorithms 1 and 2, predicting the clean latents. Every step but the last
 * is corrected with the model call at its end. With fewer steps than the order (A1111 fails there) the order is
 * lowered.
 */
export async function sampleUniPc<T>(
  start: T,
  timesteps: readonly number[],
  run: TimestepRun<T>,
): Promise<T> {
  const { math, uniPc } = run;
  const schedule = createContinuousSchedule(run.alphasCumprod);
  const trainSteps = run.alphasCumprod.length;
  const steps = timesteps.length;
  if (steps === 0) return start;
  const order = Math.min(uniPc.order, steps);
  const first = run.isImg2img ? (at(timesteps, steps - 1) + 1) / trainSteps : 1;
  const times = uniPcTimes(uniPc, schedule, first, 1 / trainSteps, steps);

  const estimate = async (x: T, time: number): Promise<Estimate<T>> => {
    const { guided } = await run.predictNoise(x, (time - 1 / trainSteps) * trainSteps);
    const { alpha, sigma } = schedule.marginal(time);
    const denoised = await math.combine([
      [1 / alpha, x],
      [-sigma / alpha, guided],
    ]);
    return { time, denoised };
  };

  let x = start;
  /** Newest first. */
  let history = [await estimate(x, at(times, 0))];
  for (let step = 1; step <= steps; step++) {
    const time = at(times, step);
    const stepOrder = Math.min(
      step < order ? step : order,
      uniPc.isLowerOrderFinal && step >= order ? steps + 1 - step : order,
    );
    const isLast = step === steps;
    const moved = await uniPcStep(x, time, {
      history: history.slice(0, stepOrder),
      schedule,
      run,
      estimate: isLast ? null : estimate,
    });
    x = moved.x;
    const report = { step: step - 1, steps, sigma: 0, sigmaHat: 0, x };
    await run.report({ ...report, denoised: moved.estimate?.denoised ?? null });
    if (moved.estimate) history = [moved.estimate, ...history].slice(0, order);
    math.keepOnly([x, ...history.map((entry) => entry.denoised)]);
  }
  return x;
}

/** One predictor step to `time`, then, where `estimate` is given, the correction with the estimate found there. */
async function uniPcStep<T>(
  x: T,
  time: number,
  {
    history,
    schedule,
    run: { math, uniPc },
    estimate,
  }: {
    history: readonly Estimate<T>[];
    schedule: ContinuousSchedule;
    run: TimestepRun<T>;
    estimate: ((x: T, time: number) => Promise<Estimate<T>>) | null;
  },
): Promise<{ x: T; estimate: Estimate<T> | null }> {
  const newest = at(history, 0);
  const [from, to] = [schedule.marginal(newest.time), schedule.marginal(time)];
  const h = to.lambda - from.lambda;
  const ratios = history.slice(1).map((entry) => (schedule.lambda(entry.time) - from.lambda) / h);
  const weights = uniPcWeights(uniPc.variant, ratios, h);

  /** x_t = (sigma_t / sigma_s) x - alpha_t (phi m0 + sum of weights times differences to m0). */
  const move = (differences: readonly (readonly [weight: number, denoised: T])[]) => {
    const total = differences.reduce((sum, [weight]) => sum + weight, 0);
    return math.combine([
      [to.sigma / from.sigma, x],
      [-to.alpha * (weights.phi1 - total), newest.denoised],
      ...differences.map(([weight, denoised]) => [-to.alpha * weight, denoised] as const),
    ]);
  };
  const older = history.slice(1).map((entry) => entry.denoised);
  const predicted = await move(older.map((denoised, i) => [at(weights.predictor, i), denoised]));
  if (!estimate) return { x: predicted, estimate: null };
  const ahead = await estimate(predicted, time);
  const corrected = await move([
    ...older.map((denoised, i) => [at(weights.corrector, i), denoised] as const),
    [at(weights.corrector, older.length), ahead.denoised],
  ]);
  return { x: corrected, estimate: ahead };
}
