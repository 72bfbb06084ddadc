import { Hono } from 'hono';
import { RELAY_PATH } from '../protocol/relay.ts';
import { errorBody, errorReply, notFound } from './a1111/errors.ts';
import { a1111Routes } from './a1111/routes.ts';
import type { A1111Settings } from './a1111/settings.ts';
import type { AppEnv } from './app-env.ts';
import { ClientLog, noteClients } from './client-log.ts';
import type { Health } from './health.ts';
import type { Logger } from './log.ts';
import type { BridgeMetrics } from './metrics.ts';
import type { FolderModelLibrary } from './models/model-library.ts';
import { openaiRoutes } from './openai/routes.ts';
import { OutputLibrary } from './outputs/output-library.ts';
import { connectionRoutes } from './routes/connection-routes.ts';
import { type DownloadRoutesOptions, downloadRoutes } from './routes/download-routes.ts';
import { type EngineRoutesOptions, engineRoutes } from './routes/engine-routes.ts';
import { eventRoutes } from './routes/event-routes.ts';
import { healthRoutes } from './routes/health-routes.ts';
import { jobRoutes } from './routes/job-routes.ts';
import { loginRoutes } from './routes/login-routes.ts';
import { modelRoutes } from './routes/model-routes.ts';
import { optionRoutes } from './routes/option-routes.ts';
import { outputRoutes } from './routes/output-routes.ts';
import { staticRoutes } from './routes/static-routes.ts';
import type { AccessControl } from './security/access-control.ts';
import { apiAuth } from './security/api-auth.ts';
import { limitBody } from './security/body-limit.ts';
import { routePath } from './security/capability.ts';
import type { GuessLimit } from './security/guess-limit.ts';
import type { HostRule } from './security/host-check.ts';
import {
  contentTypeRule,
  hostCheck,
  needsListedOrigin,
  originCheck,
  requestLog,
} from './security/middleware.ts';
import type { OriginRule } from './security/origin-check.ts';
import { ownRequests } from './security/request-owner.ts';
import { responseHeaders } from './security/response-headers.ts';
import type { BridgeServices } from './services.ts';

export interface AppDeps {
  readonly services: BridgeServices;
  readonly a1111: A1111Settings;
  readonly library: Pick<FolderModelLibrary, 'index' | 'file'>;
  readonly engine: EngineRoutesOptions;
  readonly downloads: DownloadRoutesOptions['downloads'];
  readonly health: () => Health;
  readonly metrics: BridgeMetrics;
  /** Whether every request is worth a line of the log. */
  readonly logsRequests?: boolean;
  readonly access: AccessControl;
  readonly guesses: GuessLimit;
  readonly hostRule: HostRule;
  readonly originRule: OriginRule;
  /** The built page. */
  readonly distFolder: string;
  readonly isTls: boolean;
  readonly log: Logger;
}

/**
 * The whole HTTP side: dependencies in, Hono out; no port and no file is opened here. The order is the
 * rule: Host, Origin and CORS, request id, password, body, routes, and one error renderer inside CORS.
 */
export function createApp(deps: AppDeps): Hono<AppEnv> {
  const { access, guesses, log } = deps;
  const app = new Hono<AppEnv>({ getPath: routePath });
  app.use(responseHeaders());
  app.use(hostCheck(deps.hostRule));
  app.use(originCheck(deps.originRule));
  app.use(requestLog(log, deps.logsRequests ? 'info' : 'debug'));
  app.use(deps.metrics.middleware());
  const clients = new ClientLog();
  app.use(noteClients(clients));
  // The relay has a key of its own; the other two show what they may.
  app.use(apiAuth({ access, guesses, open: ['/health', '/login', RELAY_PATH] }));
  app.use(contentTypeRule({ except: ['/login', '/v1/images/edits'] }));
  app.use(limitBody());
  app.use(ownRequests());
  app.post('/sdapi/v1/options', needsListedOrigin());

  app.route('/', healthRoutes(deps.health, { access, guesses }));
  app.route('/', deps.metrics.routes());
  app.route('/', loginRoutes({ access, guesses, isTls: deps.isTls }));
  app.route('/', engineRoutes(deps.engine));
  app.route('/', modelRoutes(deps.library));
  const token = () => deps.engine.start().token;
  app.route('/', downloadRoutes({ downloads: deps.downloads, token }));
  app.route('/', outputRoutes({ library: new OutputLibrary(deps.services.outputs.root), token }));
  app.route('/', optionRoutes(deps.services));
  const { isPublic } = deps.hostRule;
  app.route('/', connectionRoutes({ clients, hasPassword: () => access.isOn, isPublic }));
  app.route('/', jobRoutes(deps.services.jobs));
  app.route('/', eventRoutes(deps.services.jobs, { access }));
  app.route('/', a1111Routes(deps.services, deps.a1111));
  app.route('/', openaiRoutes(deps.services, deps.a1111));
  app.route('/', staticRoutes(deps.distFolder));

  app.notFound(notFound);
  app.onError((error, c) => {
    const reply = errorReply(error);
    if (reply) return c.json(reply.body, reply.status, { ...reply.headers });
    log.error('A request failed.', { path: c.req.path, error: error.stack ?? String(error) });
    const message = 'The bridge failed on this request. Its log says why; please report it.';
    return c.json(errorBody(500, message), 500);
  });
  return app;
}
