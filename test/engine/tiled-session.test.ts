import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildGraph } from '../../web/compiler/build-graph.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { CompiledComponent, ComponentName } from '../../web/compiler/model.ts';
import type { ModelSession, Runtime } from '../../web/engine/runtime/runtime.ts';
import { createTiledSession } from '../../web/engine/tiled-session.ts';
import { MemorySink } from '../compiler/lib/runtime.ts';
import { nodeRuntime } from '../fakes/engine-access.ts';
import { folderFiles } from '../fakes/file-source.ts';

/**
 * The fixture's weights are random, which makes group norms of small tiles as unlike the whole's as can
 * be: 0.11 to 0.13 of a value's mean size was measured. A tile in the wrong place is off by more than 1.
 */
const MODEL = fileURLToPath(new URL('../fixtures/models/sd15-tiny', import.meta.url));
const FACTOR = 8;

let runtime: Runtime;
let components: readonly CompiledComponent[];
const sink = new MemorySink();

beforeAll(async () => {
  runtime = nodeRuntime();
  const checkpoint = await openCheckpoint(folderFiles(MODEL, 'sd15-tiny'));
  const names: ComponentName[] = ['vae_encoder', 'vae_decoder'];
  const compiled = await compileCheckpoint(checkpoint, {
    precision: 'fp32',
    sink,
    components: names,
  });
  components = compiled.components;
});

function open(name: ComponentName, height: number, width: number): Promise<ModelSession> {
  const part = components.find((each) => each.name === name)!;
  const shape = { batch: 1, latentHeight: height, latentWidth: width, tokens: 0 };
  const shards = sink.bytes(name).map((bytes) => new Blob([bytes as BlobPart]));
  return runtime.openSession(buildGraph(part, shape, { provider: 'wasm' }), { what: name, shards });
}

async function run(session: ModelSession, name: string, values: Float32Array, shape: number[]) {
  const outputs = await session.run({ [name]: runtime.tensor(values, shape) });
  const [tensor] = Object.values(outputs);
  return { values: (await tensor!.read()) as Float32Array, shape: tensor!.shape };
}

/** Noise: statistics are the same in every tile, so the group norms of tiles and whole agree. */
function noise(channels: number, height: number, width: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: channels * height * width }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 2 - 1;
  });
}

/** Mean of |a - b| over all pixels, and of the steps between neighbouring columns of `values`. */
const meanOff = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;

function columnSteps(values: Float32Array, height: number, width: number): number[] {
  const steps = new Array<number>(width - 1).fill(0);
  for (let row = 0; row < 3 * height; row++) {
    for (let x = 1; x < width; x++) {
      steps[x - 1]! +=
        Math.abs(values[row * width + x]! - values[row * width + x - 1]!) / (3 * height);
    }
  }
  return steps;
}

describe('a VAE in tiles', () => {
  const [height, width] = [24, 40];

  test('decodes to nearly the picture of the whole, without seams', async () => {
    const latents = noise(4, height, width);
    const shape = [1, 4, height, width];
    const whole = await run(await open('vae_decoder', height, width), 'latents', latents, shape);
    const opened: string[] = [];
    const tiled = createTiledSession({
      ...{
        runtime,
        input: 'latents',
        output: 'image',
        inputScale: 1,
        outputScale: FACTOR,
        tile: 16,
      },
      open(part) {
        opened.push(`${part.height}×${part.width}`);
        return open('vae_decoder', part.height, part.width);
      },
    });
    const found = await run(tiled, 'latents', latents, shape);
    expect(found.shape).toEqual(whole.shape);
    expect(opened).toEqual(['16×16']);
    const spread = meanOff(whole.values, new Float32Array(whole.values.length));
    expect(meanOff(found.values, whole.values)).toBeLessThan(0.2 * spread);
    // Nowhere a step between columns that the whole picture has not.
    const [ours, theirs] = [found, whole].map(({ values }) =>
      columnSteps(values, height * FACTOR, width * FACTOR),
    );
    for (const [x, step] of ours!.entries()) {
      expect(step).toBeLessThan(theirs![x]! + 0.5 * Math.max(...theirs!));
    }
  });

  test('encodes to nearly the latents of the whole', async () => {
    const picture = noise(3, height * FACTOR, width * FACTOR).map((value) => value / 2);
    const shape = [1, 3, height * FACTOR, width * FACTOR];
    const whole = await run(await open('vae_encoder', height, width), 'sample', picture, shape);
    const tiled = createTiledSession({
      ...{ runtime, input: 'sample', output: 'latent_mean', tile: 16 },
      ...{ inputScale: FACTOR, outputScale: 1 },
      open: (part) => open('vae_encoder', part.height, part.width),
    });
    const found = await run(tiled, 'sample', picture, shape);
    expect(found.shape).toEqual([1, 4, height, width]);
    const spread = meanOff(whole.values, new Float32Array(whole.values.length));
    expect(meanOff(found.values, whole.values)).toBeLessThan(0.2 * spread);
  });

  test('of one tile gives the whole picture exactly', async () => {
    const latents = noise(4, 8, 8);
    const session = await open('vae_decoder', 8, 8);
    const whole = await run(session, 'latents', latents, [1, 4, 8, 8]);
    const tiled = createTiledSession({
      ...{
        runtime,
        input: 'latents',
        output: 'image',
        inputScale: 1,
        outputScale: FACTOR,
        tile: 16,
      },
      open: async () => session,
    });
    expect((await run(tiled, 'latents', latents, [1, 4, 8, 8])).values).toEqual(whole.values);
  });
});
