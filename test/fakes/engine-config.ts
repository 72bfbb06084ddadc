import type { EngineConfig } from '../../web/shared/worker-protocol.ts';

/** An engine as a page without a bridge starts it. */
export const ENGINE_CONFIG: EngineConfig = {
  baseUrl: 'http://localhost/',
  relay: null,
  device: 'auto',
  precision: 'auto',
  checkpoint: null,
  allocator: 'caching',
  unloadIdleMinutes: null,
  appVersion: '0.1.0',
};
