import { type Context, Hono } from 'hono';
import { savedByproducts, withByproducts } from '../a1111/byproducts.ts';
import { type CheckpointEntry, findCheckpoint, listCheckpoints } from '../a1111/checkpoints.ts';
import { clientName, requestKey } from '../a1111/client-name.ts';
import { savingOf } from '../a1111/file-options.ts';
import { parseBody, readJson } from '../a1111/json-body.ts';
import { readOptions } from '../a1111/options.ts';
import { answerOtherMethods } from '../a1111/other-methods.ts';
import type { A1111Settings } from '../a1111/settings.ts';
import type { BridgeServices } from '../services.ts';
import { toGenerationParams, toImagesReply } from './convert.ts';
import { readEditBody } from './edit-body.ts';
import { handleErrors } from './errors.ts';
import {
  type ImageEditRequest,
  type ImageGenerationRequest,
  imageEditRequest,
  imageGenerationRequest,
} from './schemas.ts';

function modelItem({ name }: CheckpointEntry) {
  // OpenAI's clients sort by `created`; files have no such date that would help anybody.
  return { id: name, object: 'model', created: 0, owned_by: 'easel' };
}

/** OpenAI's Images API and its list of models: the other convention that front ends speak. */
export function openaiRoutes(services: BridgeServices, settings: A1111Settings = {}): Hono {
  const app = new Hono();
  const { log = console.error } = settings;
  app.onError(handleErrors(log));

  async function generate(c: Context, request: ImageGenerationRequest | ImageEditRequest) {
    const view = await readOptions(services, settings.optionDefaults);
    const isSaving = settings.saveImages !== 'requested' && view.options.samples_save !== false;
    const saved = isSaving ? savedByproducts(view.options) : [];
    const params = withByproducts(toGenerationParams(request, view), saved);
    for (const note of params.notes) log(note);
    const result = await services.jobs.submit(
      {
        params,
        client: clientName(c),
        key: requestKey(c),
        saveImages: isSaving,
        saving: savingOf(view.options),
      },
      { signal: c.req.raw.signal, onAccepted: (jobId) => c.header('x-easel-job', jobId) },
    );
    const { origin } = new URL(c.req.url);
    return c.json(toImagesReply(request, result, { origin, now: Date.now() }));
  }

  app.post('/v1/images/generations', async (c) => {
    return await generate(c, parseBody(await readJson(c), imageGenerationRequest));
  });
  app.post('/v1/images/edits', async (c) => {
    return await generate(c, parseBody(await readEditBody(c), imageEditRequest));
  });

  app.get('/v1/models', async (c) => {
    const checkpoints = await listCheckpoints(services.models);
    return c.json({ object: 'list', data: checkpoints.map(modelItem) });
  });
  app.get('/v1/models/:name', async (c) => {
    const entry = findCheckpoint(await listCheckpoints(services.models), c.req.param('name'));
    if (entry) return c.json(modelItem(entry));
    const message = 'There is no such model; /v1/models lists them.';
    const error = {
      message,
      type: 'invalid_request_error',
      param: 'model',
      code: 'model_not_found',
    };
    return c.json({ error }, 404);
  });
  answerOtherMethods(app);
  return app;
}
