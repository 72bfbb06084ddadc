import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildGraph } from '../../web/compiler/build-graph.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { CompiledModel, ComponentName } from '../../web/compiler/model.ts';
import { decodeModel } from '../../web/compiler/onnx/decode.ts';
import type { OnnxModel } from '../../web/compiler/onnx/model.ts';
import { folderFiles, MODELS } from './lib/files.ts';
import { readReferences } from './lib/references.ts';
import { runningNodes } from './lib/running-nodes.ts';
import { component, f32, i32, MemorySink, maxDifference, runComponent } from './lib/runtime.ts';

/**
 * Operators that the native WebGPU provider has kernels for in opset 17, by its kernel registry. One that
 * is missing would make the session fail, or run on the CPU with copies to and fro.
 */
const WEBGPU_OPERATORS = new Set(
  `Abs Add BatchNormalization Cast Clip Concat Conv Equal Exp Floor Gather Gemm InstanceNormalization
  LayerNormalization MatMul Mul Pad ReduceMax Reshape Resize Slice Split Sub Transpose
  com.microsoft.BiasSplitGelu com.microsoft.Gelu com.microsoft.MultiHeadAttention
  com.microsoft.QuickGelu com.microsoft.SkipLayerNormalization`.split(/\s+/),
);
const NAMES: readonly ComponentName[] = ['text_encoder', 'unet', 'vae_encoder', 'vae_decoder'];
const SHAPE = { batch: 2, tokens: 77, latentHeight: 16, latentWidth: 16 };

const models = new Map<'fp32' | 'fp16', { model: CompiledModel; sink: MemorySink }>();
const references = await readReferences('sd15-tiny');

beforeAll(async () => {
  const checkpoint = await openCheckpoint(await folderFiles(join(MODELS, 'sd15-tiny')));
  for (const precision of ['fp32', 'fp16'] as const) {
    const sink = new MemorySink();
    models.set(precision, {
      model: await compileCheckpoint(checkpoint, { precision, sink }),
      sink,
    });
  }
});

function graph(
  name: ComponentName,
  options = {},
  precision: 'fp32' | 'fp16' = 'fp32',
  shape = SHAPE,
): OnnxModel {
  const compiled = component(models.get(precision)!.model, name);
  return decodeModel(buildGraph(compiled, shape, options).onnx);
}

describe('graphs for WebGPU', () => {
  it.each(NAMES)('%s uses only operators that its provider has', (name) => {
    for (const precision of ['fp32', 'fp16'] as const) {
      const { nodes, opsets } = graph(name, { provider: 'webgpu', pooled: true }, precision);
      expect(opsets['']).toBe(17);
      const used = nodes.map(({ domain, opType }) => (domain ? `${domain}.${opType}` : opType));
      expect([...new Set(used)].filter((op) => !WEBGPU_OPERATORS.has(op))).toEqual([]);
    }
  });

  it('give every InstanceNormalization the same epsilon, in all graphs of a model', () => {
    // The provider keeps shaders by a key without it, so a second epsilon would not count.
    const epsilons = NAMES.flatMap((name) =>
      graph(name, { provider: 'webgpu' })
        .nodes.filter(({ opType }) => opType === 'InstanceNormalization')
        .map(({ attributes }) => attributes.epsilon),
    );
    expect(epsilons.length).toBeGreaterThan(100);
    expect(new Set(epsilons.map((epsilon) => JSON.stringify(epsilon))).size).toBe(1);
  });

  it('keep float64 and unknown sizes out', () => {
    for (const name of NAMES) {
      const { nodes, inputs, outputs } = graph(name, { provider: 'webgpu' });
      expect(nodes.some(({ opType }) => opType === 'Shape')).toBe(false);
      for (const { shape } of [...inputs, ...outputs]) {
        expect(shape.every((size) => size > 0)).toBe(true);
      }
    }
  });
});

