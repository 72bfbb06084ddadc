import { beforeAll, describe, expect, it, test } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { openControlnet } from '../../web/compiler/layouts/controlnet-file.ts';
import type { CompiledModel } from '../../web/compiler/model.ts';
import {
  type ControlnetConfig,
  residualNames,
  residualShapes,
} from '../../web/compiler/models/controlnet.ts';
import { folderFiles, jsonSource, MODELS } from './lib/files.ts';
import { headerOnly, type LdmManifest, readManifest } from './lib/full-keys.ts';
import { type CompiledParts, compileParts, fixtureFiles, renamedFile } from './lib/parts.ts';
import { readReferences } from './lib/references.ts';
import { component, f32, MemorySink, maxDifference, runComponent } from './lib/runtime.ts';

const references = await readReferences('controlnet-tiny');
const folder = () =>
  fixtureFiles(
    'controlnet-tiny/diffusion_pytorch_model.safetensors',
    'controlnet-tiny/config.json',
  );
const RESNET: Record<string, string> = {
  norm1: 'in_layers.0',
  conv1: 'in_layers.2',
  time_emb_proj: 'emb_layers.1',
  norm2: 'out_layers.0',
  conv2: 'out_layers.3',
  conv_shortcut: 'skip_connection',
};

/** diffusers' names as the single files have them, for levels of two layers; written out once more. */
function ldmName(name: string): string {
  const parts = (at: string) => at.replace(/^(\w+)\./, (_, part) => `${RESNET[part]}.`);
  return `control_model.${name
    .replace(/^time_embedding\.linear_(\d)/, (_, n) => `time_embed.${n === '1' ? 0 : 2}`)
    .replace(/^conv_in\./, 'input_blocks.0.0.')
    .replace(/^controlnet_cond_embedding\.conv_in\./, 'input_hint_block.0.')
    .replace(
      /^controlnet_cond_embedding\.blocks\.(\d)\./,
      (_, n) => `input_hint_block.${2 * Number(n) + 2}.`,
    )
    .replace(/^controlnet_cond_embedding\.conv_out\./, 'input_hint_block.14.')
    .replace(/^controlnet_down_blocks\.(\d+)\./, 'zero_convs.$1.0.')
    .replace(/^controlnet_mid_block\./, 'middle_block_out.0.')
    .replace(
      /^down_blocks\.(\d)\.downsamplers\.0\.conv\./,
      (_, l) => `input_blocks.${3 * Number(l) + 3}.0.op.`,
    )
    .replace(
      /^down_blocks\.(\d)\.attentions\.(\d)\./,
      (_, l, n) => `input_blocks.${3 * Number(l) + Number(n) + 1}.1.`,
    )
    .replace(
      /^down_blocks\.(\d)\.resnets\.(\d)\.(.*)/,
      (_, l, n, rest) => `input_blocks.${3 * Number(l) + Number(n) + 1}.0.${parts(rest)}`,
    )
    .replace(/^mid_block\.attentions\.0\./, 'middle_block.1.')
    .replace(
      /^mid_block\.resnets\.(\d)\.(.*)/,
      (_, n, rest) => `middle_block.${2 * Number(n)}.${parts(rest)}`,
    )}`;
}
const single = async () => renamedFile(await folder(), ldmName);

describe.each([
  ['a diffusers folder', folder],
  ['a single file', single],
] as const)('a ControlNet from %s', (_, files) => {
  const sink = new MemorySink();
  let unet: CompiledModel;
  let control: CompiledParts;

  beforeAll(async () => {
    const checkpoint = await openCheckpoint(await folderFiles(`${MODELS}/sd15-tiny`));
    unet = await compileCheckpoint(checkpoint, { precision: 'fp32', sink, components: ['unet'] });
    control = await compileParts(await openControlnet(await files()));
  });

  it.each([
    ['16x16', 1],
    ['24x16', 0.7],
  ] as const)('%s', async (name, scale) => {
    const { inputs, outputs } = references.cases.find((candidate) => candidate.name === name)!;
    const feed = (input: string) => {
      const { data, shape } = references.tensor(inputs[input]!);
      return f32(data, shape);
    };
    const [batch = 0, , latentHeight = 0, latentWidth = 0] = references.tensor(
      inputs.sample!,
    ).shape;
    const size = { batch, latentHeight, latentWidth, tokens: 77 };
    const common = {
      sample: feed('sample'),
      timestep: feed('timestep'),
      encoder_hidden_states: feed('encoder_hidden_states'),
    };
    const net = control.components[0]!;
    const { control_hint: hint } = await runComponent(
      net,
      control.sink,
      size,
      { controlnet_cond: feed('controlnet_cond') },
      { stage: 'hint' },
    );
    const residuals = await runComponent(net, control.sink, size, {
      ...common,
      control_hint: f32(hint!.data, hint!.dims),
      conditioning_scale: f32(new Array(13 * batch).fill(scale), [13, batch]),
    });
    expect(Object.keys(residuals)).toHaveLength(13);
    const shapes = residualShapes(
      (net.config as unknown as ControlnetConfig).unet,
      latentHeight,
      latentWidth,
    );
    expect(residualNames(13)).toEqual(Object.keys(residuals));
    expect(shapes.map((shape) => [batch, ...shape])).toEqual(
      Object.values(residuals).map(({ dims }) => dims),
    );
    for (const [output, tensor] of Object.entries(outputs)) {
      if (output === 'unet') continue;
      const found = residuals[`control_${output.replace('.', '_')}`];
      expect(
        maxDifference(found!.data, references.tensor(tensor).data),
        output,
      ).toBeLessThanOrEqual(references.tolerance(tensor));
    }
    const added = Object.entries(residuals).map(([key, { data, dims }]) => [key, f32(data, dims)]);
    const feeds = { ...common, ...Object.fromEntries(added) };
    const { out_sample } = await runComponent(component(unet, 'unet'), sink, size, feeds, {
      control: true,
    });
    expect(
      maxDifference(out_sample!.data, references.tensor(outputs.unet!).data),
    ).toBeLessThanOrEqual(references.tolerance(outputs.unet!));
  });
});

