import { Hono } from 'hono';
import { ENGINE_TOKEN_HEADER } from '../../protocol/downloads/download-view.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { OUTPUTS_PATH, outputDeletion } from '../../protocol/outputs.ts';
import { errorBody, notFound } from '../a1111/errors.ts';
import type { AppEnv } from '../app-env.ts';
import type { OutputLibrary } from '../outputs/output-library.ts';
import { SecretComparer } from '../security/access-control.ts';
import { INERT_HEADERS } from '../security/response-headers.ts';
import { isOwnPage } from './engine-routes.ts';
import { serveFile } from './serve-file.ts';

export interface OutputRoutesOptions {
  readonly library: Pick<OutputLibrary, 'page' | 'file' | 'remove'>;
  /** This start's engine token, which only the bridge's own page is given. */
  readonly token: () => string;
}

function decoded(path: string): string | null {
  try {
    return decodeURIComponent(path);
  } catch {
    return null;
  }
}

/**
 * Saved pictures for the gallery of the bridge's own page: no other site may list them, and whoever deletes
 * needs the engine token, which no other page can read.
 */
export function outputRoutes({ library, token }: OutputRoutesOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const comparer = new SecretComparer();

  app.use(`${OUTPUTS_PATH}/*`, async (c, next) => {
    if (isOwnPage(c)) return await next();
    const message = 'Saved pictures are seen on the page that this bridge serves.';
    return c.json(errorBody(403, message), 403);
  });

  app.get(OUTPUTS_PATH, async (c) => {
    const page = await library.page(c.req.query('after') ?? null);
    return c.json(page, 200, { 'cache-control': 'no-store' });
  });

  app.get(`${OUTPUTS_PATH}/files/*`, async (c) => {
    const { pathname } = new URL(c.req.url);
    const root = `${OUTPUTS_PATH}/files/`;
    const path = decoded(pathname.slice(pathname.indexOf(root) + root.length));
    const file = path === null ? null : await library.file(path);
    const reply = file && (await serveFile(c, file, { cacheControl: 'private, no-cache' }));
    if (!reply) return notFound(c);
    for (const [name, value] of Object.entries(INERT_HEADERS)) reply.headers.set(name, value);
    return reply;
  });

  app.post(`${OUTPUTS_PATH}/delete`, async (c) => {
    if (!comparer.isEqual(token(), c.req.header(ENGINE_TOKEN_HEADER) ?? '')) {
      return c.json(errorBody(401, 'The engine token is missing or of an earlier start.'), 401);
    }
    const parsed = outputDeletion.safeParse(await c.req.json().catch(() => null));
    if (!parsed.success) {
      throw new GenerationError('invalid-request', 'This is no list of pictures to delete.');
    }
    return c.json(await library.remove(parsed.data.paths));
  });
  return app;
}
