import type { JobImage, JobProgress } from '../../protocol/job.ts';
import type { JobResult, JobView } from '../services.ts';
import type { JobRecord } from './job-store.ts';

/** Where the outcome of a job goes that somebody waits for. */
export interface Waiter {
  readonly promise: Promise<JobResult>;
  readonly resolve: (result: JobResult) => void;
  readonly reject: (error: Error) => void;
}

export function createWaiter(): Waiter {
  let resolve: Waiter['resolve'] = () => {};
  let reject: Waiter['reject'] = () => {};
  const promise = new Promise<JobResult>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** What this bridge knows of an open job beyond its record: nothing here has to survive a restart. */
export class LiveJob {
  /** Null for a job that an earlier run of the bridge accepted. */
  readonly waiter: Waiter | null;
  readonly #images = new Map<number, Map<number, JobImage>>();
  /** False until the store has the job for good: nobody is told of one that a crash could still take. */
  isAccepted: boolean;
  progress: JobProgress | null = null;
  preview: string | null = null;
  isInterrupted = false;
  isSkipped = false;
  /** True when an attempt went on over a restart, so that pictures sent before it may be missing. */
  isResumed = false;
  /** Attempts in which an engine lived and made no step. */
  stuckAttempts = 0;
  /** How many results of it are being written here: whoever waits is answered by the first that counts. */
  completions = 0;
  /** True when whoever asked has hung up. */
  isOrphan = false;

  constructor(waiter: Waiter | null) {
    this.waiter = waiter;
    this.isAccepted = waiter === null;
  }

  /** Keeps a picture of an attempt; sent again after a reconnect, it replaces itself. */
  addImage(image: JobImage): void {
    const images = this.#images.get(image.attempt) ?? new Map<number, JobImage>();
    images.set(image.index, image);
    this.#images.set(image.attempt, images);
  }

  /** An attempt's pictures in order. */
  images(attempt: number): JobImage[] {
    return [...(this.#images.get(attempt)?.values() ?? [])].sort((a, b) => a.index - b.index);
  }

  /** Forgets what the present attempt reported. */
  restart(): void {
    this.progress = null;
    this.preview = null;
  }
}

/** A job as routes see it. */
export function jobView(record: JobRecord, live: LiveJob | null): JobView {
  const { jobId, client, key, state, params, acceptedAt, startedAt, error } = record;
  return {
    jobId,
    client,
    key,
    state,
    params,
    acceptedAt,
    startedAt,
    progress: live?.progress ?? null,
    preview: live?.preview ?? null,
    isInterrupted: live?.isInterrupted ?? false,
    isSkipped: live?.isSkipped ?? false,
    error,
  };
}
