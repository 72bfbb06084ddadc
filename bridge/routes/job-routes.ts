import { Hono } from 'hono';
import { generationParams } from '../../protocol/generation.ts';
import { clientName, requestKey } from '../a1111/client-name.ts';
import { errorBody } from '../a1111/errors.ts';
import { jsonBody } from '../a1111/json-body.ts';
import type { AppContext, AppEnv } from '../app-env.ts';
import { INERT_HEADERS } from '../security/response-headers.ts';
import type { JobService, JobView } from '../services.ts';

const UNKNOWN = 'There is no such job of the last day.';

/** The page's jobs that A1111's API has no words for, or gives no way to find again. */
const pageJob = generationParams.refine(({ mode }) => mode === 'upscale' || mode === 'grid', {
  message: 'only the modes upscale and grid; send others to /sdapi/v1',
  path: ['mode'],
});

/** A job without its pictures, as the page's queue and a client that lost its reply read it. */
function describe(view: JobView) {
  const { jobId, client, key, state, acceptedAt, startedAt, progress, error } = view;
  return {
    id: jobId,
    client,
    key,
    state,
    acceptedAt,
    startedAt,
    progress: progress?.fraction ?? (state === 'finished' ? 1 : 0),
    stage: progress?.stage ?? null,
    message: progress?.message ?? null,
    isInterrupted: view.isInterrupted,
    error,
  };
}

/** Jobs of the last day: the open ones, and any one with its pictures. */
export function jobRoutes(jobs: JobService): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  async function reply(c: AppContext, view: JobView | null): Promise<Response> {
    if (!view) return c.json(errorBody(404, UNKNOWN), 404);
    const result = await jobs.result(view.jobId);
    const found = {
      ...describe(view),
      images: result?.images.map(({ data }) => data) ?? [],
      infotexts: result?.images.map(({ infotext }) => infotext) ?? [],
      seeds: result?.images.map(({ seed }) => seed) ?? [],
      savedAs: result?.savedAs ?? [],
      summary: result?.summary ?? null,
    };
    return c.json(found, 200, { 'cache-control': 'no-store', 'x-easel-job': view.jobId });
  }

  app.get('/easel/v1/jobs', async (c) => {
    const key = c.req.query('key');
    if (key !== undefined) return await reply(c, jobs.find({ key }));
    const { waiting, running, limit } = jobs.view();
    const open = jobs.list().map(describe);
    return c.json({ waiting, running, limit, jobs: open }, 200, { 'cache-control': 'no-store' });
  });

  app.post('/easel/v1/jobs', async (c) => {
    const params = await jsonBody(c, pageJob);
    const request = { params, client: clientName(c), key: requestKey(c), saveImages: false };
    await jobs.submit(request);
    return c.json({});
  });

  app.get('/easel/v1/jobs/last', async (c) => {
    const key = c.req.query('key');
    return await reply(c, jobs.find(key === undefined ? { last: true } : { key }));
  });

  app.get('/easel/v1/jobs/:id', async (c) => {
    return await reply(c, jobs.find({ jobId: c.req.param('id') }));
  });

  app.get('/easel/v1/jobs/:id/images/:index', async (c) => {
    const result = await jobs.result(c.req.param('id'));
    const image = result?.images[Number(c.req.param('index'))];
    if (!image) return c.json(errorBody(404, UNKNOWN), 404);
    const type = { png: 'image/png', jpg: 'image/jpeg', webp: 'image/webp' }[image.format];
    return c.body(Buffer.from(image.data, 'base64'), 200, {
      ...INERT_HEADERS,
      'content-type': type,
      'cache-control': 'private, max-age=86400, immutable',
    });
  });

  app.post('/easel/v1/jobs/:id/interrupt', (c) => {
    const jobId = c.req.param('id');
    if (!jobs.find({ jobId })) return c.json(errorBody(404, UNKNOWN), 404);
    jobs.interrupt(jobId);
    return c.json({});
  });
  return app;
}
