import { Hono } from 'hono';
import {
  DOWNLOAD_ACTIONS,
  DOWNLOADS_PATH,
  downloadRequest,
  ENGINE_TOKEN_HEADER,
} from '../../protocol/downloads/download-view.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { errorBody } from '../a1111/errors.ts';
import type { AppContext, AppEnv } from '../app-env.ts';
import type { ModelDownloads } from '../downloads/model-downloads.ts';
import { SecretComparer } from '../security/access-control.ts';
import { limitBody } from '../security/body-limit.ts';
import { isOwnPage } from './engine-routes.ts';

const MAX_BODY_BYTES = 16 * 1024;

export interface DownloadRoutesOptions {
  readonly downloads: Pick<ModelDownloads, 'manager' | 'start'>;
  /** This start's engine token, which only the bridge's own page is given. */
  readonly token: () => string;
}

/**
 * Downloads into the models folder. They make the bridge call other hosts, so only its own page may ask:
 * same origin, and with the engine token, which no other page can read.
 */
export function downloadRoutes({ downloads, token }: DownloadRoutesOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const comparer = new SecretComparer();
  const { manager } = downloads;
  const list = (c: AppContext) =>
    c.json({ downloads: manager.views() }, 200, { 'cache-control': 'no-store' });

  app.use(`${DOWNLOADS_PATH}/*`, limitBody({ maxBytes: MAX_BODY_BYTES }));
  app.use(`${DOWNLOADS_PATH}/*`, async (c, next) => {
    if (!isOwnPage(c)) {
      const message = 'Downloads are started and seen on the page that this bridge serves.';
      return c.json(errorBody(403, message), 403);
    }
    if (c.req.method === 'GET') return await next();
    if (!comparer.isEqual(token(), c.req.header(ENGINE_TOKEN_HEADER) ?? '')) {
      return c.json(errorBody(401, 'The engine token is missing or of an earlier start.'), 401);
    }
    return await next();
  });

  app.get(DOWNLOADS_PATH, list);

  app.post(DOWNLOADS_PATH, async (c) => {
    const parsed = downloadRequest.safeParse(await c.req.json().catch(() => null));
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const message = `This is no request for a download: ${issue?.path.join('.')} ${issue?.message}.`;
      throw new GenerationError('invalid-request', message);
    }
    downloads.start(parsed.data);
    return list(c);
  });

  for (const action of DOWNLOAD_ACTIONS) {
    app.post(`${DOWNLOADS_PATH}/:id/${action}`, async (c) => {
      const id = c.req.param('id');
      if (!manager.views().some((view) => view.id === id)) {
        return c.json(errorBody(404, 'There is no such download any more.'), 404);
      }
      await manager.act(id, action);
      return list(c);
    });
  }
  return app;
}