describe('graphs in float16', () => {
  it('are float32 at the boundary, and norms compute in float32', () => {
    for (const name of NAMES) {
      const { inputs, outputs, initializers } = graph(name, { pooled: true }, 'fp16');
      const types = new Set([...inputs, ...outputs].map(({ dtype }) => dtype));
      types.delete('int32');
      expect([...types]).toEqual(['float32']);
      const norms = initializers.filter(({ name: weight }) => /group_norm|conv_norm/.test(weight));
      expect(norms.every(({ dtype }) => dtype === 'float32')).toBe(true);
    }
  });

  it('run: the text encoder and the UNet stay near the reference', async () => {
    const { model, sink } = models.get('fp16')!;
    const ids = references.tensor('text.ids');
    const text = await runComponent(
      component(model, 'text_encoder'),
      sink,
      { ...SHAPE, batch: 4 },
      { input_ids: i32(ids.data, ids.shape) },
    );
    const states = references.tensor('text.last_hidden_state').data;
    expect(maxDifference(text.hidden_states!.data, states)).toBeLessThan(0.02);

    const feed = (name: string) => {
      const { data, shape } = references.tensor(name);
      return f32(data, shape);
    };
    const unet = await runComponent(component(model, 'unet'), sink, SHAPE, {
      sample: feed('unet.sample.2x16x16'),
      timestep: feed('unet.tmixed.timestep'),
      encoder_hidden_states: feed('unet.context.2x77'),
    });
    const expected = references.tensor('unet.tmixed.out').data;
    const largest = Math.max(...expected.map(Math.abs));
    // Within 1e-2 of the largest value; and not equal, or float32 was run.
    expect(maxDifference(unet.out_sample!.data, expected) / largest).toBeLessThan(1e-2);
    expect(maxDifference(unet.out_sample!.data, expected)).toBeGreaterThan(1e-5);
  });
});

describe('the graph builder as a service', () => {
  it('stays small', () => {
    const limits = { text_encoder: 60, unet: 925, vae_encoder: 165, vae_decoder: 225 } as const;
    for (const [name, limit] of Object.entries(limits)) {
      expect(runningNodes(graph(name as ComponentName)).length).toBeLessThanOrEqual(limit);
    }
    const guided = graph('unet', { provider: 'webgpu', texts: 2 });
    expect(runningNodes(guided).length).toBeLessThanOrEqual(870);
  });

  it('convolves a doubled picture in four phases where it gains: in float32, on wasm, without tiling', () => {
    const count = (
      opType: string,
      options = {},
      precision: 'fp32' | 'fp16' = 'fp32',
      shape = SHAPE,
    ) =>
      graph('unet', options, precision, shape).nodes.filter((node) => node.opType === opType)
        .length;
    const doublings = count('Resize', { provider: 'webgpu' });
    expect(doublings).toBeGreaterThan(0);
    expect([count('Resize'), count('DepthToSpace')]).toEqual([0, doublings]);
    expect(count('DepthToSpace', { isTiling: true })).toBe(0);
    expect(count('DepthToSpace', {}, 'fp16')).toBe(0);
    // 10 rows of latents are halved to 5 and 3: 3 are not doubled to 5.
    expect(count('Resize', {}, 'fp32', { ...SHAPE, latentHeight: 10 })).toBeGreaterThan(0);
  });

  it('names the shards that its external data lies in', () => {
    const compiled = component(models.get('fp32')!.model, 'unet');
    const { onnx, shardPaths } = buildGraph(compiled, SHAPE);
    expect(shardPaths).toEqual(['unet.0.weights']);
    const external = decodeModel(onnx).initializers.flatMap(({ data }) =>
      data.type === 'external' ? [data.location] : [],
    );
    expect(external).toHaveLength(Object.keys(compiled.weights).length);
    expect(new Set(external)).toEqual(new Set(shardPaths));
  });

  it('refuses sizes and clip skips that make no sense', () => {
    const { model } = models.get('fp32')!;
    const build =
      (name: ComponentName, shape: object, options = {}) =>
      () =>
        buildGraph(component(model, name), { ...SHAPE, ...shape }, options);
    expect(build('unet', { latentWidth: 0 })).toThrow(/latentWidth/);
    expect(build('unet', { batch: 1.5 })).toThrow(/batch/);
    expect(build('text_encoder', { tokens: 78 })).toThrow(/77 tokens/);
    expect(build('text_encoder', {}, { clipSkip: 6 })).toThrow(/from 1 to 5/);
    expect(build('text_encoder', {}, { clipSkip: 0 })).toThrow(/Clip skip/);
    expect(build('text_encoder', {}, { clipSkip: 5 })).not.toThrow();
  });

  it('refuses a compiled component that another version made', () => {
    const compiled = component(models.get('fp32')!.model, 'unet');
    const { 'conv_in.bias': _, ...weights } = compiled.weights;
    expect(() => buildGraph({ ...compiled, weights }, SHAPE)).toThrow(/"conv_in.bias" \[32\]/);
    expect(() => buildGraph({ ...compiled, config: { type: 'dit' } }, SHAPE)).toThrow(
      /another version/,
    );
  });
});
