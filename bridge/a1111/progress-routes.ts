import { Hono } from 'hono';
import { activitySentence } from '../activity-text.ts';
import type { BridgeServices, JobView } from '../services.ts';
import { clientName } from './client-name.ts';
import { checkContentType, jsonBody } from './json-body.ts';
import { readBoolean } from './lenient.ts';
import { toProgressResponse } from './replies.ts';
import { internalProgressRequest } from './schemas.ts';
import type { SeriesBoard } from './series.ts';

/** What the tabs do outside jobs, as one sentence, or null. */
function activityText({ engines }: BridgeServices): string | null {
  const busy = engines.list().find(({ status }) => status.activity !== null);
  return busy?.status.activity ? activitySentence(busy.status.activity) : null;
}

function previewUri(data: string): string {
  return `data:image/${data.startsWith('iVBOR') ? 'png' : 'jpeg'};base64,${data}`;
}

function taskProgress({ jobs }: BridgeServices, task: JobView | null, wantsPreview: boolean) {
  const isRunning = task?.state === 'running';
  const progress = isRunning
    ? toProgressResponse({ waiting: 0, running: 1, limit: 1, current: task }, null)
    : null;
  const place = task === null ? -1 : jobs.list().findIndex((job) => job.jobId === task.jobId);
  const preview = wantsPreview ? (progress?.current_image ?? null) : null;
  return {
    active: isRunning,
    queued: task?.state === 'waiting',
    completed: task?.state === 'finished' || task?.state === 'failed',
    progress: progress?.progress ?? null,
    eta: progress?.eta_relative ?? null,
    live_preview: preview === null ? null : previewUri(preview),
    id_live_preview: preview === null ? -1 : (task?.progress?.step ?? 0),
    textinfo:
      task?.state === 'waiting'
        ? `In queue: ${place + 1}/${jobs.list().length}`
        : (progress?.textinfo ?? 'Waiting...'),
  };
}

/** Progress, interrupt, skip, and what A1111's own page asks about its queue. */
export function progressRoutes(services: BridgeServices, board: SeriesBoard): Hono {
  const app = new Hono();
  const { jobs } = services;

  app.get('/sdapi/v1/progress', (c) => {
    const view = jobs.view();
    return c.json(
      toProgressResponse(view, jobs.find({ last: true }), {
        skipsImage: readBoolean(c.req.query('skip_current_image')) ?? false,
        activity: activityText(services),
        series: board.current(view),
      }),
    );
  });

  app.post('/sdapi/v1/interrupt', (c) => {
    checkContentType(c);
    jobs.interrupt(undefined, clientName(c));
    board.onInterrupt(jobs);
    return c.json({});
  });

  app.post('/sdapi/v1/skip', (c) => {
    checkContentType(c);
    jobs.skip();
    return c.json(null);
  });

  app.post('/internal/progress', async (c) => {
    const request = await jsonBody(c, internalProgressRequest);
    const task = request.id_task === null ? null : jobs.find({ key: request.id_task });
    return c.json(taskProgress(services, task, request.live_preview));
  });

  app.get('/internal/pending-tasks', (c) => {
    const waiting = jobs.list().filter((job) => job.state === 'waiting');
    return c.json({ size: waiting.length, tasks: waiting.map((job) => job.key ?? job.jobId) });
  });

  // Gradio's estimation message, which a few monitors poll.
  app.get('/queue/status', (c) => {
    const { waiting, running } = jobs.view();
    return c.json({
      msg: 'estimation',
      rank: null,
      queue_size: waiting + running,
      avg_event_process_time: null,
      avg_event_concurrent_process_time: null,
      rank_eta: null,
      queue_eta: 0,
    });
  });
  return app;
}
