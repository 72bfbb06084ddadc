import type { JobService, JobView, QueueView } from '../services.ts';

/** Jobs that one request makes one after the other, as progress and interrupt see them. */
export class Series {
  /** Batches to make in all. */
  readonly count: number;
  readonly startedAt: number;
  /** Batches made so far. */
  done = 0;
  /** The job that waits or runs now; null between two. */
  jobId: string | null = null;
  /** Set by an interrupt: what is not yet begun is not made. */
  isStopped = false;

  constructor(count: number, startedAt: number) {
    this.count = count;
    this.startedAt = startedAt;
  }
}

/** The requests that are being answered by several jobs. */
export class SeriesBoard {
  readonly #active = new Set<Series>();

  begin(count: number, now = Date.now()): Series {
    const series = new Series(count, now);
    this.#active.add(series);
    return series;
  }

  end(series: Series): void {
    this.#active.delete(series);
  }

  /** Called once an interrupt has reached the queue: it ends the whole request whose job it hit, or that is between two. */
  onInterrupt(jobs: Pick<JobService, 'list' | 'view'>): void {
    const open = new Map<string, JobView>(jobs.list().map((job) => [job.jobId, job]));
    const isIdle = jobs.view().current === null;
    for (const series of this.#active) {
      const job = series.jobId === null ? undefined : open.get(series.jobId);
      if (job ? job.isInterrupted : isIdle) series.isStopped = true;
    }
  }

  /** The series whose job runs, or that is between two jobs while nothing runs. */
  current({ current, waiting }: QueueView): Series | null {
    for (const series of this.#active) {
      if (current ? series.jobId === current.jobId : waiting === 0) return series;
    }
    return null;
  }
}
