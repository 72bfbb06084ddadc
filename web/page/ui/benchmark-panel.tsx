import { useEffect, useMemo } from 'preact/hooks';
import { BENCHMARK, createBenchmarkState, runBenchmark } from '../benchmark.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { ProblemNote } from './problem-note.tsx';

/** Measures this device with a fixed job. */
export function BenchmarkButton() {
  const { state, engine } = useApp();
  const benchmark = useMemo(createBenchmarkState, []);
  const abort = useMemo(() => new AbortController(), []);
  useEffect(() => () => abort.abort(), [abort]);
  const isRunning = benchmark.isRunning.value;
  const result = benchmark.result.value;
  return (
    <div class="panel-action">
      <button
        type="button"
        disabled={isRunning || state.isRunning.value}
        onClick={() => void runBenchmark(benchmark, engine, { signal: abort.signal })}
      >
        {isRunning ? t.benchmark.running : t.benchmark.run}
      </button>
      <p class="quiet" role="status">
        {result
          ? t.benchmark.result(result.stepsPerSecond, result.seconds, result.checkpoint)
          : t.benchmark.hint(BENCHMARK.width, BENCHMARK.steps)}
      </p>
      <ProblemNote problem={benchmark.problem} />
    </div>
  );
}
