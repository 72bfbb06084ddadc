import { Hono } from 'hono';
import { GenerationError } from '../../protocol/errors.ts';
import type { BridgeServices } from '../services.ts';
import { checkContentType, jsonBody } from './json-body.ts';
import { optionChanges, readOptions } from './options.ts';
import { optionsRequest } from './schemas.ts';
import type { A1111Settings } from './settings.ts';

/** Runs a command on the attached tabs; with none attached there is nothing to do and no error. */
async function controlIfAttached(
  { engines }: BridgeServices,
  command: Parameters<BridgeServices['engines']['control']>[0],
): Promise<void> {
  try {
    await engines.control(command);
  } catch (error) {
    if (error instanceof GenerationError && error.code === 'no-tab') return;
    throw error;
  }
}

/** Options, and loading or unloading the checkpoint that they name. */
export function optionsRoutes(services: BridgeServices, settings: A1111Settings): Hono {
  const app = new Hono();
  const read = () => readOptions(services, settings.optionDefaults);

  app.get('/sdapi/v1/options', async (c) => c.json((await read()).options));

  // Answers once the tab has loaded the checkpoint, as A1111 does; a load that fails changes no option.
  app.post('/sdapi/v1/options', async (c) => {
    const posted = await jsonBody(c, optionsRequest);
    const changes = optionChanges(posted, await read());
    const checkpoint = changes.sd_model_checkpoint;
    if (typeof checkpoint === 'string') {
      await controlIfAttached(services, { name: 'load-checkpoint', checkpoint });
    }
    if (Object.keys(changes).length > 0) await services.settings.set(changes);
    return c.json(null);
  });

  app.post('/sdapi/v1/unload-checkpoint', async (c) => {
    checkContentType(c);
    await controlIfAttached(services, { name: 'unload-checkpoint' });
    return c.json({});
  });

  app.post('/sdapi/v1/reload-checkpoint', async (c) => {
    checkContentType(c);
    const { current } = await read();
    await controlIfAttached(services, { name: 'load-checkpoint', checkpoint: current.name });
    return c.json({});
  });

  for (const what of ['checkpoints', 'vae', 'loras', 'embeddings']) {
    app.post(`/sdapi/v1/refresh-${what}`, async (c) => {
      checkContentType(c);
      await services.models.refresh();
      await controlIfAttached(services, { name: 'refresh-models' });
      return c.json(null);
    });
  }
  return app;
}
