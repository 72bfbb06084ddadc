/** What the runtime did so far; read before and after a job for its own share. */
export interface RuntimeCounters {
  /** Calls of `run`, and the seconds spent in them and in waiting for read-backs. */
  runs: number;
  runSeconds: number;
  /** GPU tensors brought to JavaScript. */
  readBacks: number;
  /** Values brought to the GPU, outside weights. */
  uploads: number;
  uploadedBytes: number;
}

export function createCounters(): RuntimeCounters {
  return { runs: 0, runSeconds: 0, readBacks: 0, uploads: 0, uploadedBytes: 0 };
}
