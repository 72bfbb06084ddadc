import { Hono } from 'hono';
import type { BridgeServices } from '../services.ts';

/**
 * Every route with A1111's names and shapes (`/sdapi/v1/…`, `/internal/…`, `/docs`, `/openapi.json`),
 * paths from the root. Mount it with `app.route('/', a1111Routes(services))` behind the Host, Origin,
 * CORS, auth and body-limit middleware.
 */
export function a1111Routes(_services: BridgeServices): Hono {
  return new Hono();
}
