import { GenerationError, parseError, type SerializedError } from '../../protocol/errors.ts';
import type { JobEvent } from '../../protocol/job.ts';
import {
  type BridgeCommand,
  CLOSE_CODES,
  HEARTBEAT_MS,
  HELLO_TIMEOUT_MS,
  LEASE_MS,
  PROTOCOL_VERSION,
  parseTabMessage,
  type TabMessage,
} from '../../protocol/relay.ts';
import { EASEL_VERSION } from '../../protocol/version.ts';
import type { JobRecord, Lease } from '../jobs/job-store.ts';
import type { Logger } from '../log.ts';
import type { EngineDirectory, EngineView } from '../services.ts';
import { Tab } from './tab.ts';
import type { TabConnection, TabSocket } from './tab-socket.ts';
import { WorkClock } from './work-clock.ts';

/** How often leases are looked at. */
const TICK_MS = 500;
/** Sockets that have not said hello; more are refused. */
const MAX_STRANGERS = 16;

/** What the queue must hear from the relay. */
export interface RelayListener {
  /** A tab may be able to take a job now: it attached, became idle, or woke up. */
  onReady(): void;
  /** Something about a job; the attempt may be an old one. */
  onJobEvent(tab: Tab, event: JobEvent): void;
  /** A tab came back with a job from before; answer by `adopt` or `dismiss`. */
  onClaim(tab: Tab, lease: Lease): void;
  /** A lease ended without an outcome; `isStuck` when the engine lived and made no step. */
  onLost(lease: Lease, cause: SerializedError, isStuck?: boolean): void | Promise<void>;
}

export interface TabRelayOptions {
  readonly log: Logger;
  readonly now?: () => number;
}

interface PendingCommand {
  readonly tab: Tab;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** The attached tabs: who they are, whether they live, and which of them has which job. */
export class TabRelay implements EngineDirectory {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #tabs = new Set<Tab>();
  readonly #idsByName = new Map<string, string>();
  readonly #commands = new Map<number, PendingCommand>();
  readonly #viewListeners = new Set<() => void>();
  readonly #ticker: NodeJS.Timeout;
  #listener: RelayListener | null = null;
  #strangers = 0;
  #lastTickAt: number;
  #nextCommandId = 1;
  #isClosed = false;

  constructor({ log, now = Date.now }: TabRelayOptions) {
    this.#log = log;
    this.#now = now;
    this.#lastTickAt = now();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#ticker.unref();
  }

  /** Names who hears of jobs; there is one. */
  listen(listener: RelayListener): void {
    this.#listener = listener;
  }

  /** Called whenever a tab comes, goes or changes; returns the unsubscriber. */
  onChange(listener: () => void): () => void {
    this.#viewListeners.add(listener);
    return () => this.#viewListeners.delete(listener);
  }

  #changed(): void {
    for (const listener of [...this.#viewListeners]) listener();
  }

  /** True when another socket may say hello. */
  get hasRoom(): boolean {
    return !this.#isClosed && this.#strangers < MAX_STRANGERS;
  }

  /** Takes over a socket whose Host, Origin and token were checked; it has five seconds to say hello. */
  attach(socket: TabSocket): TabConnection {
    let tab: Tab | null = null;
    let isOver = false;
    this.#strangers += 1;
    const introduce = () => {
      clearTimeout(timer);
      this.#strangers -= 1;
    };
    const refuse = (code: number, reason: string) => {
      isOver = true;
      introduce();
      socket.close(code, reason);
    };
    const timer = setTimeout(() => {
      refuse(CLOSE_CODES.badHello, 'no hello in time');
    }, HELLO_TIMEOUT_MS);
    timer.unref();
    return {
      receive: (text) => {
        if (isOver || tab?.isGone) return;
        let message: TabMessage;
        try {
          message = parseTabMessage(text);
        } catch (error) {
          const reason = String(error instanceof Error ? error.message : error);
          if (tab) this.#cut(tab, CLOSE_CODES.badFrame, reason);
          else refuse(CLOSE_CODES.badHello, reason.slice(0, 100));
          return;
        }
        if (tab) return this.#receive(tab, message);
        if (message.type !== 'hello') return refuse(CLOSE_CODES.badHello, 'hello comes first');
        if (message.protocolVersion !== PROTOCOL_VERSION) {
          return refuse(
            CLOSE_CODES.versionMismatch,
            `protocol ${PROTOCOL_VERSION}: reload the page`,
          );
        }
        introduce();
        tab = this.#welcome(socket, message);
      },
      closed: (code) => {
        if (isOver) return;
        isOver = true;
        if (tab) this.#gone(tab, `its connection ended (${code}).`);
        else introduce();
      },
    };
  }

  #welcome(socket: TabSocket, hello: Extract<TabMessage, { type: 'hello' }>): Tab {
    for (const other of this.#tabs) {
      if (other.engineName === hello.engineName) {
        this.#cut(other, CLOSE_CODES.stopping, 'replaced by a newer connection');
      }
    }
    let id = this.#idsByName.get(hello.engineName);
    if (id === undefined) {
      id = `e${this.#idsByName.size + 1}`;
      this.#idsByName.set(hello.engineName, id);
    }
    const { engineName, appVersion, status, catalog } = hello;
    const tab = new Tab(socket, { id, engineName, appVersion, status, catalog, now: this.#now() });
    this.#tabs.add(tab);
    tab.send({ type: 'welcome', engineId: id, bridgeVersion: EASEL_VERSION });
    this.#log.info('An engine is attached.', {
      engine: id,
      device: status.device?.provider,
      state: status.state,
    });
    if (hello.job) this.#listener?.onClaim(tab, hello.job);
    this.#changed();
    this.#listener?.onReady();
    return tab;
  }

