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

/** Names remembered; all are forgotten when there are more, and come out the same again. */
const MAX_NAMES = 1_000;

/** Runs a request under its client: an address and a program on it, as a name without meaning. */
export function ownRequests(): MiddlewareHandler<AppEnv> {
  const names = new Map<string, string>();
  const nameOf = (client: string) => {
    const known = names.get(client);
    if (known !== undefined) return known;
    if (names.size >= MAX_NAMES) names.clear();
    const name = createHmac('sha256', key).update(client).digest('base64url').slice(0, 16);
    names.set(client, name);
    return name;
  };
  return async function ownRequests(c, next) {
    await owners.run(nameOf(`${peerAddress(c)} ${clientName(c)}`), next);
  };
}
