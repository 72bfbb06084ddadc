import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildGraph } from '../../web/compiler/build-graph.ts';
import { type Checkpoint, openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { TargetDtype } from '../../web/compiler/convert.ts';
import type { CompiledModel, Precision } from '../../web/compiler/model.ts';
import { decodeModel } from '../../web/compiler/onnx/decode.ts';
import { BLOCK_SIZE, blockBytes, quantizeBlocks } from '../../web/compiler/quantize.ts';
import { folderFiles, MODELS } from './lib/files.ts';
import { readReferences } from './lib/references.ts';
import { component, f32, i32, MemorySink, maxDifference, runComponent } from './lib/runtime.ts';

const SHAPE = { batch: 2, tokens: 77, latentHeight: 16, latentWidth: 16 };
const references = await readReferences('sd15-tiny');
let checkpoint: Checkpoint;

beforeAll(async () => {
  checkpoint = await openCheckpoint(await folderFiles(join(MODELS, 'sd15-tiny')));
});

/** Sums of 12 uniform numbers are close to a normal distribution, as trained weights are. */
function normals(count: number): Float32Array {
  let seed = 1;
  const next = () => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return seed / 0x7fffffff;
  };
  return Float32Array.from({ length: count }, () => {
    let sum = -6;
    for (let index = 0; index < 12; index++) sum += next();
    return sum * 0.05;
  });
}

/** What MatMulNBits makes of the codes again. */
function restore({ packed, scales }: ReturnType<typeof quantizeBlocks>, bits: 4 | 8): Float32Array {
  const perBlock = blockBytes(bits);
  return Float32Array.from({ length: scales.length * BLOCK_SIZE }, (_, index) => {
    const block = Math.floor(index / BLOCK_SIZE);
    const within = index % BLOCK_SIZE;
    const byte = packed[block * perBlock + (bits === 8 ? within : within >> 1)]!;
    const code = bits === 8 ? byte : within % 2 === 0 ? byte & 15 : byte >> 4;
    return (code - 2 ** (bits - 1)) * scales[block]!;
  });
}

function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [error, power] = [0, 0];
  for (let index = 0; index < expected.length; index++) {
    error += (found[index]! - expected[index]!) ** 2;
    power += expected[index]! ** 2;
  }
  return Math.sqrt(error / power);
}

describe('codes of a linear layer', () => {
  it.each([
    [8, 0.006],
    [4, 0.085],
  ] as const)('of %i bits are within %f of normal weights', (bits, limit) => {
    const weights = normals(64 * BLOCK_SIZE);
    const error = relativeError(restore(quantizeBlocks(weights, bits), bits), weights);
    expect(error).toBeLessThan(limit);
    expect(error).toBeGreaterThan(limit / 2);
  });

  it.each([4, 8] as const)('of %i bits hold zeros, one-sided and tiny blocks', (bits) => {
    const weights = new Float32Array(4 * BLOCK_SIZE);
    weights.fill(0.25, BLOCK_SIZE, 2 * BLOCK_SIZE);
    weights.fill(-3, 2 * BLOCK_SIZE, 3 * BLOCK_SIZE);
    weights.fill(1e-12, 3 * BLOCK_SIZE);
    const restored = restore(quantizeBlocks(weights, bits), bits);
    expect(maxDifference(restored, weights)).toBeLessThan(2e-3);
    expect([...restored.subarray(0, BLOCK_SIZE)]).toEqual(Array(BLOCK_SIZE).fill(0));
  });

  it('are made of whole blocks', () => {
    expect(() => quantizeBlocks(new Float32Array(33), 8)).toThrow(RangeError);
  });
});

const compiled = new Map<string, Promise<{ model: CompiledModel; sink: MemorySink }>>();

function compile(precision: Precision, activations: TargetDtype = 'float32') {
  const key = `${precision} ${activations}`;
  const known = compiled.get(key);
  if (known) return known;
  const sink = new MemorySink();
  const made = compileCheckpoint(checkpoint, { precision, activations, sink }).then((model) => ({
    model,
    sink,
  }));
  compiled.set(key, made);
  return made;
}

const feed = (name: string) => {
  const { data, shape } = references.tensor(name);
  return f32(data, shape);
};

async function runUnet(precision: Precision, activations: TargetDtype = 'float32') {
  const { model, sink } = await compile(precision, activations);
  const { out_sample } = await runComponent(component(model, 'unet'), sink, SHAPE, {
    sample: feed('unet.sample.2x16x16'),
    timestep: feed('unet.tmixed.timestep'),
    encoder_hidden_states: feed('unet.context.2x77'),
  });
  return relativeError(out_sample!.data, references.tensor('unet.tmixed.out').data);
}

