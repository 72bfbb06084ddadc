import { Hono } from 'hono';
import type { ModelIndex } from '../../protocol/catalog.ts';
import { notFound } from '../a1111/errors.ts';
import type { AppEnv } from '../app-env.ts';
import type { FolderModelLibrary } from '../models/model-library.ts';
import { serveFile } from './serve-file.ts';

const ROOT = '/easel/v1/models';

/** Segments of a path, each decoded on its own; null where one does not decode. */
function decodedSegments(pathname: string): string[] | null {
  try {
    return pathname.split('/').map(decodeURIComponent);
  } catch {
    return null;
  }
}

/** Models of the bridge's folders: the list, and the listed files by ranges. */
export function modelRoutes(library: Pick<FolderModelLibrary, 'index' | 'file'>): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  app.get(ROOT, async (c) => {
    const index: ModelIndex = { models: await library.index() };
    return c.json(index, 200, { 'cache-control': 'no-store' });
  });

  app.get(`${ROOT}/:kind/:name/*`, async (c) => {
    // The raw path, because a name may hold an encoded slash.
    const { pathname } = new URL(c.req.url);
    const raw = pathname.slice(pathname.indexOf(`${ROOT}/`) + ROOT.length + 1);
    const [kind, name, ...rest] = decodedSegments(raw) ?? [];
    if (kind === undefined || name === undefined) return notFound(c);
    // Only a listed path is found: there is no way out of the model's folder.
    const file = await library.file(kind, name, rest.join('/'));
    if (!file) return notFound(c);
    const { path, version } = file;
    const response = await serveFile(c, path, { cacheControl: 'no-cache', version });
    return response ?? notFound(c);
  });
  return app;
}
