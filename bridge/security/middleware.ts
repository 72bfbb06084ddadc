import { randomUUID } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import { errorBody } from '../a1111/errors.ts';
import type { AppContext, AppEnv } from '../app-env.ts';
import { type Logger, withRequestId } from '../log.ts';
import { checkHost, type HostRule, type RequestTarget } from './host-check.ts';
import { setLateHeader } from './late-header.ts';
import { judgeOrigin, type OriginRule } from './origin-check.ts';

type Middleware = MiddlewareHandler<AppEnv>;

const EXPOSED = 'X-Easel-Job, X-Request-Id, X-Process-Time, Retry-After, Content-Range, ETag';
const SAFE_METHODS: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

function targetOf(c: AppContext): RequestTarget {
  const incoming = c.env?.incoming;
  if (!incoming) {
    const url = new URL(c.req.url);
    return { hosts: [c.req.header('host') ?? url.host], target: url.pathname };
  }
  const hosts: string[] = [];
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    if (incoming.rawHeaders[index]?.toLowerCase() === 'host') {
      hosts.push(incoming.rawHeaders[index + 1] ?? '');
    }
  }
  return { hosts, target: incoming.url ?? '/' };
}

/** Refuses requests that are not meant for this machine: 400 for malformed ones, 403 for foreign names. */
export function hostCheck(rule: HostRule): Middleware {
  return async function hostCheck(c, next) {
    const verdict = checkHost(targetOf(c), rule);
    if (verdict.type === 'allowed') return await next();
    const status = verdict.type === 'malformed' ? 400 : 403;
    return c.json(errorBody(status, verdict.message), status);
  };
}

/**
 * The Origin rule and CORS: pages that are not listed reach no handler; listed ones may read every
 * reply, errors too; preflight ends here, because browsers never send credentials with it.
 */
export function originCheck(rule: OriginRule): Middleware {
  return async function originCheck(c, next) {
    const origin = c.req.header('origin');
    c.header('vary', 'Origin', { append: true });
    if (origin === undefined) {
      c.set('originVerdict', 'none');
      return await next();
    }
    const host = c.req.header('host') ?? new URL(c.req.url).host;
    const verdict = judgeOrigin(origin, host, rule);
    c.set('originVerdict', verdict);
    if (verdict === 'refused') {
      const message =
        'This web page may not use Easel. If it should, start Easel with --cors-allow-origins and its address.';
      return c.json(errorBody(403, message), 403);
    }
    const asked = c.req.header('access-control-request-method');
    if (c.req.method === 'OPTIONS' && asked !== undefined) {
      const fields = c.req.header('access-control-request-headers') ?? '';
      const isPlain = /^[\w\s,-]{0,1000}$/.test(fields);
      return c.text('OK', 200, {
        'access-control-allow-origin': origin,
        'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
        'access-control-allow-headers':
          isPlain && fields !== '' ? fields : 'content-type, authorization, x-request-id',
        'access-control-max-age': '600',
      });
    }
    await next();
    setLateHeader(c, 'access-control-allow-origin', origin);
    setLateHeader(c, 'access-control-expose-headers', EXPOSED);
  };
}

/** Whether the origin that `*` let in stays outside: the relay, the token and the settings. */
export function needsListedOrigin(): Middleware {
  return async function needsListedOrigin(c, next) {
    if (c.get('originVerdict') !== 'wildcard') return await next();
    return c.json(errorBody(403, 'This takes a page that --cors-allow-origins names.'), 403);
  };
}

/**
 * Names the request, times it, and logs it without query and without capability: at level `info` where
 * the log is kept by a collector, else at `debug`.
 */
export function requestLog(log: Logger, level: 'info' | 'debug' = 'debug'): Middleware {
  return async function requestLog(c, next) {
    const given = c.req.header('x-request-id')?.trim() ?? '';
    const requestId = /^[\x21-\x7e]{1,200}$/.test(given) ? given : randomUUID();
    c.set('requestId', requestId);
    const start = performance.now();
    await withRequestId(requestId, next);
    const seconds = (performance.now() - start) / 1000;
    setLateHeader(c, 'x-request-id', requestId);
    setLateHeader(c, 'x-process-time', seconds.toFixed(4));
    log[level]('request', {
      method: c.req.method,
      path: c.req.path,
      status: c.res.status,
      ms: Math.round(seconds * 1000),
      request: requestId,
    });
  };
}

/**
 * Only JSON changes anything: forms and plain text are what a foreign page can post without a
 * preflight. A body without a type is read as JSON where no page sent it.
 */
export function contentTypeRule({ except }: { except: readonly string[] }): Middleware {
  return async function contentTypeRule(c, next) {
    if (SAFE_METHODS.includes(c.req.method) || except.includes(c.req.path)) return await next();
    const type = (c.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
    const isForm = type === 'multipart/form-data' || type === 'application/x-www-form-urlencoded';
    const hasOrigin = c.req.header('origin') !== undefined;
    const isUntyped = type === 'text/plain' || (type === '' && hasBody(c));
    if (isForm || (isUntyped && hasOrigin)) {
      return c.json(errorBody(415, 'Send JSON, with Content-Type: application/json.'), 415);
    }
    return await next();
  };
}

function hasBody(c: AppContext): boolean {
  const length = c.req.header('content-length');
  if (length !== undefined) return length !== '0';
  return c.req.header('transfer-encoding') !== undefined;
}
