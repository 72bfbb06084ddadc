import { z } from 'zod';
import { RELAY_PATH, TOKEN_PATH } from '../../protocol/relay.ts';
import { EASEL_VERSION } from '../../protocol/version.ts';
import type { EngineConfig } from '../shared/worker-protocol.ts';

/** What the page finds out about the server it came from. */
export type ServerKind =
  /** A bridge that lends this tab an engine token. */
  | 'bridge'
  /** A bridge that wants a password first. */
  | 'locked'
  /** No bridge: a static host. */
  | 'static';

const precision = z.enum(['auto', 'fp32', 'fp16', 'q8', 'q4']);

/** The engine token's reply as far as the page reads it; the token itself is the worker's business. */
const tokenReply = z.object({
  token: z.string().min(1),
  device: z.string().max(300).nullish(),
  precision: precision.nullish().catch(null),
  checkpoint: z.string().max(1000).nullish(),
});
type TokenReply = z.infer<typeof tokenReply>;

export interface Server {
  readonly kind: ServerKind;
  /** What the command line asks of the engine; empty without a bridge. */
  readonly wishes: Partial<Pick<EngineConfig, 'device' | 'precision' | 'checkpoint'>>;
}

const PROBE_TIMEOUT_MS = 5_000;

/** The folder that the page lies in, with a trailing slash and without query or fragment. */
export function baseUrlOf(pageUrl: string): string {
  return new URL('./', pageUrl).href;
}

function withoutSlash(path: string): string {
  return path.replace(/^\//, '');
}

/**
 * Asks the page's own server whether it is a bridge. Never throws: a host that answers anything but
 * the token's JSON (404, an HTML page for every path, no answer) is a static host.
 */
export async function detectServer(
  baseUrl: string,
  fetchImpl: typeof fetch = fetch,
): Promise<Server> {
  const staticHost: Server = { kind: 'static', wishes: {} };
  try {
    const reply = await fetchImpl(new URL(withoutSlash(TOKEN_PATH), baseUrl), {
      headers: { accept: 'application/json' },
      cache: 'no-store',
      credentials: 'same-origin',
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    if (reply.status === 401 || reply.status === 403) return { kind: 'locked', wishes: {} };
    if (!reply.ok) return staticHost;
    const parsed = tokenReply.safeParse(await reply.json());
    return parsed.success ? { kind: 'bridge', wishes: wishesOf(parsed.data) } : staticHost;
  } catch {
    return staticHost;
  }
}

function wishesOf(reply: TokenReply): Server['wishes'] {
  return {
    ...(reply.device ? { device: reply.device } : {}),
    ...(reply.precision ? { precision: reply.precision } : {}),
    ...(reply.checkpoint ? { checkpoint: reply.checkpoint } : {}),
  };
}

/** Merges what is known into the worker's configuration: page address before bridge before defaults. */
export function engineConfigOf(pageUrl: string, server: Server): EngineConfig {
  const baseUrl = baseUrlOf(pageUrl);
  const query = new URL(pageUrl).searchParams;
  const asked = precision.safeParse(query.get('precision'));
  const relayUrl = new URL(withoutSlash(RELAY_PATH), baseUrl);
  relayUrl.protocol = relayUrl.protocol === 'https:' ? 'wss:' : 'ws:';
  return {
    baseUrl,
    relay:
      server.kind === 'bridge'
        ? { url: relayUrl.href, tokenUrl: new URL(withoutSlash(TOKEN_PATH), baseUrl).href }
        : null,
    device: query.get('device') ?? server.wishes.device ?? 'auto',
    precision: asked.success ? asked.data : (server.wishes.precision ?? 'auto'),
    checkpoint: query.get('checkpoint') ?? server.wishes.checkpoint ?? null,
    appVersion: EASEL_VERSION,
  };
}
