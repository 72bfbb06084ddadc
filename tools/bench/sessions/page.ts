import '../count-memory.js';
import { buildGraph } from '../../../web/compiler/build-graph.ts';
import type { ComponentName } from '../../../web/compiler/model.ts';
import { openModelStore } from '../../../web/engine/models/model-store.ts';
import { chooseDevice } from '../../../web/engine/runtime/adapter.ts';
import { wasmThreads } from '../../../web/engine/runtime/bundle.ts';
import { openRuntime, type Runtime } from '../../../web/engine/runtime/runtime.ts';

/** One component of the compiled model that this origin's store holds. */
export interface StoredComponent {
  readonly name: ComponentName;
  readonly precision: string;
  readonly sizeBytes: number;
}

/** What the next session is made for: a picture of 512×512 with and without the negative prompt. */
const LATENT_SIDE = 64;
const TOKENS = 77;

const store = openModelStore();
let runtime: Promise<Runtime> | null = null;

async function stored(name: string) {
  const models = await store;
  const info = (await models.list()).find((model) => model.name === name);
  const manifest = info && (await models.read(info.key));
  if (!manifest) throw new Error(`no compiled ${name}`);
  return { models, manifest };
}

async function components(name: string): Promise<StoredComponent[]> {
  const { manifest } = await stored(name);
  return manifest.model.components.map(({ name, precision, shardSizes }) => ({
    ...{ name, precision },
    sizeBytes: shardSizes.reduce((sum, bytes) => sum + bytes, 0),
  }));
}

/** Opens one session as the engine does, and gives it back; the seconds that opening took. */
async function openSession(
  name: string,
  wanted: ComponentName,
  device: 'wasm' | 'webgpu',
): Promise<number> {
  runtime ??= chooseDevice({
    ...{ device, gpu: navigator.gpu, wasmThreads: wasmThreads(), isSecureContext },
  }).then((choice) => openRuntime(choice));
  const opened = await runtime;
  const { models, manifest } = await stored(name);
  const component = manifest.model.components.find((part) => part.name === wanted);
  if (!component) throw new Error(`no ${wanted}`);
  const { provider, maxStorageBindingBytes: maxBindingBytes } = opened.device;
  const shape = {
    batch: wanted === 'unet' ? 2 : 1,
    ...{ latentHeight: LATENT_SIDE, latentWidth: LATENT_SIDE, tokens: TOKENS },
  };
  const graph = buildGraph(component, shape, { provider, maxBindingBytes });
  const shards = await models.shards(manifest, component);
  const startedAt = performance.now();
  const session = await opened.openSession(graph, {
    ...{ what: wanted, shards, keepOnGpu: wanted === 'unet' },
  });
  const seconds = (performance.now() - startedAt) / 1000;
  await session.release();
  return seconds;
}

declare global {
  var sessions: {
    readonly components: (name: string) => Promise<StoredComponent[]>;
    readonly open: (
      name: string,
      component: ComponentName,
      device: 'wasm' | 'webgpu',
    ) => Promise<number>;
  };
}
globalThis.sessions = { components, open: openSession };
