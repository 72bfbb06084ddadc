import type { Context } from 'hono';

const KNOWN_ORIGINS: ReadonlyMap<string, string> = new Map([
  ['lite.koboldai.net', 'KoboldAI Lite'],
]);

/** Who asks, for the queue as people see it: a page's host or a program's name, never an address of a person. */
export function clientName(c: Context): string {
  const origin = c.req.header('origin');
  if (origin !== undefined && URL.canParse(origin)) {
    const { hostname } = new URL(origin);
    return KNOWN_ORIGINS.get(hostname) ?? (hostname.slice(0, 100) || 'a page');
  }
  const agent = c.req.header('user-agent') ?? '';
  const product = /^[A-Za-z0-9][\w .+-]{0,59}/.exec(agent)?.[0].trim();
  if (product === undefined) return 'unknown';
  return product === 'Mozilla' ? 'a browser' : product;
}

/** The client's own key for a job, from `X-Request-Id`: printable and short, else null. */
export function requestKey(c: Context): string | null {
  const key = c.req.header('x-request-id')?.trim() ?? '';
  return /^[\x21-\x7e]{1,200}$/.test(key) ? key : null;
}
