import { type Signal, signal } from '@preact/signals';
import { isAbortError, serializeError } from '../../protocol/errors.ts';
import { generationParams } from '../../protocol/generation.ts';
import type { Engine } from '../shared/engine.ts';
import type { Problem } from './state.ts';

/** What is measured: the same job everywhere, so that figures can be compared. */
export const BENCHMARK = { width: 512, height: 512, steps: 12, sampler: 'Euler' } as const;

export interface BenchmarkResult {
  readonly checkpoint: string;
  /** Steps a second between the first and the last one: neither loading nor decoding counts. */
  readonly stepsPerSecond: number;
  /** The whole second picture, prompt and decoding included. */
  readonly seconds: number;
}

export interface BenchmarkState {
  readonly isRunning: Signal<boolean>;
  readonly result: Signal<BenchmarkResult | null>;
  readonly problem: Signal<Problem | null>;
}

export function createBenchmarkState(): BenchmarkState {
  return { isRunning: signal(false), result: signal(null), problem: signal(null) };
}

/**
 * Makes the fixed picture twice and measures the second: the first one loads and compiles what is missing. The pictures
 * are not kept.
 */
export async function runBenchmark(
  state: BenchmarkState,
  engine: Pick<Engine, 'generate'>,
  {
    signal: aborted,
    now = () => performance.now(),
  }: { signal?: AbortSignal; now?: () => number } = {},
): Promise<void> {
  if (state.isRunning.value) return;
  state.isRunning.value = true;
  state.problem.value = null;
  const options = aborted ? { signal: aborted } : {};
  const params = generationParams.parse({ prompt: 'a red apple', seed: 1, ...BENCHMARK });
  try {
    await engine.generate({ ...params, steps: 2 }, options);
    const marks: { step: number; at: number }[] = [];
    const start = now();
    const { checkpoint } = await engine.generate(params, {
      ...options,
      onProgress: ({ stage, step }) => {
        if (stage === 'sampling' && step > (marks.at(-1)?.step ?? 0))
          marks.push({ step, at: now() });
      },
    });
    const seconds = (now() - start) / 1000;
    const [first, last] = [marks[0], marks.at(-1)];
    const isMeasured = first && last && last.step > first.step && last.at > first.at;
    const stepsPerSecond = isMeasured
      ? ((last.step - first.step) / (last.at - first.at)) * 1000
      : params.steps / seconds;
    state.result.value = { checkpoint, stepsPerSecond, seconds };
  } catch (error) {
    if (!isAbortError(error)) state.problem.value = serializeError(error);
  } finally {
    state.isRunning.value = false;
  }
}
