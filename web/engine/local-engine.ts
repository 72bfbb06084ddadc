import type { Engine } from '../shared/engine.ts';
import type { EngineConfig } from '../shared/worker-protocol.ts';

/** The engine that does the work; the relay's state is the relay client's own. */
export interface LocalEngine extends Omit<Engine, 'onRelayStatus'> {
  /** Lets the engine use the device and load the checkpoint it was started with. */
  activate(): Promise<void>;
}

export declare function createLocalEngine(config: EngineConfig): LocalEngine;
