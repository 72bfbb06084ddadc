import { freemem, totalmem } from 'node:os';
import { Hono } from 'hono';
import { EASEL_VERSION } from '../../protocol/version.ts';
import { ApiError } from './errors.ts';
import { checkContentType } from './json-body.ts';
import type { A1111Settings } from './settings.ts';

/** Routes of A1111 that mean nothing in a server whose engine is a browser tab, and why. */
export const NOT_IMPLEMENTED: Readonly<Record<string, string>> = {
  '/sdapi/v1/create/embedding': 'Easel does not train: bring finished embeddings.',
  '/sdapi/v1/create/hypernetwork': 'Easel does not train, and has no hypernetworks.',
  '/sdapi/v1/train/embedding': 'Easel does not train: bring finished embeddings.',
  '/sdapi/v1/train/hypernetwork': 'Easel does not train, and has no hypernetworks.',
  '/sdapi/v1/server-kill': 'The API does not stop the bridge: press Ctrl+C where it runs.',
  '/sdapi/v1/server-restart': 'The API does not restart the bridge: start it again where it runs.',
  '/sdapi/v1/server-stop': 'The API does not stop the bridge: press Ctrl+C where it runs.',
};

function memory() {
  const total = totalmem();
  const used = process.memoryUsage.rss();
  return {
    ram: { free: freemem(), used, total },
    cuda: { error: 'unavailable: pictures are made in a browser tab, which tells no such figures' },
  };
}

/** Memory, flags, pings, and a plain 501 for what has no meaning here. */
export function systemRoutes({ flags = {} }: A1111Settings): Hono {
  const app = new Hono();
  app.get('/sdapi/v1/memory', (c) => c.json(memory()));
  app.get('/sdapi/v1/cmd-flags', (c) => c.json({ api: true, nowebui: false, ...flags }));
  app.get('/internal/ping', (c) => c.json({}));
  app.get('/sdapi/v1/internal/ping', (c) => c.json({}));
  app.get('/sdapi/v1/version', (c) => c.json({ app: 'Easel', version: EASEL_VERSION }));
  // Gradio's name of the user who is logged in: none.
  app.get('/user', (c) => c.json(null));
  for (const [path, reason] of Object.entries(NOT_IMPLEMENTED)) {
    app.post(path, (c) => {
      checkContentType(c);
      throw new ApiError(501, reason);
    });
  }
  return app;
}