  #receive(tab: Tab, message: TabMessage): void {
    tab.lastHeardAt = this.#now();
    if (tab.isSilent) {
      tab.isSilent = false;
      this.#log.info('An engine speaks again.', { engine: tab.id });
      this.#changed();
      this.#listener?.onReady();
    }
    switch (message.type) {
      case 'hello':
        this.#cut(tab, CLOSE_CODES.badHello, 'hello comes once');
        break;
      case 'heartbeat':
        this.#heartbeat(tab, message.job);
        break;
      case 'status':
        tab.status = message.status;
        this.#changed();
        this.#listener?.onReady();
        break;
      case 'catalog':
        tab.catalog = message.catalog;
        this.#changed();
        break;
      case 'control-done': {
        const command = this.#commands.get(message.id);
        if (command?.tab !== tab) break;
        this.#commands.delete(message.id);
        if (message.error) command.reject(parseError(message.error));
        else command.resolve();
        break;
      }
      case 'job-progress':
      case 'job-preview':
      case 'job-image':
        this.#seen(tab, message);
        if (message.type === 'job-progress' && isSameLease(tab.lease, message)) {
          tab.clock?.seen(message, this.#now());
        }
        this.#listener?.onJobEvent(tab, message);
        break;
      case 'job-finished':
      case 'job-failed':
        // Free at once: the next job may start while this one's pictures are written.
        if (isSameLease(tab.lease, message)) tab.lease = null;
        if (tab.status.state === 'busy') tab.status = { ...tab.status, state: 'idle' };
        this.#listener?.onJobEvent(tab, message);
        this.#changed();
        this.#listener?.onReady();
        break;
      default:
        message satisfies never;
    }
  }

  #seen(tab: Tab, lease: Lease): void {
    if (isSameLease(tab.lease, lease)) tab.leaseSeenAt = this.#now();
  }

