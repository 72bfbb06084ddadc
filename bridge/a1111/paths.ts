/** Prefixes below which a path is an API path and may be spelled loosely. */
const API_PREFIXES = [
  '/sdapi/',
  '/internal/',
  '/controlnet/',
  '/sd_extra_networks/',
  '/v1/',
  '/docs/',
  '/openapi.json/',
  '/user/',
  '/config/',
  '/queue/',
];

/**
 * The path that a loosely spelled API path means: runs of slashes become one, a slash at the end goes,
 * and a doubled `/sdapi/v1` (a base URL that already ended in it) is folded. Other paths stay as they are,
 * so that the page's own routes see what was asked for.
 */
export function apiPath(pathname: string): string {
  const single = pathname.replace(/\/{2,}/g, '/').replace(/(?<=.)\/$/, '');
  const folded = single.replace(/^(?:\/sdapi\/v1)+(?=\/sdapi\/v1(?:\/|$))/, '');
  return API_PREFIXES.some((prefix) => `${folded}/`.startsWith(prefix)) ? folded : pathname;
}

/** `getPath` for a Hono app that answers API paths: the request's path after `apiPath`. */
export function apiPathOf(request: Request): string {
  const start = request.url.indexOf('/', request.url.indexOf('//') + 2);
  if (start === -1) return '/';
  const end = request.url.slice(start).search(/[?#]/);
  const raw = end === -1 ? request.url.slice(start) : request.url.slice(start, start + end);
  return apiPath(raw);
}
