/** What the runtime did so far; read before and after a job for its own share. */
export interface RuntimeCounters {
  /** Calls of `run`. */
  runs: number;
  /** Seconds in which the runtime was at work: in `run`, or awaited to settle or to hand values over. */
  runSeconds: number;
  /** GPU tensors brought to JavaScript. */
  readBacks: number;
  /** Values brought to the GPU, outside weights and the provider's own kernel parameters. */
  uploads: number;
  uploadedBytes: number;
}

/** Counters with a clock that counts overlapping work once. */
export interface RuntimeClock {
  readonly counters: RuntimeCounters;
  /** Awaits `work` while the clock runs. */
  time<T>(work: () => Promise<T>): Promise<T>;
}

export function createRuntimeClock(): RuntimeClock {
  const counters = { runs: 0, runSeconds: 0, readBacks: 0, uploads: 0, uploadedBytes: 0 };
  let atWork = 0;
  let startedAt = 0;
  return {
    counters,
    async time(work) {
      if (atWork++ === 0) startedAt = performance.now();
      try {
        return await work();
      } finally {
        if (--atWork === 0) counters.runSeconds += (performance.now() - startedAt) / 1000;
      }
    },
  };
}
