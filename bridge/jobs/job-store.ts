import { GenerationError, type SerializedError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary, JobEvent, JobImage } from '../../protocol/job.ts';
import type { PictureSaving } from '../services.ts';

/** A job as it is accepted. */
export interface NewJob {
  readonly jobId: string;
  readonly client: string;
  readonly key: string | null;
  readonly params: GenerationParams;
  readonly saveImages: boolean;
  readonly saving?: PictureSaving | undefined;
  /** Whose turn it takes, where clients share the queue; a name without meaning, `client` where it is absent. */
  readonly owner?: string | undefined;
}

/** The right to one attempt at a job. Frames and writes that name another attempt are late. */
export interface Lease {
  readonly jobId: string;
  readonly attempt: number;
}

/** One job as the store has it. Finished jobs keep their parameters without the pictures sent along. */
export interface JobRecord extends NewJob {
  readonly state: 'waiting' | 'running' | 'finished' | 'failed';
  /** Attempts handed out so far; the running one's number while running. */
  readonly attempt: number;
  /** Attempts that ended because their engine was lost. */
  readonly lostAttempts: number;
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly error: SerializedError | null;
  /** Where each picture was saved; null where that was not wanted or not possible. */
  readonly savedAs: readonly (string | null)[];
}

/** What a store begins a job with. */
export function acceptedJob(job: NewJob, acceptedAt: number): JobRecord {
  return {
    ...job,
    state: 'waiting',
    attempt: 0,
    lostAttempts: 0,
    acceptedAt,
    startedAt: null,
    endedAt: null,
    error: null,
    savedAs: [],
  };
}

/** The refusal of a job beyond the queue's limit. */
export function queueFull(limit: number): GenerationError {
  return new GenerationError('busy', `The queue is full (${limit} jobs). Try again in a moment.`);
}

/** A finished job's pictures and what is known of it, as they are kept for a day. */
export interface StoredResult {
  readonly jobId: string;
  readonly images: readonly JobImage[];
  readonly summary: GenerationSummary;
}

/** What others may want to know the moment it happens; crosses processes where the store does. */
export type StoreEvent =
  /** A job is waiting to be taken. */
  | { readonly type: 'available'; readonly jobId: string }
  /** A job has its one outcome. */
  | { readonly type: 'ended'; readonly jobId: string }
  /** Whoever runs the job should end it (`interrupt`) or drop the present picture (`skip`). */
  | { readonly type: 'cancel'; readonly jobId: string; readonly mode: 'interrupt' | 'skip' }
  | { readonly type: 'progress'; readonly event: JobEvent };

/**
 * Writes a finished job's pictures to the output folder and tells where. `isRedo`: the bridge ended
 * somewhere between the result and the end of the job, so they may be there already. `kept` resolves
 * when the result is durable: no picture may get its name before, or a crash would save it twice.
 */
export type SavePictures = (options: {
  readonly isRedo: boolean;
  readonly kept: Promise<void>;
}) => Promise<readonly (string | null)[]>;

/** What a shared store knows of the other bridges' engines. */
export interface SharedEngines {
  /** Tells the others whether this bridge has an engine that can work; called often, told when due. */
  announce(hasEngines: boolean): void;
  /** Until when the others are known to have an engine, in milliseconds since the epoch; -Infinity: never. */
  readonly goneAt: number;
}

/** How often an attempt may be lost before the job counts as the cause. */
export const MAX_LOST_ATTEMPTS = 3;

/** Why a job is given up that engines were lost over: nothing that asking again would mend, so `internal`. */
export function givenUp(lostAttempts: number, cause: SerializedError): SerializedError {
  return {
    code: 'internal',
    message: `The engine was lost ${lostAttempts} times while it worked on this job, the last time because: ${cause.message} The job was given up; a smaller size or another checkpoint may help.`,
  };
}

/**
 * The queue's contract: the same verbs for the embedded store and for a shared one. Writes are
 * guarded: of all attempts and late results, the first that ends a job is its outcome.
 */
export interface JobStore {
  /** Accepts a job; durable once resolved. Rejects with `busy` when the queue is full. */
  add(job: NewJob): Promise<JobRecord>;
  /**
   * Leases a waiting job to an engine, or null: a lost one first, then the oldest of the client that was
   * served longest ago, so that nobody waits for another's whole pile.
   */
  take(): Promise<JobRecord | null>;
  /** Renews a lease after a reconnect: true when that very attempt may go on. */
  resume(lease: Lease): Promise<boolean>;
  /** An attempt's engine is lost: the job waits again at the front, or fails when it was lost too often. */
  release(lease: Lease, cause: SerializedError): Promise<'waiting' | 'failed' | 'stale'>;
  /**
   * Ends an open job with pictures; null when it already had its outcome. The result is durable before
   * `save` writes the pictures to the output folder, and the job has ended once this resolves.
   */
  complete(result: StoredResult, save: SavePictures): Promise<JobRecord | null>;
  /** Ends an open job with an error; false when it already had its outcome. */
  fail(jobId: string, error: SerializedError): Promise<boolean>;
  /** Asks whoever runs the job to stop; does nothing for jobs that do not run. */
  cancel(jobId: string, mode: 'interrupt' | 'skip'): void;
  /** Tells everybody of an event of a running job. */
  publish(event: JobEvent): void;
  get(jobId: string): JobRecord | null;
  /** Waiting and running jobs, oldest first. */
  open(): readonly JobRecord[];
  /** Ended jobs of the last day, newest first. */
  ended(): readonly JobRecord[];
  result(jobId: string): Promise<StoredResult | null>;
  onEvent(listener: (event: StoreEvent) => void): () => void;
  /** Engines of other bridges on the same queue; absent where the queue is this bridge's own. */
  readonly sharedEngines?: SharedEngines;
  /** Writes what is pending and releases the files; safe to call twice. */
  close(): Promise<void>;
}
