import type { MiddlewareHandler } from 'hono';
import type { ClientView } from '../protocol/connection.ts';
import { clientName } from './a1111/client-name.ts';
import type { AppEnv } from './app-env.ts';

/** Programs remembered; the one unseen for longest goes. */
const MAX_CLIENTS = 50;

/** The two APIs that programs speak. */
const API_PATH = /^\/(?:sdapi\/|v1\/|controlnet\/)/;

async function messageOf(response: Response): Promise<string> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => null);
  if (typeof body !== 'object' || body === null) return '';
  if ('message' in body && typeof body.message === 'string') return body.message;
  // OpenAI's and FastAPI's shapes.
  const inner = 'error' in body ? body.error : null;
  if (typeof inner === 'object' && inner && 'message' in inner) return String(inner.message);
  const detail = 'detail' in body ? body.detail : '';
  return typeof detail === 'string' ? detail : JSON.stringify(detail);
}

/** Who used the API since the start, and what last went wrong for each: for the page's connection panel. */
export class ClientLog {
  readonly #clients = new Map<string, ClientView>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** The newest first. */
  views(): ClientView[] {
    return [...this.#clients.values()].reverse();
  }

  note(name: string, error: Omit<NonNullable<ClientView['lastError']>, 'at'> | null): void {
    const before = this.#clients.get(name);
    const at = this.#now();
    this.#clients.delete(name);
    this.#clients.set(name, {
      name,
      requests: (before?.requests ?? 0) + 1,
      lastSeenAt: at,
      lastError: error ? { at, ...error } : (before?.lastError ?? null),
    });
    const [oldest] = this.#clients.keys();
    if (this.#clients.size > MAX_CLIENTS && oldest !== undefined) this.#clients.delete(oldest);
  }
}

/** Notes every API request of a program; those of the bridge's own page are none. */
export function noteClients(log: ClientLog): MiddlewareHandler<AppEnv> {
  return async function noteClients(c, next) {
    await next();
    const isOwn = c.req.header('sec-fetch-site') === 'same-origin';
    if (!API_PATH.test(c.req.path) || isOwn || c.req.method === 'OPTIONS') return;
    const { status } = c.res;
    const error =
      status < 400
        ? null
        : {
            status,
            path: c.req.path.slice(0, 300),
            message: (await messageOf(c.res)).slice(0, 1000),
          };
    log.note(clientName(c), error);
  };
}
