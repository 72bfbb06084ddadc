import type { ModelListing } from '../../../protocol/catalog.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import { buildGraph } from '../../compiler/build-graph.ts';
import { compileComponents } from '../../compiler/compile.ts';
import { openUpscaler } from '../../compiler/layouts/upscaler-file.ts';
import type { WeightSink } from '../../compiler/model.ts';
import { type RrdbnetConfig, upscalerScale } from '../../compiler/models/rrdbnet.ts';
import type { Pixels } from '../images/pixels.ts';
import { type ModelSources, sourceIdentity } from '../models/sources.ts';
import type { ModelSession, Runtime } from '../runtime/runtime.ts';
import { enlarge, type FindNetwork, PLAIN_PASSES, type UpscalePass } from './enlarge.ts';
import { type TiledOptions, type UpscalerNetwork, upscaleTiled } from './tiled-upscale.ts';

export interface UpscalersOptions {
  readonly sources: Pick<ModelSources, 'listings' | 'open'>;
  /** The open device; asked for only where a network is to run. */
  readonly acquire: () => Promise<Runtime>;
}

/** Everything that enlarges pictures, by the names of `/sdapi/v1/upscalers`. */
export interface Upscalers {
  /**
   * Enlarges by `factor`. Rejects with `not-found` for an unknown name, `invalid-request` for a result
   * beyond 64 megapixels, and as the compiler does for a file that is no upscaler.
   */
  upscale(pixels: Pixels, name: string, factor: number, options?: TiledOptions): Promise<Pixels>;
  /** One pass of a network by its name, for hires fix. */
  find: FindNetwork;
  /** Gives the network's weights back. */
  release(): Promise<void>;
  /** Drops a network whose device is gone. */
  forget(): void;
}

/** Larger pictures would take gigabytes on the way. */
const MAX_PIXELS = 64 * 2 ** 20;

/** Keeps an upscaler's weights in memory: 70 MB are converted faster than a store could be asked. */
class BlobSink implements WeightSink {
  readonly shards: Uint8Array<ArrayBuffer>[][] = [];

  async beginShard(): Promise<void> {
    this.shards.push([]);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.shards.at(-1)?.push(new Uint8Array(bytes));
  }

  blobs(): Blob[] {
    return this.shards.map((pieces) => new Blob(pieces));
  }
}

interface LoadedNetwork {
  readonly identity: string;
  readonly runtime: Runtime;
  readonly network: UpscalerNetwork;
  release(): Promise<void>;
}

export function createUpscalers({ sources, acquire }: UpscalersOptions): Upscalers {
  let loaded: LoadedNetwork | null = null;

  async function release(): Promise<void> {
    const leaving = loaded;
    loaded = null;
    await leaving?.release();
  }

  async function networkOf(listing: ModelListing, signal?: AbortSignal): Promise<UpscalerNetwork> {
    const identity = sourceIdentity(listing);
    const runtime = await acquire();
    if (loaded?.identity === identity && loaded.runtime === runtime) return loaded.network;
    if (loaded?.runtime === runtime) await release();
    loaded = await loadNetwork(listing, sources, runtime, signal);
    return loaded.network;
  }

  function networkPass(name: string, options: TiledOptions): UpscalePass | null {
    const listing = sources.listings.find(
      (entry) => entry.kind === 'esrgan' && entry.name === name,
    );
    if (!listing) return null;
    return async (pixels) => {
      const network = await networkOf(listing, options.signal);
      checkSize(pixels.width * network.scale, pixels.height * network.scale);
      return upscaleTiled(pixels, network, options);
    };
  }

  return {
    async upscale(pixels, name, factor, options = {}) {
      checkSize(pixels.width * factor, pixels.height * factor);
      const pass = PLAIN_PASSES.get(name) ?? networkPass(name, options);
      if (!pass) {
        throw new GenerationError(
          'not-found',
          `There is no upscaler "${name.slice(0, 200)}". Refresh the list of models, or choose one that is in it.`,
        );
      }
      return enlarge(pixels, factor, pass);
    },
    find: (name, signal) => networkPass(name, { signal }),
    release,
    forget() {
      loaded = null;
    },
  };
}

async function loadNetwork(
  listing: ModelListing,
  sources: UpscalersOptions['sources'],
  runtime: Runtime,
  signal: AbortSignal | undefined,
): Promise<LoadedNetwork> {
  const { components } = await openUpscaler(sources.open(listing), { signal });
  const sink = new BlobSink();
  const { provider, hasShaderF16 } = runtime.device;
  const precision = provider === 'webgpu' && hasShaderF16 ? 'fp16' : 'fp32';
  const [compiled] = await compileComponents(components, {
    ...{ precision, sink },
    ...(signal ? { signal } : {}),
  });
  if (!compiled) throw new TypeError('an upscaler has one component');
  const config = compiled.config as unknown as RrdbnetConfig;
  const shards = sink.blobs();
  const sessions = new Map<string, Promise<ModelSession>>();
  const session = (height: number, width: number): Promise<ModelSession> => {
    const key = `${height}x${width}`;
    const known = sessions.get(key);
    if (known) return known;
    const shape = { batch: 1, latentHeight: height, latentWidth: width, tokens: 1 };
    const graph = buildGraph(compiled, shape, { provider });
    const opening = runtime.openSession(graph, { what: `The upscaler ${listing.name}`, shards });
    sessions.set(key, opening);
    opening.catch(() => sessions.delete(key));
    return opening;
  };
  const releaseAll = async (): Promise<void> => {
    const open = [...sessions.values()];
    sessions.clear();
    for (const pending of open) await (await pending.catch(() => null))?.release();
  };
  const network: UpscalerNetwork = {
    scale: upscalerScale(config),
    multiple: config.unshuffle,
    async run(image, height, width) {
      // One size at a time: tiles have the same, and a picture of another size needs the memory.
      if (!sessions.has(`${height}x${width}`)) await releaseAll();
      const { upscaled } = await (await session(height, width)).run({
        image: runtime.tensor(image, [1, 3, height, width]),
      });
      const values = await upscaled?.read();
      upscaled?.dispose();
      if (values instanceof Float32Array) return values;
      throw new TypeError('an upscaler gives float32');
    },
  };
  return { identity: sourceIdentity(listing), runtime, network, release: releaseAll };
}

function checkSize(width: number, height: number): void {
  if (width * height <= MAX_PIXELS) return;
  throw new GenerationError(
    'invalid-request',
    `The picture would become ${Math.round(width)}×${Math.round(height)}; at most 67 megapixels are made. Choose a smaller factor.`,
  );
}
