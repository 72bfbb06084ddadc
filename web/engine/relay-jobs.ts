import type { Byproduct } from '../../protocol/byproducts.ts';
import { serializeError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import { isTerminal, type JobEvent } from '../../protocol/job.ts';
import type { TabMessage } from '../../protocol/relay.ts';
import type { GeneratedByproduct, GeneratedImage } from '../shared/engine.ts';
import { toBase64 } from './base64.ts';
import type { LocalEngine } from './local-engine.ts';

/** The right to a job: which one, and the how-manieth try. */
interface Lease {
  readonly jobId: string;
  readonly attempt: number;
}

/** A job from its start until the bridge has its outcome. */
interface RelayJob extends Lease {
  readonly abort: AbortController;
  /** Pictures and the outcome, kept until they are acknowledged; never progress or previews. */
  readonly results: JobEvent[];
  step: number;
  isFinished: boolean;
  /** The bridge wants nothing more of it. */
  isForgotten: boolean;
}

/** The jobs that the bridge gave to this tab. */
export interface RelayJobs {
  start(job: Lease & { readonly params: GenerationParams }): void;
  cancel(jobId: string, mode: 'interrupt' | 'skip'): void;
  /** The outcome is durable at the bridge, or no longer wanted there. */
  acknowledge(lease: Lease): void;
  /** The job being worked on, for heartbeats. */
  current(): (Lease & { readonly step: number }) | null;
  /** The job that a new connection says it still has. */
  claim(): Lease | null;
  /** Sends kept results over a new connection. */
  offerAgain(): void;
  close(): void;
}

/** Runs jobs on the engine and tells the bridge; `send` returns false while there is no connection. */
export function createRelayJobs(
  engine: LocalEngine,
  send: (message: TabMessage) => boolean,
): RelayJobs {
  const jobs: RelayJob[] = [];
  /** The one that the engine works on now; others wait for their turn in it. */
  let active: RelayJob | null = null;

  function tell(job: RelayJob, event: JobEvent): void {
    if (job.isForgotten) return;
    if (event.type === 'job-image' || isTerminal(event)) job.results.push(event);
    send(event);
  }

  function remove(job: RelayJob): void {
    job.isForgotten = true;
    const place = jobs.indexOf(job);
    if (place >= 0) jobs.splice(place, 1);
  }

  function find({ jobId, attempt }: Lease): RelayJob | undefined {
    return jobs.find((job) => job.jobId === jobId && job.attempt === attempt);
  }

  async function run(job: RelayJob, params: GenerationParams): Promise<void> {
    const { jobId, attempt } = job;
    const lease = { jobId, attempt };
    try {
      const summary = await engine.generate(params, {
        signal: job.abort.signal,
        onProgress(progress) {
          active = job;
          job.step = progress.step;
          tell(job, { type: 'job-progress', ...lease, ...progress });
        },
        onImage: (image) => tell(job, { type: 'job-image', ...lease, ...imageFields(image) }),
        onPreview: (bytes) => tell(job, { type: 'job-preview', ...lease, data: toBase64(bytes) }),
      });
      tell(job, { type: 'job-finished', ...lease, summary });
    } catch (error) {
      tell(job, { type: 'job-failed', ...lease, error: serializeError(error) });
    } finally {
      job.isFinished = true;
      if (active === job) active = null;
    }
  }

  return {
    start({ jobId, attempt, params }) {
      if (find({ jobId, attempt })) return;
      const abort = new AbortController();
      const state = { step: 0, isFinished: false, isForgotten: false };
      const job: RelayJob = { jobId, attempt, abort, results: [], ...state };
      jobs.push(job);
      void run(job, params);
    },
    cancel(jobId, mode) {
      for (const job of jobs.filter((entry) => entry.jobId === jobId && !entry.isFinished)) {
        // A job that still waits for its turn has nothing to finish with.
        if (job !== active) job.abort.abort();
        else if (mode === 'skip') engine.skip();
        else engine.interrupt();
      }
    },
    acknowledge(lease) {
      const job = find(lease);
      if (!job) return;
      if (!job.isFinished) job.abort.abort();
      remove(job);
    },
    current() {
      const job = active ?? jobs.find(({ isFinished }) => !isFinished);
      if (!job) return null;
      const { jobId, attempt, step } = job;
      return { jobId, attempt, step };
    },
    claim() {
      const job = jobs.find(({ isFinished }) => !isFinished) ?? jobs[0];
      return job ? { jobId: job.jobId, attempt: job.attempt } : null;
    },
    offerAgain() {
      for (const event of jobs.flatMap(({ results }) => results)) send(event);
    },
    close() {
      for (const job of jobs) {
        job.isForgotten = true;
        job.abort.abort();
      }
      jobs.length = 0;
    },
  };
}

function imageFields(image: GeneratedImage) {
  const { bytes, byproducts, ...fields } = image;
  return {
    ...fields,
    data: toBase64(bytes),
    ...(byproducts ? { byproducts: byproducts.map(encodeByproduct) } : {}),
  };
}

function encodeByproduct({ bytes, ...fields }: GeneratedByproduct): Byproduct {
  return { ...fields, data: toBase64(bytes) };
}
