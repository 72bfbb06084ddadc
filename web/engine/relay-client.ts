import { engineStart, RELAY_TOKEN_PARAMETER } from '../../protocol/engine-start.ts';
import { GenerationError, serializeError } from '../../protocol/errors.ts';
import {
  type BridgeMessage,
  CLOSE_CODES,
  HEARTBEAT_MS,
  PROTOCOL_VERSION,
  parseBridgeMessage,
  type TabMessage,
} from '../../protocol/relay.ts';
import type { RelayStatus } from '../shared/engine.ts';
import { createWatched, type Watched } from '../shared/watched.ts';
import type { EngineConfig } from '../shared/worker-protocol.ts';
import type { LocalEngine } from './local-engine.ts';
import { createRelayJobs } from './relay-jobs.ts';
import { joinElection } from './tab-election.ts';

/** What the client uses of a WebSocket; tests hand in their own. */
export interface RelaySocket {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
}

/** The browser around the client. */
export interface RelayEnvironment {
  createSocket(url: string): RelaySocket;
  fetch(url: string): Promise<Response>;
  /** Undefined on plain-http pages, where every tab is on its own. */
  readonly locks: Pick<LockManager, 'request'> | undefined;
  /** 0 to 1, for the back-off's jitter. */
  random(): number;
}

export interface RelayOptions {
  readonly engine: LocalEngine;
  /** Null on a page without a bridge: the client stays off and this tab counts as elected. */
  readonly relay: EngineConfig['relay'];
  readonly appVersion: string;
  readonly environment?: RelayEnvironment;
  /** The bridge saw the job stand still: the worker is to be started anew. */
  readonly onStuck?: () => void;
}

/** The engine's side of the relay: one socket to the bridge, kept up for the worker's life. */
export interface RelayClient {
  /** Resolves when this tab is the one of its browser profile that runs jobs. */
  readonly elected: Promise<void>;
  /** Called at once with the present status and at every change; returns the unsubscriber. */
  onStatus(listener: (status: RelayStatus) => void): () => void;
  /** Makes this tab the one that runs jobs, where another one is. */
  takeOver(): void;
  close(): Promise<void>;
}

const MIN_DELAY_MS = 500;
const MAX_DELAY_MS = 10_000;

const MESSAGES = {
  off: 'This page has no bridge: pictures are made in this tab alone.',
  connecting: 'Connecting to the bridge …',
  attached: 'Connected to the bridge.',
  waiting: 'Another tab of this browser runs Easel; this one takes over when it closes.',
  lost: 'The connection to the bridge was lost; trying again.',
  reload: 'Easel was updated: reload this page to connect again.',
} as const;

