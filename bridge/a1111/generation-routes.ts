import { type Context, Hono } from 'hono';
import type { z } from 'zod';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { BridgeServices } from '../services.ts';
import { clientName, requestKey } from './client-name.ts';
import { type ConversionContext, fromImg2img, fromTxt2img } from './convert.ts';
import { errorReply } from './errors.ts';
import { withInfotext } from './infotext-request.ts';
import { parseBody, readJson } from './json-body.ts';
import { keepAliveSeconds, whitespaceUntil } from './keep-alive.ts';
import { isRecord } from './lenient.ts';
import { applyOverrides, type OptionsView, readOptions } from './options.ts';
import { type ImagesResponse, toImagesResponse } from './replies.ts';
import {
  type Img2imgRequest,
  img2imgRequest,
  type Txt2imgRequest,
  txt2imgRequest,
} from './schemas.ts';
import type { A1111Settings } from './settings.ts';

type GenerationRequest = Txt2imgRequest | Img2imgRequest;

/** Names the job on the reply, so that its result can be fetched again. */
const JOB_HEADER = 'x-easel-job';

function savesImages(
  request: GenerationRequest,
  params: { samplesSave: unknown },
  rule: A1111Settings['saveImages'],
): boolean {
  if (rule === 'requested') return request.save_images;
  return !request.do_not_save_samples && params.samplesSave !== false;
}

/** SHARK's own field for the checkpoint wins over the override, as it did there. */
function overridesOf(request: GenerationRequest): Record<string, unknown> {
  const overrides = { ...(request.override_settings ?? {}) };
  if (request.hf_model_id !== null) overrides.sd_model_checkpoint = request.hf_model_id;
  return overrides;
}

interface GenerateOptions<R extends GenerationRequest> {
  readonly services: BridgeServices;
  readonly settings: A1111Settings;
  readonly view: OptionsView;
  readonly request: R;
  readonly convert: (request: R, context: ConversionContext) => GenerationParams;
}

/** Runs one request as a job and resolves with A1111's reply; `onAccepted` gets the job's id. */
async function runJob<R extends GenerationRequest>(
  c: Context,
  { services, settings, view, request, convert }: GenerateOptions<R>,
  onAccepted: (jobId: string) => void,
): Promise<ImagesResponse> {
  const overridden = applyOverrides(overridesOf(request), view, services.settings.get());
  const styles = (await settings.styles?.()) ?? [];
  const upscalers = (await services.models.list('esrgan')).map(({ name }) => name);
  const params = convert(request, { ...overridden, styles, upscalers });
  for (const note of params.notes) settings.log?.(note);
  const { samples_save: samplesSave } = overridden.options;
  const isSaving = savesImages(request, { samplesSave }, settings.saveImages);
  const acceptedAt = Date.now();
  const result = await services.jobs.submit(
    {
      params,
      client: clientName(c),
      key: requestKey(c) ?? request.force_task_id,
      saveImages: isSaving,
    },
    { signal: c.req.raw.signal, onAccepted },
  );
  const keepsOverrides = !request.override_settings_restore_afterwards;
  if (keepsOverrides && Object.keys(overridden.changes).length > 0) {
    await services.settings.set(overridden.changes);
  }
  return toImagesResponse(request, params, result, { timestamp: acceptedAt, isSaving });
}

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

async function generate<R extends GenerationRequest>(
  c: Context,
  options: GenerateOptions<R>,
): Promise<Response> {
  const pending = runJob(c, options, (jobId) => c.header(JOB_HEADER, jobId));
  const seconds = keepAliveSeconds(c);
  return seconds === null ? c.json(await pending) : await answer(c, pending, seconds);
}

/** `POST /sdapi/v1/txt2img` and `/img2img`. */
export function generationRoutes(services: BridgeServices, settings: A1111Settings): Hono {
  const app = new Hono();

  async function readRequest<S extends z.ZodType>(
    c: Context,
    route: 'txt2img' | 'img2img',
    schema: S,
  ): Promise<{ request: z.output<S>; view: OptionsView }> {
    const body = await readJson(c);
    const view = await readOptions(services, settings.optionDefaults);
    const filled = isRecord(body) ? withInfotext(body, route, view.options) : body;
    return { request: parseBody(filled, schema), view };
  }

  app.post('/sdapi/v1/txt2img', async (c) => {
    const read = await readRequest(c, 'txt2img', txt2imgRequest);
    return await generate(c, { services, settings, ...read, convert: fromTxt2img });
  });
  app.post('/sdapi/v1/img2img', async (c) => {
    const read = await readRequest(c, 'img2img', img2imgRequest);
    return await generate(c, { services, settings, ...read, convert: fromImg2img });
  });
  return app;
}
