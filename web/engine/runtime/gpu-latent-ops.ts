import {
  buildBlendGraph,
  buildCombineGraph,
  buildGuidanceGraph,
  buildPrepareGraph,
  type LatentShape,
} from '../../compiler/step-graphs.ts';
import type { BatchChannels } from '../diffusion-model.ts';
import type { LatentMath } from '../sampling/latent-math.ts';
import type { LatentOps } from './latent-ops.ts';
import type { ModelSession, Runtime } from './runtime.ts';
import { SessionCache } from './session-cache.ts';
import type { DeviceTensor } from './tensor.ts';

/** The tiny graphs that do a sampler's sums on the GPU; made once for a shape and kept with the runtime. */
export class StepGraphs {
  readonly #runtime: Runtime;
  // Without weights: the budget counts sessions.
  readonly #sessions = new SessionCache(64);

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  get(key: string, build: () => Uint8Array): Promise<ModelSession> {
    return this.#sessions.get(key, 1, () =>
      this.#runtime.openSession(
        { onnx: build(), shardPaths: [] },
        { what: `The sampler's step graph ${key}`, keepOnGpu: true },
      ),
    );
  }
}

/** Latents in GPU buffers: no value comes back to JavaScript while sampling, only scalars go there. */
export function createGpuLatentOps(
  runtime: Runtime,
  graphs: StepGraphs,
  { pictures, channels, height, width, inpaintChannels = null }: BatchChannels,
): LatentOps<DeviceTensor> {
  const shape: LatentShape = [pictures, channels, height, width];
  const made = new Set<DeviceTensor>();
  // Uploaded once and kept to the end, unlike what a sampler makes.
  const kept = new Set<DeviceTensor>();
  const extraChannels = (inpaintChannels?.length ?? 0) / (pictures * height * width);
  let extra: DeviceTensor | null = null;

  async function run(
    key: string,
    build: () => Uint8Array,
    feeds: Record<string, DeviceTensor>,
    output: string,
  ): Promise<DeviceTensor> {
    const session = await graphs.get(`${key} ${shape.join('×')}`, build);
    const result = (await session.run(feeds))[output];
    if (!result) throw new TypeError(`the step graph ${key} has no output ${output}`);
    return result;
  }

  function own(tensor: DeviceTensor): DeviceTensor {
    made.add(tensor);
    return tensor;
  }

  function keep(values: Float32Array, channelCount: number): DeviceTensor {
    const tensor = runtime.upload(values, [pictures, channelCount, height, width]);
    kept.add(tensor);
    return tensor;
  }

  const math: LatentMath<DeviceTensor> = {
    async combine(terms) {
      const count = terms.length;
      const feeds: Record<string, DeviceTensor> = {
        coefficients: runtime.tensor(
          Float32Array.from(terms, ([coefficient]) => coefficient),
          [count],
        ),
      };
      for (const [place, [, latents]] of terms.entries()) feeds[`x${place}`] = latents;
      const build = () => buildCombineGraph({ shape, terms: count });
      return own(await run(`combine ${count}`, build, feeds, 'out'));
    },
    fromArray: (values) => own(runtime.upload(values, shape)),
    async toArray(latents) {
      const values = await latents.read();
      if (values instanceof Float32Array) return values;
      throw new TypeError('latents are float32');
    },
    keepOnly(live) {
      for (const tensor of made) {
        if (live.includes(tensor)) continue;
        made.delete(tensor);
        tensor.dispose();
      }
    },
  };

  return {
    math,
    prepare(x, scale, copies, isBare = false) {
      const feeds = { x, scale: runtime.tensor(Float32Array.of(scale), [1]) };
      if (inpaintChannels === null || isBare) {
        const plain = () => buildPrepareGraph({ shape, copies });
        return run(`prepare ${copies}`, plain, feeds, 'sample');
      }
      const build = () => buildPrepareGraph({ shape, copies, extraChannels });
      extra ??= keep(inpaintChannels, extraChannels);
      const key = `prepare ${copies} with ${extraChannels}`;
      return run(key, build, { ...feeds, extra }, 'sample');
    },
    createBlend(share, known) {
      const feeds = { share: keep(share, channels), known: keep(known, channels) };
      const build = () => buildBlendGraph({ shape });
      return async (x) => own(await run('blend', build, { x, ...feeds }, 'out'));
    },
    async mix(x, answer, coefficients, copies) {
      const feeds = {
        x,
        out_sample: answer,
        coefficients: runtime.tensor(Float32Array.from(coefficients), [1 + copies]),
      };
      const build = () => buildGuidanceGraph({ shape, copies });
      return own(await run(`guidance ${copies}`, build, feeds, 'denoised'));
    },
    picture: async (latents, index) => runtime.sliceBatch(latents, index),
    dispose() {
      math.keepOnly([]);
      for (const tensor of kept) tensor.dispose();
      kept.clear();
    },
  };
}
