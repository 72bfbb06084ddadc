import { type Context, Hono } from 'hono';
import type { z } from 'zod';
import type { BridgeServices } from '../services.ts';
import { clientName, requestKey } from './client-name.ts';
import { errorReply } from './errors.ts';
import { withInfotext } from './infotext-request.ts';
import { parseBody, readJson } from './json-body.ts';
import { keepAliveSeconds, whitespaceUntil } from './keep-alive.ts';
import { isRecord } from './lenient.ts';
import { readOptions } from './options.ts';
import type { ImagesResponse } from './replies.ts';
import { runRequest } from './run-request.ts';
import { img2imgRequest, txt2imgRequest } from './schemas.ts';
import type { GenerationRequest, Route } from './scripts/axes.ts';
import type { SeriesBoard } from './series.ts';
import type { A1111Settings } from './settings.ts';
import { inpaintOfShark, outpaintOfShark, sharkUpscale } from './shark.ts';
import {
  sharkInpaintRequest,
  sharkOutpaintRequest,
  sharkUpscalerRequest,
} from './shark-schemas.ts';

/** Names the job on the reply, so that its result can be fetched again. */
const JOB_HEADER = 'x-easel-job';

/** Answers when the job is done, or at the first pause with a body that white space keeps alive. */
async function answer(
  c: Context,
  pending: Promise<ImagesResponse>,
  seconds: number,
): Promise<Response> {
  const intervalMs = seconds * 1000;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const pause = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), intervalMs);
  });
  const first = await Promise.race([pending, pause]).finally(() => clearTimeout(timer));
  if (first !== null) return c.json(first);
  // The status is sent by now, so an error can only be told by its body.
  const text = pending.then(
    (reply) => JSON.stringify(reply),
    (error: unknown) =>
      JSON.stringify(errorReply(error)?.body ?? { detail: 'The bridge failed on this request.' }),
  );
  return c.body(whitespaceUntil(text, { intervalMs }), 200, { 'content-type': 'application/json' });
}

async function reply(c: Context, pending: Promise<ImagesResponse>): Promise<Response> {
  const seconds = keepAliveSeconds(c);
  return seconds === null ? c.json(await pending) : await answer(c, pending, seconds);
}

/** `POST /sdapi/v1/txt2img` and `/img2img`, and SHARK's `inpaint`, `outpaint` and `upscaler`. */
export function generationRoutes(
  services: BridgeServices,
  settings: A1111Settings,
  board: SeriesBoard,
): Hono {
  const app = new Hono();
  const readView = () => readOptions(services, settings.optionDefaults);

  const surroundings = (c: Context) => ({
    ...{ services, settings, board, client: clientName(c), key: requestKey(c) },
    signal: c.req.raw.signal,
    onAccepted: (jobId: string) => c.header(JOB_HEADER, jobId),
  });

  async function generate(c: Context, route: Route, request: GenerationRequest) {
    services.jobs.assertRoom(clientName(c));
    const view = await readView();
    return await reply(c, runRequest(route, request, { ...surroundings(c), view }));
  }

  async function readRequest<S extends z.ZodType>(c: Context, route: Route, schema: S) {
    const body = await readJson(c);
    const { options } = await readView();
    return parseBody(isRecord(body) ? withInfotext(body, route, options) : body, schema);
  }

  app.post('/sdapi/v1/txt2img', async (c) =>
    generate(c, 'txt2img', await readRequest(c, 'txt2img', txt2imgRequest)),
  );
  app.post('/sdapi/v1/img2img', async (c) =>
    generate(c, 'img2img', await readRequest(c, 'img2img', img2imgRequest)),
  );
  app.post('/sdapi/v1/inpaint', async (c) => {
    const request = parseBody(await readJson(c), sharkInpaintRequest);
    return await generate(c, 'img2img', inpaintOfShark(request));
  });
  app.post('/sdapi/v1/outpaint', async (c) => {
    const request = parseBody(await readJson(c), sharkOutpaintRequest);
    return await generate(c, 'img2img', outpaintOfShark(request));
  });
  app.post('/sdapi/v1/upscaler', async (c) => {
    const request = parseBody(await readJson(c), sharkUpscalerRequest);
    return await reply(c, sharkUpscale(request, surroundings(c)));
  });
  return app;
}
