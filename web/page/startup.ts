import { z } from 'zod';
import { EMBEDDED_CHECKPOINT } from '../../protocol/catalog.ts';
import { engineStart } from '../../protocol/engine-start.ts';
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

/** Enough to know a bridge by; one of another version may say the rest in words of its own. */
const anyBridge = z.object({ token: z.string().min(1) });

/** What the command line asks of the engine. */
export interface EngineWishes {
  readonly relayPath: string;
  readonly device: string;
  readonly precision: EngineConfig['precision'];
  readonly checkpoint: string | null;
  readonly vae?: string | null;
  readonly allocator: EngineConfig['allocator'];
  readonly unloadIdleMinutes: number | null;
}

const NO_WISHES: EngineWishes = {
  relayPath: RELAY_PATH,
  device: 'auto',
  precision: 'auto',
  checkpoint: null,
  allocator: 'caching',
  unloadIdleMinutes: null,
};

export interface Server {
  readonly kind: ServerKind;
  readonly wishes: EngineWishes;
}

const PROBE_TIMEOUT_MS = 5_000;

/** Whether a page's host is the machine that shows it. */
export function isLoopback(hostname: string): boolean {
  return (
    /^(?:.+\.)?localhost\.?$/.test(hostname) ||
    /^127(?:\.\d{1,3}){3}$/.test(hostname) ||
    hostname === '[::1]'
  );
}

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
  const staticHost: Server = { kind: 'static', wishes: NO_WISHES };
  try {
    const reply = await fetchImpl(new URL(withoutSlash(TOKEN_PATH), baseUrl), {
      headers: { accept: 'application/json' },
      cache: 'no-store',
      credentials: 'same-origin',
      signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    });
    if (reply.status === 401 || reply.status === 403) return { kind: 'locked', wishes: NO_WISHES };
    if (!reply.ok) return staticHost;
    const body: unknown = await reply.json();
    if (!anyBridge.safeParse(body).success) return staticHost;
    const parsed = engineStart.safeParse(body);
    return { kind: 'bridge', wishes: parsed.success ? parsed.data : NO_WISHES };
  } catch {
    return staticHost;
  }
}

/**
 * Merges what is known into the worker's configuration: page address before bridge before defaults.
 * `chosen` is the checkpoint that this browser used last; a bridge decides for itself.
 */
export function engineConfigOf(pageUrl: string, server: Server, chosen = ''): EngineConfig {
  const baseUrl = baseUrlOf(pageUrl);
  const query = new URL(pageUrl).searchParams;
  const { wishes } = server;
  const asked = precision.safeParse(query.get('precision'));
  const relayUrl = new URL(withoutSlash(wishes.relayPath), baseUrl);
  relayUrl.protocol = relayUrl.protocol === 'https:' ? 'wss:' : 'ws:';
  const ownChoice = server.kind === 'static' && chosen !== '' ? chosen : EMBEDDED_CHECKPOINT;
  return {
    baseUrl,
    relay:
      server.kind === 'bridge'
        ? { url: relayUrl.href, tokenUrl: new URL(withoutSlash(TOKEN_PATH), baseUrl).href }
        : null,
    device: query.get('device') ?? wishes.device,
    precision: asked.success ? asked.data : wishes.precision,
    checkpoint: query.get('checkpoint') ?? wishes.checkpoint ?? ownChoice,
    vae: query.get('vae') ?? wishes.vae ?? null,
    allocator: wishes.allocator,
    unloadIdleMinutes: wishes.unloadIdleMinutes,
    appVersion: EASEL_VERSION,
  };
}
