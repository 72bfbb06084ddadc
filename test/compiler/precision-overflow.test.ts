import { describe, expect, it } from 'vitest';
import { buildGraph } from '../../web/compiler/build-graph.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { Precision } from '../../web/compiler/model.ts';
import { decodeModel } from '../../web/compiler/onnx/decode.ts';
import { encodeModel } from '../../web/compiler/onnx/encode.ts';
import { component, f32, MemorySink, maxDifference, runComponent, runOnnx } from './lib/runtime.ts';
import type { TensorBytes } from './lib/safetensors-bytes.ts';
import { type SyntheticOptions, syntheticFolder } from './lib/synthetic.ts';

/** Models whose activations leave the range of float16, as those of SDXL's VAE do. */

const LARGEST_HALF = 65504;
const SHAPE = { batch: 1, latentHeight: 4, latentWidth: 4, tokens: 4 };

function scaled(tensors: Record<string, TensorBytes>, pattern: RegExp, factor: number): void {
  const names = Object.keys(tensors).filter((name) => pattern.test(name));
  expect(names).not.toEqual([]);
  for (const name of names) {
    const tensor = tensors[name]!;
    const values = new Float32Array(Uint8Array.from(tensor.bytes).buffer);
    const bytes = new Uint8Array(values.map((value) => value * factor).buffer);
    tensors[name] = { ...tensor, bytes };
  }
}

async function compile(precision: Precision, options: SyntheticOptions) {
  const sink = new MemorySink();
  const checkpoint = await openCheckpoint(syntheticFolder(options));
  const activations = precision === 'fp32' ? 'float32' : 'float16';
  return { sink, model: await compileCheckpoint(checkpoint, { precision, activations, sink }) };
}

function wave(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => Math.sin(index * 1.7 + 0.3));
}

const latents = f32(wave(16 * 16), [1, 16, 4, 4]);
const magnitude = (values: Float32Array) => Math.max(...values.map(Math.abs));

describe('a VAE beyond the range of float16', () => {
  const options: SyntheticOptions = {
    tensors: { vae: (own) => scaled(own, /^decoder\.conv_in\./, 1e6) },
  };

  it('has activations that float16 cannot hold', async () => {
    const { model, sink } = await compile('fp32', options);
    const graph = buildGraph(component(model, 'vae_decoder'), SHAPE);
    const onnx = decodeModel(graph.onnx);
    const first = onnx.nodes.find(({ name }) => name.startsWith('decoder.conv_in'))!.outputs[0]!;
    const outputs = [{ name: first, dtype: 'float32', shape: [1, 6, 4, 4] } as const];
    const data = sink.bytes('vae_decoder');
    const external = graph.shardPaths.map((path, index) => ({ path, data: data[index]! }));
    const result = await runOnnx(encodeModel({ ...onnx, outputs }), { latents }, external);
    expect(magnitude(result[first]!.data)).toBeGreaterThan(LARGEST_HALF);
  });

  it.each(['fp16', 'q8', 'q4'] as const)('is decoded at %s as at fp32', async (precision) => {
    const decode = async (wanted: Precision) => {
      const { model, sink } = await compile(wanted, options);
      const decoder = component(model, 'vae_decoder');
      return (await runComponent(decoder, sink, SHAPE, { latents })).image!.data;
    };
    const image = await decode(precision);
    expect(image.every(Number.isFinite)).toBe(true);
    expect(maxDifference(image, await decode('fp32'))).toBe(0);
  });
});

describe('a UNet whose squares leave the range of float16', () => {
  const feeds = {
    sample: latents,
    timestep: f32([500], [1]),
    // All tokens alike: every score is the same, however large, and the softmax is flat.
    encoder_hidden_states: f32(
      wave(16 * 4).map((_, index) => Math.sin(index % 16)),
      [1, 4, 16],
    ),
  };

  async function predict(precision: Precision, options: SyntheticOptions) {
    const { model, sink } = await compile(precision, options);
    const result = await runComponent(component(model, 'unet'), sink, SHAPE, feeds);
    return { unet: component(model, 'unet'), noise: result.out_sample!.data };
  }

  it.each([
    ['group norms of activations near 2000', /^conv_in\./, 2000],
    ['attention scores of a million', /attn2\.to_[qk]\./, 1000],
  ])('%s stay finite and close', async (_, pattern, factor) => {
    const options: SyntheticOptions = {
      configs: { 'unet/config.json': { upcast_attention: true } },
      tensors: { unet: (own) => scaled(own, pattern, factor) },
    };
    const { noise: exact } = await predict('fp32', options);
    for (const precision of ['fp16', 'q8'] as const) {
      const { noise } = await predict(precision, options);
      expect(noise.every(Number.isFinite)).toBe(true);
      // Within 1e-2 of the largest value.
      expect(maxDifference(noise, exact) / magnitude(exact)).toBeLessThan(1e-2);
    }
  });

  it('computes statistics, and scores where the model asks for it, in float32', async () => {
    const options = { configs: { 'unet/config.json': { upcast_attention: true } } };
    const { model } = await compile('fp16', options);
    const graph = buildGraph(component(model, 'unet'), SHAPE, { provider: 'webgpu' });
    const { nodes, initializers } = decodeModel(graph.onnx);
    const dtypes = new Map(initializers.map(({ name, dtype }) => [name, dtype]));
    const makers = new Map(nodes.map((node) => [node.outputs[0]!, node]));
    const norms = nodes.filter(({ opType }) => opType === 'InstanceNormalization');
    expect(norms.length).toBeGreaterThan(10);
    for (const { inputs } of norms) expect(dtypes.get(inputs[1]!)).toBe('float32');
    const attentions = nodes.filter(({ opType }) => opType === 'MultiHeadAttention');
    expect(attentions.length).toBeGreaterThan(4);
    for (const { inputs } of attentions) {
      for (const input of inputs.slice(0, 3)) {
        expect(makers.get(input)).toMatchObject({ opType: 'Cast', attributes: { to: { int: 1 } } });
      }
    }
  });
});
