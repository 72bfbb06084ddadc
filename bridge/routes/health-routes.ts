import { Hono } from 'hono';
import type { AppEnv } from '../app-env.ts';
import { type Health, healthHttpStatus } from '../health.ts';
import { type ApiAuthOptions, authenticate } from '../security/api-auth.ts';

/** `GET /health`: open to all, but only its status to those who do not know the password. */
export function healthRoutes(
  health: () => Health,
  auth: Pick<ApiAuthOptions, 'access' | 'guesses'>,
): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/health', (c) => {
    const full = health();
    const isIn = authenticate(c, auth).type === 'in';
    const headers = { 'cache-control': 'no-store' };
    return c.json(isIn ? full : { status: full.status }, healthHttpStatus(full.status), headers);
  });
  return app;
}
