import { join } from 'node:path';
import { Hono } from 'hono';
import type { AppEnv } from '../app-env.ts';
import { createTextCompression } from './compressed-files.ts';
import { serveFile } from './serve-file.ts';

/**
 * The path of a file below the page's folder that a URL path names, or null for anything that is not
 * plainly a path downwards: dots, backslashes, NUL, drive letters, empty segments, what decodes to them.
 */
function pagePath(pathname: string): string | null {
  const segments: string[] = [];
  for (const raw of pathname.split('/').slice(1)) {
    let segment: string;
    try {
      segment = decodeURIComponent(raw);
    } catch {
      return null;
    }
    if (!/^[\w@()+,=~ -][\w.@()+,=~ -]*$/.test(segment) || /[. ]$/.test(segment)) return null;
    segments.push(segment);
  }
  return segments.length > 0 ? segments.join('/') : null;
}

const MISSING = `Easel's page is not built. Run npm run build (npm start does it by itself), then reload.\n`;

/** The built page: cross-origin isolated, hashed assets kept by the browser for good. */
export function staticRoutes(distFolder: string): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const compressed = createTextCompression();
  app.get('*', async (c, next) => {
    const { pathname } = new URL(c.req.url);
    const isIndex = pathname === '/';
    const path = isIndex ? 'index.html' : pagePath(pathname);
    if (path === null) return next();
    // Vite names every file in assets/ by its content.
    const cacheControl = path.startsWith('assets/')
      ? 'public, max-age=31536000, immutable'
      : 'no-cache';
    const file = join(distFolder, path);
    const response = await serveFile(c, file, { cacheControl });
    if (response) return await compressed(c, file, response);
    return isIndex ? c.text(MISSING, 503) : next();
  });
  return app;
}
