import { AsyncLocalStorage } from 'node:async_hooks';
import { createHmac, randomBytes } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import { clientName } from '../a1111/client-name.ts';
import { type AppEnv, peerAddress } from '../app-env.ts';

const owners = new AsyncLocalStorage<string>();
/** New at each start: what is written to the journal tells nobody's address. */
const key = randomBytes(32);

/** Who the present request counts for when clients share the queue; undefined outside of requests. */
export function requestOwner(): string | undefined {
  return owners.getStore();
}

/** Runs a request under its client: an address and a program on it, as a name without meaning. */
export function ownRequests(): MiddlewareHandler<AppEnv> {
  return async function ownRequests(c, next) {
    const client = `${peerAddress(c)} ${clientName(c)}`;
    const owner = createHmac('sha256', key).update(client).digest('base64url').slice(0, 16);
    await owners.run(owner, next);
  };
}
