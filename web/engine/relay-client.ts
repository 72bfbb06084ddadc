import type { RelayStatus } from '../shared/engine.ts';
import type { EngineConfig } from '../shared/worker-protocol.ts';
import type { LocalEngine } from './local-engine.ts';

export interface RelayOptions {
  readonly engine: LocalEngine;
  /** Null on a page without a bridge: the client stays off and this tab counts as elected. */
  readonly relay: EngineConfig['relay'];
  readonly appVersion: string;
}

/** The engine's side of the relay: one socket to the bridge, kept up for the worker's life. */
export interface RelayClient {
  /** Resolves when this tab is the one of its browser profile that runs jobs. */
  readonly elected: Promise<void>;
  /** Called at once with the present status and at every change; returns the unsubscriber. */
  onStatus(listener: (status: RelayStatus) => void): () => void;
  close(): Promise<void>;
}

export declare function connectRelay(options: RelayOptions): RelayClient;