export function connectRelay(options: RelayOptions): RelayClient {
  const { relay, engine, environment = browserEnvironment() } = options;
  const start: RelayStatus = relay
    ? { state: 'connecting', message: MESSAGES.connecting }
    : { state: 'off', message: MESSAGES.off };
  const status = createWatched(start);
  const ended = new AbortController();
  let elect = () => {};
  const elected = new Promise<void>((resolve) => {
    elect = resolve;
  });

  let turns = 0;

  /** Works until another tab takes over, or this one closes. */
  async function work(lost: AbortSignal): Promise<void> {
    turns += 1;
    elect();
    engine.setWaiting(null);
    if (status.value !== start) status.set(start);
    // The first time whoever made the engine does that.
    if (turns > 1) void engine.activate();
    if (relay) {
      const connection = createConnection({ ...options, relay, environment, status, ended: lost });
      lost.addEventListener('abort', () => connection.close(), { once: true });
      await connection.run();
    } else {
      await untilAborted(lost);
    }
    // What was in memory here the other tab loads for itself.
    const isTaken = lost.aborted && !ended.signal.aborted;
    if (isTaken) await engine.unloadCheckpoint().catch((error: unknown) => console.warn(error));
  }

  function wait(): void {
    status.set({ state: 'waiting', message: MESSAGES.waiting });
    engine.setWaiting(MESSAGES.waiting);
  }

  const { locks } = environment;
  const election = joinElection({ locks, onTurn: work, onWait: wait, ended: ended.signal });
  const over = election.over.catch((error: unknown) => {
    if (!ended.signal.aborted) console.error('The relay client ended.', error);
  });

  return {
    elected,
    onStatus: status.watch,
    takeOver: election.takeOver,
    async close() {
      ended.abort();
      await over;
    },
  };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

interface ConnectionOptions extends RelayOptions {
  readonly relay: NonNullable<EngineConfig['relay']>;
  readonly environment: RelayEnvironment;
  readonly status: Watched<RelayStatus>;
  readonly ended: AbortSignal;
}

/** Connects again and again until closed, or until the bridge says that the page is outdated. */
function createConnection(options: ConnectionOptions) {
  const { engine, relay, appVersion, environment, status, ended } = options;
  const engineName = crypto.randomUUID?.() ?? randomName(environment.random);
  let socket: RelaySocket | null = null;
  let isAttached = false;
  let wake = () => {};

  function send(message: TabMessage): boolean {
    if (!socket || !isAttached) return false;
    socket.send(JSON.stringify(message));
    return true;
  }

  const jobs = createRelayJobs(engine, send);

  function receive(message: BridgeMessage): void {
    switch (message.type) {
      case 'welcome':
        isAttached = true;
        status.set({ state: 'attached', message: MESSAGES.attached });
        jobs.offerAgain();
        break;
      case 'job':
        jobs.start(message);
        break;
      case 'cancel':
        jobs.cancel(message.jobId, message.mode);
        break;
      case 'ack':
        jobs.acknowledge(message);
        break;
      case 'control':
        void control(message);
        break;
    }
  }

  async function control({ id, command }: Extract<BridgeMessage, { type: 'control' }>) {
    try {
      if (command.name === 'load-checkpoint') await engine.loadCheckpoint(command.checkpoint);
      else if (command.name === 'unload-checkpoint') await engine.unloadCheckpoint();
      else await engine.refreshModels();
      send({ type: 'control-done', id, error: null });
    } catch (error) {
      send({ type: 'control-done', id, error: serializeError(error) });
    }
  }

  async function fetchToken(): Promise<string> {
    const response = await environment.fetch(relay.tokenUrl);
    if (response.ok) return engineStart.parse(await response.json()).token;
    throw new GenerationError(
      'no-tab',
      response.status === 401 || response.status === 403
        ? 'The bridge does not let this page connect: log in again.'
        : `The bridge answered ${response.status} when asked to connect.`,
    );
  }

  /** One connection from its first frame to its end; returns the close code. */
  async function connectOnce(): Promise<number> {
    const url = new URL(relay.url);
    url.protocol = url.protocol.replace('http', 'ws');
    url.searchParams.set(RELAY_TOKEN_PARAMETER, await fetchToken());
    ended.throwIfAborted();
    const opened = environment.createSocket(url.href);
    socket = opened;
    const unwatch: (() => void)[] = [];
    const heartbeat = setInterval(() => {
      send({ type: 'heartbeat', monotonicMs: performance.now(), job: jobs.current() });
    }, HEARTBEAT_MS);
    const code = await new Promise<number>((resolve) => {
      opened.onopen = () => opened.send(JSON.stringify(hello()));
      opened.onmessage = ({ data }) => {
        try {
          receive(parseBridgeMessage(String(data)));
        } catch (error) {
          console.error('The bridge sent something that this page does not know.', error);
          opened.close(CLOSE_CODES.badFrame, 'unknown frame');
        }
      };
      opened.onclose = (event) => resolve(event.code);
      // What changes before the welcome is in the hello.
      unwatch.push(engine.onStatus((value) => send({ type: 'status', status: value })));
      unwatch.push(engine.onCatalog((value) => send({ type: 'catalog', catalog: value })));
    });
    clearInterval(heartbeat);
    for (const stop of unwatch) stop();
    socket = null;
    isAttached = false;
    return code;
  }

  function hello(): TabMessage {
    return {
      type: 'hello',
      protocolVersion: PROTOCOL_VERSION,
      ...{ appVersion, engineName },
      status: present(engine.onStatus),
      catalog: present(engine.onCatalog),
      job: jobs.claim(),
    };
  }

  /** Full jitter: any time up to a limit that doubles (AWS Architecture Blog, 2015). */
  function pause(failures: number): Promise<void> {
    const limit = Math.min(MAX_DELAY_MS, MIN_DELAY_MS * 2 ** failures);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limit * environment.random());
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  const onOnline = () => wake();

  return {
    async run(): Promise<void> {
      globalThis.addEventListener?.('online', onOnline);
      for (let failures = 0; !ended.aborted; failures++) {
        try {
          const code = await connectOnce();
          if (code === CLOSE_CODES.versionMismatch) {
            status.set({ state: 'refused', message: MESSAGES.reload });
            return;
          }
          if (code === CLOSE_CODES.stuck) {
            options.onStuck?.();
            return;
          }
          if (status.value.state === 'attached') failures = 0;
          if (ended.aborted) return;
          status.set({ state: 'connecting', message: MESSAGES.lost });
        } catch (error) {
          if (ended.aborted) return;
          const isOurs = error instanceof GenerationError;
          status.set({
            state: isOurs ? 'refused' : 'connecting',
            message: isOurs ? error.message : MESSAGES.lost,
          });
        }
        await pause(failures);
      }
    },
    close() {
      globalThis.removeEventListener?.('online', onOnline);
      jobs.close();
      wake();
      socket?.close(1000, 'closed');
    },
  };
}

/** The value that a watcher is told at once. */
function present<T>(watch: (listener: (value: T) => void) => () => void): T {
  const seen: T[] = [];
  watch((value) => seen.push(value))();
  const [value] = seen;
  if (value === undefined) throw new TypeError('a watcher was not told the present value');
  return value;
}

/** `crypto.randomUUID` is missing on plain-http pages. */
function randomName(random: () => number): string {
  return Array.from({ length: 4 }, () => Math.floor(random() * 2 ** 32).toString(16)).join('-');
}

function browserEnvironment(): RelayEnvironment {
  return {
    createSocket: (url) => new WebSocket(url) as RelaySocket,
    fetch: (url) => fetch(url, { cache: 'no-store' }),
    locks: globalThis.navigator?.locks,
    random: Math.random,
  };
}
