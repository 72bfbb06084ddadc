import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createAdaptorServer, upgradeWebSocket, type WebSocketServerLike } from '@hono/node-server';
import type { Hono, MiddlewareHandler } from 'hono';
import { WebSocketServer } from 'ws';
import type { AppEnv } from './app-env.ts';
import { errorCode } from './files.ts';
import type { BridgeOptions } from './options/options.ts';
import type { TabConnection, TabSocket } from './relay/tab-socket.ts';
import { relayEvents } from './relay/ws-socket.ts';
import { parseAuthority } from './security/authority.ts';

/** Limits on receiving a request; waiting for the answer has none. */
const HEADERS_MS = 30_000;
const REQUEST_MS = 120_000;
/** Longer than the pools of Python and browser clients keep a connection. */
const KEEP_ALIVE_MS = 65_000;
const MAX_HEADER_BYTES = 16 * 1024;
/** A picture of 4096 x 4096 in base64 fits. */
const MAX_FRAME_BYTES = 128 * 1024 ** 2;

/** A start that failed for a reason the user can mend; `message` says how. */
export class StartError extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'StartError';
  }
}

/** The upgrade of a checked relay request; the only way a WebSocket comes to be. */
export function relayUpgrade(attach: (socket: TabSocket) => TabConnection): MiddlewareHandler {
  return upgradeWebSocket(() => relayEvents(attach));
}

export interface RunningServer {
  readonly port: number;
  /** Addresses listened on, e.g. `127.0.0.1`, `::1`. */
  readonly addresses: readonly string[];
  /** Ends idle connections at once and busy ones after `graceMs`. */
  close(options: { graceMs: number }): Promise<void>;
}

type ServerOptions = Pick<BridgeOptions, 'port' | 'listen' | 'tls'>;

function readPem(path: string, flag: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new StartError(`${flag}: ${path} cannot be read.`, { cause: error });
  }
}

function createServer(app: Hono<AppEnv>, tls: ServerOptions['tls']): Server {
  const limits = {
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  };
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_FRAME_BYTES,
    perMessageDeflate: false,
    handleProtocols: (protocols) => [...protocols][0] ?? false,
  });
  // Same object: only the type of its optional `noServer` is written differently.
  const websocket = { server: sockets as unknown as WebSocketServerLike };
  const { fetch } = app;
  let server: ReturnType<typeof createAdaptorServer>;
  try {
    server = tls
      ? createAdaptorServer({
          fetch,
          websocket,
          createServer: createHttpsServer,
          serverOptions: {
            ...limits,
            cert: readPem(tls.certFile, '--tls-certfile'),
            key: readPem(tls.keyFile, '--tls-keyfile'),
            minVersion: 'TLSv1.2',
          },
        })
      : createAdaptorServer({
          fetch,
          websocket,
          createServer: createHttpServer,
          serverOptions: limits,
        });
  } catch (error) {
    if (error instanceof StartError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(
      `The certificate or its key cannot be used (${reason}). Both must be PEM files that belong together.`,
      { cause: error },
    );
  }
  refuseOtherUpgrades(server as Server);
  if (tls) refusePlainHttp(server as Server);
  return server as Server;
}

const NEEDS_TLS = 'This is an https port. Use an address that begins with https://.\n';

/** First byte of every TLS handshake (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 0x16;

/** Plain http on the TLS port is answered rather than dropped: the first byte tells which it is. */
function refusePlainHttp(server: Server): void {
  const handlers = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    socket.once('error', () => socket.destroy());
    socket.setTimeout(HEADERS_MS, () => socket.destroy());
    socket.once('data', (chunk) => {
      socket.pause();
      socket.setTimeout(0);
      if (chunk[0] === TLS_HANDSHAKE) {
        socket.unshift(chunk);
        for (const handler of handlers) handler.call(server, socket);
        return;
      }
      const length = Buffer.byteLength(NEEDS_TLS);
      socket.end(
        `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${NEEDS_TLS}`,
      );
    });
  });
}

/** Whether an upgrade's Host and target make an address; what does not is answered before it is taken apart. */
function hasAddress({ headers, url = '' }: IncomingMessage): boolean {
  return parseAuthority(headers.host ?? '') !== null && URL.canParse(url, `http://${headers.host}`);
}

/** An upgrade to anything but WebSocket would stay open unanswered: it is refused instead. */
function refuseOtherUpgrades(server: Server): void {
  const handlers = server.listeners('upgrade') as ((...args: unknown[]) => void)[];
  server.removeAllListeners('upgrade');
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head) => {
    // A peer that goes away in the middle is no error of ours.
    socket.on('error', () => socket.destroy());
    if (!hasAddress(request)) {
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    if (request.headers.upgrade?.toLowerCase() === 'websocket') {
      for (const handler of handlers) handler.call(server, request, socket, head);
      return;
    }
    socket.end('HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Loopback of both families, and what `--listen` adds; a wildcard takes in its family's loopback. */
function hostsOf(address: string | null): string[] {
  if (address === null) return ['127.0.0.1', '::1'];
  if (address === '0.0.0.0') return ['0.0.0.0', '::1'];
  if (address === '::' || address === '[::]') return ['::'];
  return [...new Set(['127.0.0.1', '::1', address.replace(/^\[(.*)\]$/, '$1')])];
}

function isWithoutIpv6(host: string, error: unknown): boolean {
  return host === '::1' && ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'].includes(errorCode(error));
}

function listenError(host: string, port: number, error: unknown): StartError {
  switch (errorCode(error)) {
    case 'EADDRINUSE':
      return new StartError(
        `Port ${port} is in use by another program. End that program, or start Easel with --port ${port === 65_535 ? port - 1 : port + 1}.`,
        { cause: error },
      );
    case 'EACCES':
      return new StartError(
        `Port ${port} may not be used without administrator's rights. Start Easel with --port 7860.`,
        { cause: error },
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new StartError(
        `--listen ${host}: this machine has no such address. Give one of its own, or none for all.`,
        { cause: error },
      );
    default:
      return new StartError(`Easel cannot listen on ${host}, port ${port}: ${String(error)}`, {
        cause: error,
      });
  }
}

/** Listens on every address at one port. Throws `StartError`; then nothing is left listening. */
export async function startServer(
  app: Hono<AppEnv>,
  { port: wanted, listen: address, tls }: ServerOptions,
): Promise<RunningServer> {
  const servers: Server[] = [];
  const addresses: string[] = [];
  let port = wanted;
  const connections = new Set<Socket>();
  for (const host of hostsOf(address)) {
    const server = createServer(app, tls);
    server.on('connection', (socket) => {
      connections.add(socket);
      socket.once('close', () => connections.delete(socket));
    });
    try {
      port = await listen(server, host, port);
    } catch (error) {
      server.close();
      if (isWithoutIpv6(host, error)) continue;
      for (const other of servers) other.close();
      throw listenError(host, port, error);
    }
    servers.push(server);
    addresses.push(host);
  }
  return {
    port,
    addresses,
    async close({ graceMs }) {
      const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      for (const server of servers) server.closeIdleConnections();
      // Upgraded sockets are none of `closeAllConnections`' business, yet the server waits for them.
      const timer = setTimeout(() => {
        for (const socket of connections) socket.destroy();
      }, graceMs);
      await Promise.all(closed);
      clearTimeout(timer);
    },
  };
}
