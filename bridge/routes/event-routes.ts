import { Hono } from 'hono';
import { isTerminal, type JobEvent } from '../../protocol/job.ts';
import type { AppEnv } from '../app-env.ts';
import type { AccessControl } from '../security/access-control.ts';
import type { JobService } from '../services.ts';

/** A comment line so often, so that nothing between takes the connection for dead. */
const HEARTBEAT_MS = 15_000;
/** A reader this far behind loses previews and progress, which the next ones replace; results never. */
const MAX_PENDING_BYTES = 1 << 20;

/** An event as it goes out: a picture is named by its address, never sent along. */
function publicEvent(event: JobEvent): Record<string, unknown> {
  if (event.type !== 'job-image') return { ...event };
  const { data: _data, byproducts: _byproducts, ...rest } = event;
  return { ...rest, url: `/easel/v1/jobs/${event.jobId}/images/${event.index}` };
}

function isReplaceable({ type }: JobEvent): boolean {
  return type === 'job-progress' || type === 'job-preview';
}

interface EventStreamOptions {
  /** Only this job; the stream ends with it. */
  readonly jobId: string | undefined;
  readonly heartbeatMs: number;
  readonly access?: Pick<AccessControl, 'onChange'> | undefined;
}

function eventStream(
  jobs: JobService,
  { jobId, heartbeatMs, access }: EventStreamOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let release = () => {};
  return new ReadableStream(
    {
      start(controller) {
        const send = (text: string) => controller.enqueue(encoder.encode(text));
        const timer = setInterval(() => send(':\n\n'), heartbeatMs);
        const stopListening = jobs.onEvent((event) => {
          if (jobId !== undefined && event.jobId !== jobId) return;
          if (isReplaceable(event) && (controller.desiredSize ?? 0) <= 0) return;
          send(`event: ${event.type}\ndata: ${JSON.stringify(publicEvent(event))}\n\n`);
          if (jobId === undefined || !isTerminal(event)) return;
          end();
        });
        // Whoever listens by a password that no longer counts hears nothing more.
        const stopWatching = access?.onChange(() => end());
        const end = () => {
          release();
          controller.close();
        };
        release = () => {
          clearInterval(timer);
          stopListening();
          stopWatching?.();
        };
        send(':\n\n');
      },
      cancel() {
        release();
      },
    },
    { highWaterMark: MAX_PENDING_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
  );
}

/**
 * `GET /easel/v1/events`: what the engines say about jobs, as server-sent events; with `?job=ID` of one job, until it
 * ends. Beside A1111's polling, for clients that want to follow live.
 */
export function eventRoutes(
  jobs: JobService,
  {
    heartbeatMs = HEARTBEAT_MS,
    access,
  }: { heartbeatMs?: number; access?: Pick<AccessControl, 'onChange'> } = {},
): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/easel/v1/events', (c) =>
    c.body(eventStream(jobs, { jobId: c.req.query('job'), heartbeatMs, access }), 200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    }),
  );
  return app;
}