  #heartbeat(tab: Tab, job: (Lease & { readonly step: number }) | null): void {
    if (job) this.#seen(tab, job);
    if (tab.lease && this.#now() - tab.leaseSeenAt > LEASE_MS) {
      this.#loseLease(tab, 'it no longer works on the job, though it lives.');
    }
  }

  #loseLease(tab: Tab, why: string, isStuck = false): void {
    const { lease } = tab;
    if (!lease) return;
    tab.lease = null;
    tab.clock = null;
    this.#log.warn('An engine lost its job.', { engine: tab.id, job: lease.jobId, why });
    const cause = { code: 'tab-disconnected', message: `Engine ${tab.id}: ${why}` } as const;
    void this.#listener?.onLost(lease, cause, isStuck);
  }

  #gone(tab: Tab, why: string, isStuck = false): void {
    if (tab.isGone) return;
    tab.isGone = true;
    this.#tabs.delete(tab);
    this.#log.info('An engine is gone.', { engine: tab.id, why });
    for (const [id, command] of this.#commands) {
      if (command.tab !== tab) continue;
      this.#commands.delete(id);
      command.reject(new GenerationError('tab-disconnected', `Engine ${tab.id}: ${why}`));
    }
    this.#loseLease(tab, why, isStuck);
    this.#changed();
  }

  #cut(tab: Tab, code: number, reason: string, isStuck = false): void {
    this.#log.warn('An engine is cut off.', { engine: tab.id, code, reason });
    tab.close(code, reason.slice(0, 100));
    this.#gone(tab, reason, isStuck);
  }

  #tick(): void {
    const now = this.#now();
    const gap = now - this.#lastTickAt;
    this.#lastTickAt = now;
    // We slept ourselves (a suspended machine): nobody is to blame, everybody gets a new lease.
    if (gap > TICK_MS + HEARTBEAT_MS) {
      for (const tab of this.#tabs) {
        tab.lastHeardAt = now;
        tab.leaseSeenAt = now;
        tab.clock?.forgive(gap);
      }
      return;
    }
    for (const tab of [...this.#tabs]) {
      const stuck = tab.lease && !tab.isSilent ? tab.clock?.stuckBecause(now) : null;
      if (stuck) {
        this.#cut(tab, CLOSE_CODES.stuck, stuck, true);
        continue;
      }
      if (tab.isSilent || now - tab.lastHeardAt <= tab.silenceLimitMs) continue;
      tab.isSilent = true;
      this.#log.warn('An engine is silent.', { engine: tab.id });
      this.#loseLease(tab, 'it stopped answering (frozen, asleep or hung).');
      this.#changed();
    }
  }

  /** Tabs that may take a job, idle ones first. */
  takers(): Tab[] {
    const takers = [...this.#tabs].filter((tab) => tab.canTake);
    const isIdle = (tab: Tab) => (tab.status.state === 'idle' ? 0 : 1);
    return takers.sort((a, b) => isIdle(a) - isIdle(b));
  }

  /** True when some tab will be able to take a job without anybody's help. */
  get hasUsable(): boolean {
    return [...this.#tabs].some((tab) => tab.isUsable);
  }

  /** True when tabs are attached and every one says that its GPU is blocked. */
  get isBlocked(): boolean {
    const states = [...this.#tabs].map((tab) => tab.status.state);
    return states.length > 0 && states.every((state) => state === 'blocked');
  }

  /** Gives a tab its job; false when the tab went away meanwhile. */
  assign(tab: Tab, { jobId, attempt, params }: JobRecord): boolean {
    tab.isReserved = false;
    if (tab.isGone || tab.lease) return false;
    this.adopt(tab, { jobId, attempt });
    const { pace } = tab;
    tab.clock = new WorkClock(params, { pace, device: tab.status.device, now: this.#now() });
    tab.send({ type: 'job', jobId, attempt, params });
    return true;
  }

  /** Lets a tab go on with a job it already has. */
  adopt(tab: Tab, { jobId, attempt }: Lease): void {
    tab.lease = { jobId, attempt };
    tab.clock = null;
    tab.leaseSeenAt = this.#now();
    this.#changed();
  }

  /** Tells a tab that an attempt's outcome is durable, or no longer wanted. */
  forget(tab: Tab, { jobId, attempt }: Lease): void {
    if (isSameLease(tab.lease, { jobId, attempt })) tab.lease = null;
    tab.send({ type: 'ack', jobId, attempt });
  }

  /** Tells a tab that came back with a job to leave it: it has its outcome. */
  dismiss(tab: Tab, { jobId, attempt }: Lease): void {
    tab.send({ type: 'cancel', jobId, mode: 'interrupt' });
    this.forget(tab, { jobId, attempt });
  }

  /** Passes an interrupt or a skip on to the tab that has the job. */
  cancel(jobId: string, mode: 'interrupt' | 'skip'): void {
    for (const tab of this.#tabs) {
      if (tab.lease?.jobId === jobId) tab.send({ type: 'cancel', jobId, mode });
    }
  }

  list(): readonly EngineView[] {
    return [...this.#tabs].map(({ id, status, catalog, lease, isSilent }) => ({
      id,
      status,
      catalog,
      hasJob: lease !== null,
      isSilent,
    }));
  }

  async control(command: BridgeCommand): Promise<void> {
    const tabs = [...this.#tabs].filter((tab) => tab.isUsable);
    if (tabs.length === 0) throw new GenerationError('no-tab', 'No engine is attached.');
    await Promise.all(
      tabs.map((tab) => {
        const id = this.#nextCommandId++;
        return new Promise<void>((resolve, reject) => {
          this.#commands.set(id, { tab, resolve, reject });
          tab.send({ type: 'control', id, command });
        });
      }),
    );
  }

  /** Closes the sockets of tabs that came in by a password or token that no longer counts. */
  revoke(): void {
    for (const tab of [...this.#tabs]) {
      this.#cut(tab, CLOSE_CODES.revoked, 'the password or the token was changed');
    }
  }

  /** Closes every socket with `stopping`, so that tabs come back by themselves; safe to call twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#ticker);
    for (const tab of [...this.#tabs]) {
      tab.close(CLOSE_CODES.stopping, 'Easel is stopping');
      this.#gone(tab, 'Easel is stopping.');
    }
  }
}

function isSameLease(lease: Lease | null, other: Lease): boolean {
  return lease?.jobId === other.jobId && lease.attempt === other.attempt;
}
