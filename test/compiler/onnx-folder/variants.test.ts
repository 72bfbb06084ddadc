import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../../web/compiler/checkpoint.ts';
import { FLOAT32, FLOAT64 } from '../../../web/compiler/onnx-folder/element-types.ts';
import type { OnnxFile, Tensor } from '../../../web/compiler/onnx-folder/graph.ts';
import { makeNode } from '../../../web/compiler/onnx-folder/graph.ts';
import { narrowBytes } from '../../../web/compiler/onnx-folder/repair.ts';
import { onnxFolder, toModel, watched } from '../lib/onnx-folder.ts';
import { type CompiledFolder, compileFolder } from '../lib/onnx-runs.ts';
import { component, f32, i32, maxDifference } from '../lib/runtime.ts';

/** The ways in which exporters differ, each against the ordinary export of the same weights. */

const IDS = Array.from({ length: 77 }, (_, i) => (i === 0 ? 49406 : i < 9 ? 320 + i * 71 : 49407));
const TEXT = { batch: 1, tokens: 77, latentHeight: 0, latentWidth: 0 };
const LATENTS = { batch: 1, tokens: 77, latentHeight: 16, latentWidth: 16 };
const wave = (length: number, scale = 1) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898) * scale);

const ordinary = onnxFolder('sd15-tiny').then((files) => compileFolder(files));

function close(found: { data: Float32Array }, expected: { data: Float32Array }, most = 1e-5) {
  const largest = Math.max(...expected.data.map(Math.abs));
  expect(maxDifference(found.data, expected.data)).toBeLessThanOrEqual(most * largest);
}

async function encode(folder: CompiledFolder, options = {}) {
  const { hidden_states } = await folder.run(
    'text_encoder',
    TEXT,
    { input_ids: i32(IDS, [1, 77]) },
    options,
  );
  return hidden_states!;
}

async function predict(folder: CompiledFolder, time: number) {
  const { out_sample } = await folder.run('unet', LATENTS, {
    sample: f32(wave(1024), [1, 4, 16, 16]),
    timestep: f32([time], [1]),
    encoder_hidden_states: f32(wave(77 * 32), [1, 77, 32]),
  });
  return out_sample!;
}

async function decode(folder: CompiledFolder) {
  const feeds = { latents: f32(wave(256, 2), [1, 4, 8, 8]) };
  const size = { ...LATENTS, latentHeight: 8, latentWidth: 8 };
  return (await folder.run('vae_decoder', size, feeds)).image!;
}

function changed(name: string, change: (model: OnnxFile) => OnnxFile) {
  return onnxFolder('sd15-tiny', {
    change: (part, model) => (part === name ? change(model) : model),
  });
}

describe('text encoders', () => {
  it('without hidden states say that clip skip has no effect, and work without it', async () => {
    const files = await onnxFolder('sd15-tiny', {
      variants: { text_encoder: 'plain-text-encoder' },
    });
    const folder = await compileFolder(files);
    const { notes, textEncoders } = folder.compiled.description;
    expect(notes).toEqual([expect.stringMatching(/^Clip skip has no effect with this checkpoint/)]);
    expect(textEncoders[0]).toMatchObject({ layers: 5, states: { followsClipSkip: false } });
    close(await encode(folder), await encode(await ordinary));
  });

  it('take the vectors of a textual inversion in the place of tokens', async () => {
    const rows = new Float32Array(77 * 32);
    const mask = new Float32Array(77);
    rows.set(wave(64, 0.5), 3 * 32);
    mask.fill(1, 3, 5);
    const feeds = {
      input_ids: i32(IDS, [1, 77]),
      overrides: f32(rows, [1, 77, 32]),
      override_mask: f32(mask, [1, 77, 1]),
    };
    const run = async (folder: CompiledFolder) =>
      (await folder.run('text_encoder', TEXT, feeds, { overrides: true })).hidden_states!;
    const plain = await compileFolder(
      await onnxFolder('sd15-tiny', { variants: { text_encoder: 'plain-text-encoder' } }),
    );
    const replaced = await run(await ordinary);
    close(await run(plain), replaced);
    expect(maxDifference(replaced.data, (await encode(plain)).data)).toBeGreaterThan(0.1);
  });

  it('that ask for a mask get one of ones', async () => {
    const files = await changed('text_encoder', (model) => ({
      ...model,
      graph: {
        ...model.graph,
        inputs: [...model.graph.inputs, { name: 'attention_mask', type: 7, shape: ['b', 's'] }],
        nodes: model.graph.nodes.flatMap((node) =>
          node.outputs.includes('last_hidden_state')
            ? [
                { ...node, outputs: ['unmasked'] },
                makeNode('Cast', ['attention_mask'], ['mask_f'], { to: FLOAT32 }),
                makeNode('ReduceMin', ['mask_f'], ['mask_min'], { keepdims: 0 }),
                makeNode('Mul', ['unmasked', 'mask_min'], ['last_hidden_state']),
              ]
            : [node],
        ),
      },
    }));
    close(await encode(await compileFolder(files)), await encode(await ordinary));
  });
});