test('two ControlNets: the second adds its residuals to the first’s, row by row at its own scale', async () => {
  const { components, sink } = await compileParts(await openControlnet(await folder()));
  const net = components[0]!;
  const size = { batch: 2, latentHeight: 5, latentWidth: 7, tokens: 77 };
  const wave = (...shape: number[]) =>
    f32(
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i)),
      shape,
    );
  const common = {
    ...{ sample: wave(2, 4, 5, 7), timestep: f32([500, 500], [2]) },
    ...{ encoder_hidden_states: wave(2, 77, 32), control_hint: wave(1, 32, 5, 7) },
  };
  const run = (scale: (index: number, row: number) => number, more = {}, isAdded = false) => {
    const scales = Array.from({ length: 26 }, (_, i) => scale(Math.floor(i / 2), i % 2));
    const feeds = { ...common, conditioning_scale: f32(scales, [13, 2]), ...more };
    return runComponent(net, sink, size, feeds, { isAdded });
  };
  const plain = await run(() => 1);
  const scaled = await run((index, row) => (row === 0 ? 0 : index / 10));
  const previous = Object.fromEntries(
    Object.entries(plain).map(([name, { data, dims }]) => [
      name.replace('control', 'previous'),
      f32(data, dims),
    ]),
  );
  const added = await run((index, row) => (row === 0 ? 0 : index / 10), previous, true);
  Object.entries(plain).forEach(([name, { data }], index) => {
    const half = data.length / 2;
    const expected = data.map((value, i) => (i < half ? 0 : (value * index) / 10));
    expect(maxDifference(scaled[name]!.data, expected), name).toBeLessThan(1e-5);
    const sum = data.map((value, i) => value + expected[i]!);
    expect(maxDifference(added[name]!.data, sum), name).toBeLessThan(1e-5);
  });
});

describe('the published ControlNet of SD 1.5', () => {
  const heads = ({ unet }: ControlnetConfig) => unet.down.map((level) => level.heads);

  it('as a single file: every tensor is used', async () => {
    const { tensors } = readManifest<LdmManifest>('controlnet-sd15', 'ldm');
    const file = headerOnly('control.safetensors', tensors);
    const { components } = await openControlnet({ name: 'control', files: [file] });
    const config = components[0]!.config as ControlnetConfig;
    expect(heads(config)).toEqual([8, 8, 8, 8]);
    expect(config.hintFeatures).toEqual([16, 32, 96, 256]);
    expect(config.unet.contextSize).toBe(768);
  });

  it('as a folder: every tensor is used', async () => {
    const { tensors } = readManifest<LdmManifest>('controlnet-sd15', 'diffusers');
    const file = headerOnly('diffusion_pytorch_model.safetensors', tensors);
    const { files } = await folder();
    const tiny = new TextDecoder().decode(await files[1]!.read(0, files[1]!.sizeBytes));
    const published = { block_out_channels: [320, 640, 1280, 1280], cross_attention_dim: 768 };
    const config = jsonSource('config.json', { ...JSON.parse(tiny), ...published });
    const { components } = await openControlnet({ name: 'control', files: [file, config] });
    expect(heads(components[0]!.config as ControlnetConfig)).toEqual([8, 8, 8, 8]);
  });
});

describe('a ControlNet that is refused', () => {
  it('names a missing tensor, as the file does', async () => {
    const files = await renamedFile(await folder(), (name) =>
      name === 'controlnet_down_blocks.3.bias' ? null : ldmName(name),
    );
    await expect(openControlnet(files)).rejects.toThrow(
      'renamed.safetensors: tensor "control_model.zero_convs.3.0.bias" [32] is missing.',
    );
  });

  it('says that it needs its configuration', async () => {
    const alone = fixtureFiles('controlnet-tiny/diffusion_pytorch_model.safetensors');
    await expect(openControlnet(await alone)).rejects.toThrow('needs the config.json');
  });

  it('is refused where its colours are in another order', async () => {
    const { files } = await folder();
    const text = new TextDecoder().decode(await files[1]!.read(0, files[1]!.sizeBytes));
    const other = { ...JSON.parse(text), controlnet_conditioning_channel_order: 'bgr' };
    const changed = [files[0]!, jsonSource('config.json', other)];
    await expect(openControlnet({ name: 'c', files: changed })).rejects.toThrow('of another kind');
  });
});
