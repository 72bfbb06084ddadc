import { GenerationError } from '../../protocol/errors.ts';
import type { EngineConfig } from '../shared/worker-protocol.ts';
import type { DeviceAccess } from './engine-device.ts';
import { decodeImage } from './images/decode-image.ts';
import { encodeImage } from './images/encode-image.ts';
import { openKeyValueStore } from './models/key-value-store.ts';
import { createLocalSources, type LocalModelSources } from './models/local-sources.ts';
import { type ModelStore, openModelStore } from './models/model-store.ts';
import { createModelSources } from './models/sources.ts';
import { chooseDevice } from './runtime/adapter.ts';
import { wasmThreads } from './runtime/bundle.ts';
import { openRuntime } from './runtime/runtime.ts';

/** Everything of the browser that the engine needs; tests put their own in its place. */
export interface EngineAccess {
  readonly device: DeviceAccess;
  readonly sources: LocalModelSources;
  openStore(): Promise<ModelStore>;
  /** CLIP's own merges, which the page carries. */
  loadClipMerges(): Promise<string>;
  readonly decodeImage: typeof decodeImage;
  readonly encodeImage: typeof encodeImage;
}

const CLIP_MERGES = 'clip/merges.txt';

/** The browser, seen from the engine's worker. */
export function browserAccess(config: EngineConfig): EngineAccess {
  return {
    device: {
      choose: () =>
        chooseDevice({
          device: config.device,
          gpu: navigator.gpu,
          wasmThreads: wasmThreads(),
          isSecureContext: globalThis.isSecureContext,
        }),
      open: (choice) => openRuntime(choice, { allocator: config.allocator }),
    },
    sources: createLocalSources(
      createModelSources({ baseUrl: config.baseUrl, hasBridge: config.relay !== null }),
      () => openKeyValueStore('easel-files'),
    ),
    openStore: openModelStore,
    async loadClipMerges() {
      const response = await fetch(new URL(CLIP_MERGES, config.baseUrl));
      if (response.ok) return response.text();
      throw new GenerationError(
        'download-failed',
        `CLIP's vocabulary (${CLIP_MERGES}) could not be read: the host answered ${response.status}.`,
      );
    },
    decodeImage,
    encodeImage,
  };
}