describe('weight-only precisions', () => {
  it.each([
    ['q8', 'float32', 0.01],
    ['q8', 'float16', 0.01],
    ['q4', 'float32', 0.2],
    ['q4', 'float16', 0.2],
  ] as const)('%s with %s activations stays within %f', async (precision, activations, limit) => {
    const error = await runUnet(precision, activations);
    expect(error).toBeLessThan(limit);
    // Coarser than float32 is: the codes were used.
    expect(error).toBeGreaterThan(limit / 100);
  });

  it.each(['q8', 'q4'] as const)('%s: the text encoder stays near the reference', async (q) => {
    const { model, sink } = await compile(q);
    const ids = references.tensor('text.ids');
    const text = await runComponent(
      component(model, 'text_encoder'),
      sink,
      { ...SHAPE, batch: 4 },
      { input_ids: i32(ids.data, ids.shape) },
    );
    const states = references.tensor('text.last_hidden_state').data;
    expect(relativeError(text.hidden_states!.data, states)).toBeLessThan(q === 'q8' ? 0.01 : 0.2);
  });

  it.each([
    ['q8', 8],
    ['q4', 4],
  ] as const)('%s stores large matrices as codes and the rest as asked', async (q, bits) => {
    const { model } = await compile(q, 'float16');
    const { weights } = component(model, 'unet');
    const prefix = 'down_blocks.0.attentions.0.transformer_blocks.0';
    expect(weights[`${prefix}.ff.net.0.proj.weight`]).toMatchObject({
      dtype: 'uint8',
      shape: [256, 1, blockBytes(bits)],
    });
    expect(weights[`${prefix}.ff.net.0.proj.weight.scales`]).toMatchObject({
      dtype: 'float16',
      shape: [256],
    });
    expect(weights['conv_in.weight']!.dtype).toBe('float16');
    expect(weights['conv_norm_out.weight']!.dtype).toBe('float32');
    expect(component(model, 'vae_decoder').precision).toBe('fp32');
    const halves = component((await compile('fp16')).model, 'unet');
    const bytes = (part: typeof halves) => part.shardSizes.reduce((sum, size) => sum + size, 0);
    expect(bytes(component(model, 'unet'))).toBeLessThan(bytes(halves));
  });

  it('run MatMulNBits for exactly the weights that are codes', async () => {
    const unet = component((await compile('q4')).model, 'unet');
    const { nodes } = decodeModel(buildGraph(unet, SHAPE, { provider: 'webgpu' }).onnx);
    const used = nodes.filter(({ opType }) => opType === 'MatMulNBits').map((n) => n.inputs[1]!);
    const codes = Object.keys(unet.weights).filter((name) => unet.weights[name]!.dtype === 'uint8');
    expect(codes.length).toBeGreaterThan(20);
    expect(used.sort()).toEqual(codes.sort());
  });
});

describe('a token table larger than a binding', () => {
  it.each(['fp32', 'fp16', 'q8'] as const)('gives the same states in pieces (%s)', async (p) => {
    const { model, sink } = await compile(p);
    const text = component(model, 'text_encoder');
    const ids = references.tensor('text.ids');
    const run = (maxBindingBytes: number) =>
      runComponent(
        text,
        sink,
        { ...SHAPE, batch: 4 },
        { input_ids: i32(ids.data, ids.shape) },
        { maxBindingBytes },
      );
    const table = text.weights['text_model.embeddings.token_embedding.weight']!;
    const whole = (await run(table.sizeBytes)).hidden_states!.data;
    for (const parts of [2, 3, 7.5]) {
      const pieces = (await run(Math.ceil(table.sizeBytes / parts))).hidden_states!.data;
      expect(maxDifference(pieces, whole)).toBe(0);
    }
  });

  it('has no initializer above the limit', async () => {
    const text = component((await compile('fp32')).model, 'text_encoder');
    const table = text.weights['text_model.embeddings.token_embedding.weight']!;
    const maxBindingBytes = Math.floor(table.sizeBytes / 3);
    const { initializers } = decodeModel(buildGraph(text, SHAPE, { maxBindingBytes }).onnx);
    const pieces = initializers.filter(({ name }) => name.includes('token_embedding'));
    expect(pieces).toHaveLength(4);
    const sizes = pieces.map(({ data }) => (data.type === 'external' ? data.sizeBytes : 0));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(maxBindingBytes);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(table.sizeBytes);
  });
});