describe('UNets', () => {
  it('with whole time steps are given the nearest one and say so, where the time is more than an angle', async () => {
    // Something is done with the number itself, so it must stay a whole one.
    const files = await changed('unet', (model) => ({
      ...model,
      graph: {
        ...model.graph,
        nodes: [
          makeNode('Mul', ['timestep', 'one'], ['time']),
          ...model.graph.nodes.map((node) => ({
            ...node,
            inputs: node.inputs.map((input) => (input === 'timestep' ? 'time' : input)),
          })),
        ],
        initializers: [...model.graph.initializers, int64('one', 1n)],
      },
    }));
    const folder = await compileFolder(files);
    expect(folder.compiled.description.notes).toEqual([expect.stringMatching(/whole time steps/)]);
    close(await predict(folder, 411.6), await predict(await ordinary, 412));
    expect((await ordinary).compiled.description.notes).toEqual([]);
    const between = await predict(await ordinary, 411.6);
    expect(maxDifference(between.data, (await predict(folder, 412)).data)).toBeGreaterThan(1e-4);
  });

  it('with their weights in the graph file itself are read by ranges', async () => {
    const { model, reads } = watched(toModel(await onnxFolder('sd15-tiny', { dataFiles: 0 })));
    const checkpoint = await openCheckpoint(model);
    const unet = checkpoint.components.find(({ name }) => name === 'unet')!;
    const tensors = unet.onnx!.model.graph.initializers;
    expect(tensors.filter(({ data }) => data.type === 'part').length).toBeGreaterThan(5);
    expect(reads.length).toBeLessThan(60);
    const folder = await compileFolder(await onnxFolder('sd15-tiny', { dataFiles: 0 }));
    close(await predict(folder, 77), await predict(await ordinary, 77), 0);
  });
});

describe('VAE encoders', () => {
  it('that draw the sample themselves give the mean', async () => {
    const files = await onnxFolder('sd15-tiny', {
      variants: { vae_encoder: 'sampled-vae-encoder' },
    });
    const feeds = { sample: f32(wave(3 * 64 * 64), [1, 3, 64, 64]) };
    const size = { ...LATENTS, latentHeight: 8, latentWidth: 8 };
    const run = async (folder: CompiledFolder) =>
      (await folder.run('vae_encoder', size, feeds)).latent_mean!;
    close(await run(await compileFolder(files)), await run(await ordinary));
  });
});

describe('float64', () => {
  it('is float32 when it is stored, in constants, weights and casts, and gives the same picture', async () => {
    const wide = (tensor: Tensor): Tensor =>
      tensor.type === FLOAT32 && tensor.data.type === 'inline'
        ? { ...tensor, type: FLOAT64, data: { type: 'inline', bytes: doubles(tensor.data.bytes) } }
        : tensor;
    const files = await changed('vae_decoder', (model) => ({
      ...model,
      graph: {
        ...model.graph,
        initializers: model.graph.initializers.map(wide),
        nodes: model.graph.nodes.map((node) => ({
          ...node,
          attributes: node.attributes.map((each) => {
            if (each.kind === 'tensor') return { ...each, tensor: wide(each.tensor) };
            const isFloat = each.kind === 'int' && each.name === 'to' && each.int === FLOAT32;
            return isFloat ? { ...each, int: FLOAT64 } : each;
          }),
        })),
      },
    }));
    const gpu = { provider: 'webgpu', hasShaderF16: false } as const;
    const checkpoint = await openCheckpoint(toModel(files), { device: gpu });
    expect(checkpoint.components).toHaveLength(4);
    close(await decode(await compileFolder(files)), await decode(await ordinary), 0);
  });

  it('of a weight in a file is narrowed on its way, and its lowest number stays a number', async () => {
    const wide = Float64Array.of(-Number.MAX_VALUE, 1 / 3, Number.NEGATIVE_INFINITY, Number.NaN);
    const narrow = new Float32Array(narrowBytes(new Uint8Array(wide.buffer)).buffer);
    expect([...narrow]).toEqual([-3.4028234663852886e38, Math.fround(1 / 3), -Infinity, NaN]);
  });
});

it('a folder without any configuration is read from its graphs', async () => {
  const full = await ordinary;
  const without = /config\.json$|model_index|tokenizer/;
  const bare = await compileFolder(await onnxFolder('sd15-tiny', { without }));
  const { description } = bare.compiled;
  expect(description).toMatchObject({
    ...{ family: 'sd1', latentChannels: 4, unetInChannels: 4, vaeFactor: 8 },
    ...{ scalingFactor: 0.18215, nativeResolution: 512, predictionType: 'epsilon' },
    ...{ betaStart: 0.00085, betaEnd: 0.012, betaSchedule: 'scaled_linear' },
  });
  expect(description.textEncoders[0]).toMatchObject(
    (({ layers, hiddenSize, vocabSize, eosId }) => ({ layers, hiddenSize, vocabSize, eosId }))(
      full.compiled.description.textEncoders[0]!,
    ),
  );
  close(await encode(bare, { clipSkip: 2 }), await encode(full, { clipSkip: 2 }), 0);
  expect(component(bare.compiled, 'unet').precision).toBe('fp32');
});

function int64(name: string, value: bigint): Tensor {
  const bytes = new Uint8Array(BigInt64Array.of(value).buffer);
  return { name, type: 7, shape: [], data: { type: 'inline', bytes } };
}

function doubles(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(Float64Array.from(new Float32Array(bytes.slice().buffer)).buffer);
}
