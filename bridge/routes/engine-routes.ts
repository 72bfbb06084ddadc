import { Hono, type MiddlewareHandler } from 'hono';
import { type EngineStart, RELAY_TOKEN_PARAMETER } from '../../protocol/engine-start.ts';
import { RELAY_PATH, TOKEN_PATH } from '../../protocol/relay.ts';
import { errorBody } from '../a1111/errors.ts';
import type { AppContext, AppEnv } from '../app-env.ts';
import { SecretComparer } from '../security/access-control.ts';

export interface EngineRoutesOptions {
  /** How the page's engine is to start, with this start's token. */
  readonly start: () => EngineStart;
  /** True when another socket may say hello. */
  readonly hasRoom: () => boolean;
  /** Turns the checked request into a relay socket; made where the server is. */
  readonly upgrade: MiddlewareHandler;
}

/** True for a request of the bridge's own page, or of no page at all. */
export function isOwnPage(c: AppContext): boolean {
  const verdict = c.get('originVerdict');
  const site = c.req.header('sec-fetch-site');
  return (
    (verdict === 'none' || verdict === 'own') && (site === undefined || site === 'same-origin')
  );
}

/** The token from the address, or from a subprotocol `easel.TOKEN`. */
function tokenOf(c: AppContext): string {
  const fromQuery = c.req.query(RELAY_TOKEN_PARAMETER);
  if (fromQuery !== undefined) return fromQuery;
  const offered = c.req.header('sec-websocket-protocol')?.split(',') ?? [];
  const named = offered.map((name) => name.trim()).find((name) => name.startsWith('easel.'));
  return named?.slice('easel.'.length) ?? '';
}

/** The engine token for the bridge's own page, and the relay's upgrade. */
export function engineRoutes({ start, hasRoom, upgrade }: EngineRoutesOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const comparer = new SecretComparer();

  app.get(TOKEN_PATH, (c) => {
    if (!isOwnPage(c)) {
      const message = 'The engine token is for the page that this bridge serves.';
      return c.json(errorBody(403, message), 403);
    }
    return c.json(start(), 200, { 'cache-control': 'no-store' });
  });

  app.get(
    RELAY_PATH,
    async (c, next) => {
      if (!isOwnPage(c)) {
        return c.json(errorBody(403, 'Only the page of this bridge may attach an engine.'), 403);
      }
      if (!comparer.isEqual(start().token, tokenOf(c))) {
        return c.json(errorBody(401, 'The engine token is missing or of an earlier start.'), 401);
      }
      if (c.req.header('upgrade')?.toLowerCase() !== 'websocket') {
        return c.json(errorBody(426, 'This address takes WebSocket connections.'), 426);
      }
      if (!hasRoom()) {
        const message = 'Too many engines are about to attach.';
        return c.json(errorBody(503, message), 503, { 'retry-after': '5' });
      }
      return await next();
    },
    upgrade,
  );
  return app;
}
