import type { IncomingMessage } from 'node:http';
import type { Context } from 'hono';
import type { OriginVerdict } from './security/origin-check.ts';

/** What Hono's context carries through the bridge's middleware. */
export interface AppEnv {
  Bindings: {
    /** The request as Node has it; absent where a test calls the app without a server. */
    readonly incoming?: IncomingMessage;
  };
  Variables: {
    /** `none` for a request without an Origin header. */
    originVerdict: OriginVerdict | 'none';
    /** The client's own `X-Request-Id` or one of ours. */
    requestId: string;
  };
}

export type AppContext = Context<AppEnv>;

/** The peer's address, for the guessing limit alone. */
export function peerAddress(c: AppContext): string {
  return c.env?.incoming?.socket.remoteAddress ?? 'unknown';
}
