import { networkInterfaces } from 'node:os';
import { Hono } from 'hono';
import { CONNECTION_PATH, type ConnectionView } from '../../protocol/connection.ts';
import { errorBody } from '../a1111/errors.ts';
import type { AppEnv } from '../app-env.ts';
import type { ClientLog } from '../client-log.ts';
import { isOwnPage } from './engine-routes.ts';

export interface ConnectionRoutesOptions {
  readonly clients: Pick<ClientLog, 'views'>;
  readonly hasPassword: () => boolean;
  readonly isPublic: boolean;
  /** This machine's addresses in the network; the system's own by default. */
  readonly hosts?: () => readonly string[];
}

/** IPv4 addresses by which other machines may know this one: people type them, so none of IPv6. */
function ownHosts(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
}

/** Addresses, password and clients, for the settings of the bridge's own page. */
export function connectionRoutes({
  clients,
  hasPassword,
  isPublic,
  hosts = ownHosts,
}: ConnectionRoutesOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get(CONNECTION_PATH, (c) => {
    if (!isOwnPage(c)) {
      const message = 'Who is connected is seen on the page that this bridge serves.';
      return c.json(errorBody(403, message), 403);
    }
    const { protocol, port } = new URL(c.req.url);
    const view: ConnectionView = {
      hasPassword: hasPassword(),
      isPublic,
      addresses: isPublic
        ? hosts().map((host) => `${protocol}//${host}${port === '' ? '' : `:${port}`}`)
        : [],
      clients: clients.views(),
    };
    return c.json(view, 200, { 'cache-control': 'no-store' });
  });
  return app;
}
