import type { MiddlewareHandler } from 'hono';
import { getCookie } from 'hono/cookie';
import { errorBody } from '../a1111/errors.ts';
import { type AppContext, type AppEnv, peerAddress } from '../app-env.ts';
import { type AccessControl, SESSION_COOKIE } from './access-control.ts';
import { capabilityOf } from './capability.ts';
import type { GuessLimit } from './guess-limit.ts';

/** What the capability path opens beside reading: making pictures and stopping them. */
const CAPABLE_POSTS = new Set(
  [
    'txt2img',
    'img2img',
    'inpaint',
    'outpaint',
    'upscaler',
    'extra-single-image',
    'extra-batch-images',
    'png-info',
    'interrogate',
    'interrupt',
    'skip',
  ].map((name) => `/sdapi/v1/${name}`),
);

function isWithinCapability(method: string, path: string): boolean {
  if (path === '/health') return true;
  if (!path.startsWith('/sdapi/v1/')) return false;
  return method === 'GET' || method === 'HEAD' || CAPABLE_POSTS.has(path);
}

export interface ApiAuthOptions {
  readonly access: AccessControl;
  readonly guesses: GuessLimit;
  /** Paths that need no password: they check for themselves what they give away. */
  readonly open: readonly string[];
}

/** How a request proved itself, or what to answer instead. */
type AuthVerdict =
  | { readonly type: 'in' }
  | { readonly type: 'out'; readonly message: string }
  | { readonly type: 'later'; readonly seconds: number };

/** Judges a request's session, header and capability, counting wrong passwords. */
export function authenticate(
  c: AppContext,
  { access, guesses }: Pick<ApiAuthOptions, 'access' | 'guesses'>,
): AuthVerdict {
  if (!access.isOn || access.isSession(getCookie(c, SESSION_COOKIE))) return { type: 'in' };
  const capability = capabilityOf(new URL(c.req.url).pathname);
  if (capability !== null) {
    return access.isCapability(capability)
      ? { type: 'in' }
      : { type: 'out', message: 'This link is no longer valid.' };
  }
  const header = c.req.header('authorization');
  const address = peerAddress(c);
  const wait = guesses.waitSeconds(address);
  const isBlank = (header ?? '').trim() === '';
  // While an address waits, not even the right password is looked at: else waiting would slow nothing.
  if (wait > 0 && !isBlank) return { type: 'later', seconds: wait };
  switch (access.judgeHeader(header)) {
    case 'right':
      return { type: 'in' };
    case 'wrong':
      guesses.failed(address);
      return { type: 'out', message: 'Incorrect username or password' };
    case 'malformed':
      return { type: 'out', message: 'Invalid authentication credentials' };
    default:
      return { type: 'out', message: 'Not authenticated' };
  }
}

/** True for a person's navigation, which is led to the login form rather than to a JSON error. */
function isNavigation(c: AppContext): boolean {
  return c.req.method === 'GET' && (c.req.header('accept') ?? '').includes('text/html');
}

/** Demands a password on every path but the open ones, where one is set. */
export function apiAuth(options: ApiAuthOptions): MiddlewareHandler<AppEnv> {
  return async function apiAuth(c, next) {
    if (!options.access.isOn || options.open.includes(c.req.path)) return await next();
    const verdict = authenticate(c, options);
    if (verdict.type === 'later') {
      const message = `Too many wrong passwords. Try again in ${verdict.seconds} seconds.`;
      return c.json(errorBody(429, message), 429, { 'retry-after': String(verdict.seconds) });
    }
    if (verdict.type === 'in') {
      const isByLink = capabilityOf(new URL(c.req.url).pathname) !== null;
      if (!isByLink || isWithinCapability(c.req.method, c.req.path)) return await next();
      return c.json(errorBody(403, 'This link makes pictures and reads lists, nothing else.'), 403);
    }
    if (isNavigation(c)) {
      return c.redirect(`/login?next=${encodeURIComponent(c.req.path)}`, 303);
    }
    // No WWW-Authenticate, as A1111: no login box in the middle of a fetch.
    return c.json(errorBody(401, verdict.message), 401);
  };
}
