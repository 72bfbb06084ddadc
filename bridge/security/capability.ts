import { apiPath } from '../a1111/paths.ts';

const PREFIX = /^\/+k\/([\w-]{16,64})(?=\/|$)/;

/** The token of a capability path (`/k/TOKEN/…`), or null for any other path. */
export function capabilityOf(pathname: string): string | null {
  return PREFIX.exec(pathname)?.[1] ?? null;
}

/**
 * The path that the routes see: capability taken off, then spelling mended for API paths. Give it to
 * Hono as `getPath`, so that middleware and handlers speak of the same path.
 */
export function routePath(request: Request): string {
  const start = request.url.indexOf('/', request.url.indexOf('//') + 2);
  if (start === -1) return '/';
  const pathname = request.url.slice(start).split(/[?#]/, 1)[0] ?? '/';
  const rest = pathname.replace(PREFIX, '');
  return apiPath(rest === '' ? '/' : rest);
}
