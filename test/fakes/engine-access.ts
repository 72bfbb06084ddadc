import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as ort from 'onnxruntime-web/wasm';
import type { ModelListing } from '../../protocol/catalog.ts';
import type { DeviceInfo } from '../../protocol/device.ts';
import type { ModelFiles } from '../../web/compiler/model.ts';
import type { EngineAccess } from '../../web/engine/browser-access.ts';
import { encodeImage } from '../../web/engine/images/encode-image.ts';
import type { Pixels } from '../../web/engine/images/pixels.ts';
import { createMemoryStore, type KeyValueStore } from '../../web/engine/models/key-value-store.ts';
import { createLocalSources } from '../../web/engine/models/local-sources.ts';
import { createModelStore } from '../../web/engine/models/model-store.ts';
import type { ModelSources } from '../../web/engine/models/sources.ts';
import { createRuntime, type Runtime } from '../../web/engine/runtime/runtime.ts';
import { folderFiles } from './file-source.ts';

const MODELS = fileURLToPath(new URL('../fixtures/models/', import.meta.url));
const CLIP_MERGES = new URL('../../public/clip/merges.txt', import.meta.url);

export const NODE_DEVICE: DeviceInfo = {
  provider: 'wasm',
  adapter: 'processor',
  isSoftware: false,
  hasShaderF16: false,
  maxBufferBytes: 2 ** 32,
  maxStorageBindingBytes: 2 ** 32,
  wasmThreads: 1,
  reason: 'a test',
};

/** The real wasm runtime in Node. */
export function nodeRuntime(): Runtime {
  ort.env.wasm.numThreads = 1;
  return createRuntime(ort, NODE_DEVICE, null);
}

export interface NodeAccess extends EngineAccess {
  /** Every read of a source file, as `path`. */
  readonly reads: string[];
  readonly entries: KeyValueStore;
  /** Every open of a runtime. */
  readonly runtimes: Runtime[];
  /** Every picture before it became a file. */
  readonly pictures: Pixels[];
}

export interface NodeAccessOptions {
  /** The model's folder; the fixture sd15-tiny without it. */
  readonly folder?: string;
  readonly entries?: KeyValueStore;
  /** Remembers the files of the user's own disk. */
  readonly localEntries?: KeyValueStore;
  /** Version of the listing; another one stands for changed files. */
  readonly version?: string;
  /** Files that are listed beside the checkpoint. */
  readonly beside?: readonly (ModelFiles & { readonly kind: ModelListing['kind'] })[];
  /** Stands in for a part of the runtime. */
  readonly wrap?: (runtime: Runtime, opened: number) => Runtime;
}

/** The engine's surroundings in Node: the fixture folder as the only model, real compiler, real runtime. */
export function nodeAccess(options: NodeAccessOptions = {}): NodeAccess {
  const { entries = createMemoryStore(), version = 'v1', wrap = (runtime) => runtime } = options;
  const reads: string[] = [];
  const { localEntries = createMemoryStore() } = options;
  const runtimes: Runtime[] = [];
  const pictures: Pixels[] = [];
  const { folder = `${MODELS}sd15-tiny` } = options;
  const name = basename(folder);
  const files = folderFiles(folder, name);
  const listing: ModelListing = {
    kind: 'checkpoint',
    name,
    source: 'embedded',
    filename: `models/${name}`,
    url: `models/${name}/`,
    files: files.files.map(({ path, sizeBytes }) => ({ path, sizeBytes })),
    version,
  };
  const { beside = [] } = options;
  const besideListings = beside.map(
    ({ kind, name, files }): ModelListing => ({
      ...{ kind, name, source: 'bridge', filename: name, url: `beside/${kind}/${name}/`, version },
      files: files.map(({ path, sizeBytes }) => ({ path, sizeBytes })),
    }),
  );
  const listings = [listing, ...besideListings];
  const sources: ModelSources = {
    listings,
    refresh: async () => listings,
    find: (name) =>
      listings.find((each) => each.kind === 'checkpoint' && each.name === name) ?? null,
    open: (of) => ({
      ...files,
      files: (beside[besideListings.indexOf(of)] ?? files).files.map((file) => ({
        ...file,
        read(offset, length) {
          reads.push(file.path);
          return file.read(offset, length);
        },
      })),
    }),
  };
  return {
    reads,
    entries,
    runtimes,
    sources: createLocalSources(sources, async () => localEntries),
    device: {
      choose: async () => ({ info: NODE_DEVICE, adapter: null }),
      async open() {
        const runtime = wrap(nodeRuntime(), runtimes.length);
        runtimes.push(runtime);
        return runtime;
      },
    },
    openStore: async () => createModelStore(entries),
    loadClipMerges: async () => readFileSync(CLIP_MERGES, 'utf8'),
    async decodeImage() {
      return { width: 64, height: 64, data: new Uint8Array(64 * 64 * 4).fill(255) };
    },
    pictures,
    encodeImage(pixels, format, infotext) {
      pictures.push(pixels);
      return encodeImage(pixels, format, infotext);
    },
  };
}
