import type { MiddlewareHandler } from 'hono';
import { Hono } from 'hono';
import { routePath } from 'hono/route';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { AppEnv } from './app-env.ts';
import type { JobRecord } from './jobs/job-store.ts';
import type { EngineView, QueueView } from './services.ts';

/** Seconds: from a cached GET to a picture that takes twenty minutes. */
const REQUEST_BUCKETS = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 30, 60, 300, 1200];
const JOB_BUCKETS = [0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280];
const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** What the figures are read from, at the moment somebody asks for them. */
export interface MetricsSources {
  readonly queue: () => Pick<QueueView, 'waiting' | 'running' | 'limit'>;
  readonly engines: () => readonly EngineView[];
}

type EndedJob = Pick<JobRecord, 'state' | 'error' | 'acceptedAt' | 'startedAt' | 'endedAt'>;

/**
 * The bridge's figures for Prometheus. Labels are a route's pattern, a status and an error code: never a
 * path, a prompt or a client, so their number is bounded whatever is asked.
 */
export class BridgeMetrics {
  readonly #registry = new Registry();
  readonly #requests: Histogram<'method' | 'route' | 'status'>;
  readonly #jobs: Counter<'outcome'>;
  readonly #waited: Histogram;
  readonly #ran: Histogram;

  constructor({ queue, engines }: MetricsSources) {
    const registers = [this.#registry];
    // Among them the lag of the event loop, memory, processor time and open files.
    collectDefaultMetrics({ register: this.#registry });
    this.#requests = new Histogram({
      name: 'easel_http_request_duration_seconds',
      help: 'Time from a request to its reply, by route and status; _count counts the requests.',
      labelNames: ['method', 'route', 'status'],
      buckets: REQUEST_BUCKETS,
      registers,
    });
    this.#jobs = new Counter({
      name: 'easel_jobs_total',
      help: 'Jobs that have ended: finished, or the code of the error. With --redis every bridge counts all of them.',
      labelNames: ['outcome'],
      registers,
    });
    this.#waited = new Histogram({
      name: 'easel_job_wait_seconds',
      help: 'Time from accepting a job to an engine taking it.',
      buckets: JOB_BUCKETS,
      registers,
    });
    this.#ran = new Histogram({
      name: 'easel_job_run_seconds',
      help: 'Time from an engine taking a job to its end, lost attempts included.',
      buckets: JOB_BUCKETS,
      registers,
    });
    new Gauge({
      name: 'easel_queue_jobs',
      help: 'Jobs in the queue, by state.',
      labelNames: ['state'],
      registers,
      collect() {
        const { waiting, running } = queue();
        this.set({ state: 'waiting' }, waiting);
        this.set({ state: 'running' }, running);
      },
    });
    new Gauge({
      name: 'easel_queue_limit',
      help: 'Jobs that may wait or run at a time.',
      registers,
      collect() {
        this.set(queue().limit);
      },
    });
    new Gauge({
      name: 'easel_engines',
      help: 'Tabs attached to this bridge, by state.',
      labelNames: ['state'],
      registers,
      collect() {
        this.reset();
        for (const { status, isSilent } of engines()) {
          this.inc({ state: isSilent ? 'silent' : status.state });
        }
      },
    });
  }

  /** Counts a job that has its outcome. */
  jobEnded({ state, error, acceptedAt, startedAt, endedAt }: EndedJob): void {
    this.#jobs.inc({ outcome: state === 'finished' ? 'finished' : (error?.code ?? 'internal') });
    if (startedAt === null || endedAt === null) return;
    this.#waited.observe((startedAt - acceptedAt) / 1000);
    this.#ran.observe((endedAt - startedAt) / 1000);
  }

  /** Counts and times every request below it. */
  middleware(): MiddlewareHandler<AppEnv> {
    return async (c, next) => {
      const stop = this.#requests.startTimer();
      await next();
      const { method } = c.req;
      stop({
        method: METHODS.includes(method) ? method : 'other',
        // The last handler that ran; a middleware that refused the request has no pattern of its own.
        route: routePath(c),
        status: String(c.res.status),
      });
    };
  }

  /** `GET /metrics` in Prometheus' text format. */
  routes(): Hono<AppEnv> {
    const app = new Hono<AppEnv>();
    app.get('/metrics', async (c) => {
      const text = await this.#registry.metrics();
      return c.body(text, 200, {
        'content-type': this.#registry.contentType,
        'cache-control': 'no-store',
      });
    });
    return app;
  }
}
