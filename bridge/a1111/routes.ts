import { Hono } from 'hono';
import type { BridgeServices } from '../services.ts';
import { catalogRoutes } from './catalog-routes.ts';
import { controlnetRoutes } from './controlnet/routes.ts';
import { docsRoutes } from './docs-routes.ts';
import { handleErrors, notFound } from './errors.ts';
import { generationRoutes } from './generation-routes.ts';
import { imageRoutes } from './image-routes.ts';
import { optionsRoutes } from './options-routes.ts';
import { answerOtherMethods } from './other-methods.ts';
import { pageRoutes } from './page-routes.ts';
import { apiPathOf } from './paths.ts';
import { progressRoutes } from './progress-routes.ts';
import { SeriesBoard } from './series.ts';
import type { A1111Settings } from './settings.ts';
import { systemRoutes } from './system-routes.ts';

/**
 * Every route with A1111's names and shapes (`/sdapi/v1/…`, `/internal/…`, `/docs`, `/openapi.json`),
 * paths from the root. Mount it with `app.route('/', a1111Routes(services))` behind the Host, Origin,
 * CORS, auth and body-limit middleware; give the app `getPath: apiPathOf`, so that doubled and trailing
 * slashes resolve there as they do here.
 */
export function a1111Routes(services: BridgeServices, settings: A1111Settings = {}): Hono {
  const app = new Hono({ getPath: apiPathOf });
  app.onError(handleErrors(settings.log));
  app.notFound(notFound);
  const board = new SeriesBoard();
  const resources = [
    generationRoutes(services, settings, board),
    imageRoutes(services, settings),
    optionsRoutes(services, settings),
    progressRoutes(services, board),
    catalogRoutes(services, settings),
    controlnetRoutes(services),
    systemRoutes(settings),
    pageRoutes(services, settings),
    docsRoutes(),
  ];
  for (const resource of resources) app.route('/', resource);
  answerOtherMethods(app);
  return app;
}
