import type { Catalog } from '../../protocol/catalog.ts';
import type { EngineStatus } from '../../protocol/device.ts';
import {
  type BridgeMessage,
  LEASE_MS,
  LOADING_LEASE_MS,
  WASM_LEASE_MS,
} from '../../protocol/relay.ts';
import type { Lease } from '../jobs/job-store.ts';
import type { TabSocket } from './tab-socket.ts';
import { DevicePace, type WorkClock } from './work-clock.ts';

/** More than this in a socket's buffer means that the peer does not read. */
export const MAX_BUFFERED_BYTES = 64 * 1024 ** 2;

/** One attached tab: its socket, what it says of itself, and the job it has a lease for. */
export class Tab {
  readonly id: string;
  readonly engineName: string;
  readonly appVersion: string;
  readonly #socket: TabSocket;
  status: EngineStatus;
  catalog: Catalog;
  /** When anything was last heard of the worker, by our own clock. */
  lastHeardAt: number;
  lease: Lease | null = null;
  /** When the tab last said that it works on its lease, or was given it. */
  leaseSeenAt = 0;
  /** Watches the leased job's steps; null for a job that the tab brought along after a reconnect. */
  clock: WorkClock | null = null;
  readonly pace = new DevicePace();
  /** True while a job is being fetched for this tab. */
  isReserved = false;
  /** True after a silence as long as a lease, until the tab speaks again. */
  isSilent = false;
  isGone = false;

  constructor(
    socket: TabSocket,
    facts: {
      readonly id: string;
      readonly engineName: string;
      readonly appVersion: string;
      readonly status: EngineStatus;
      readonly catalog: Catalog;
      readonly now: number;
    },
  ) {
    this.#socket = socket;
    this.id = facts.id;
    this.engineName = facts.engineName;
    this.appVersion = facts.appVersion;
    this.status = facts.status;
    this.catalog = facts.catalog;
    this.lastHeardAt = facts.now;
  }

  /** Whether a job may be given to it; a tab that loads or compiles takes one and goes on with it. */
  get canTake(): boolean {
    const isFree = !this.isGone && !this.isSilent && !this.isReserved && this.lease === null;
    return isFree && ['idle', 'loading', 'compiling'].includes(this.status.state);
  }

  /** Milliseconds of silence after which it counts as frozen, by what it is doing. */
  get silenceLimitMs(): number {
    const isPreparing = ['loading', 'compiling'].includes(this.status.state);
    const isWorking = this.lease !== null || isPreparing || this.status.state === 'busy';
    if (isWorking && this.status.device?.provider === 'wasm') return WASM_LEASE_MS;
    return isPreparing ? LOADING_LEASE_MS : LEASE_MS;
  }

  /** Whether it counts as an engine that jobs may wait for. */
  get isUsable(): boolean {
    return !this.isGone && !this.isSilent && !['waiting', 'blocked'].includes(this.status.state);
  }

  send(message: BridgeMessage): void {
    if (this.isGone) return;
    this.#socket.send(JSON.stringify(message));
    // The relay hears of the end through the socket's close.
    if (this.#socket.bufferedBytes > MAX_BUFFERED_BYTES) this.#socket.terminate();
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }
}
