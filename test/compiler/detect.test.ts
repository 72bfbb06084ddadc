import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Checkpoint, openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { planWeights } from '../../web/compiler/component.ts';
import { detectModel } from '../../web/compiler/layouts/detect.ts';
import type { ByteSource, ModelFiles } from '../../web/compiler/model.ts';
import type { ClipTextConfig } from '../../web/compiler/models/clip-text.ts';
import type { UnetConfig } from '../../web/compiler/models/unet.ts';
import { readSafetensorsHeader } from '../../web/compiler/safetensors.ts';
import { fileSource, jsonSource, MODELS } from './lib/files.ts';
import {
  type DiffusersManifest,
  type Expected,
  headerOnly,
  type LdmManifest,
  MANIFESTS,
  readManifest,
} from './lib/full-keys.ts';
import { singleFile } from './lib/single-file.ts';

function config<T>(checkpoint: Checkpoint, name: string): T {
  return checkpoint.components.find((component) => component.name === name)!.config as T;
}

function expectAsPublished(checkpoint: Checkpoint, expected: Expected): void {
  const { description } = checkpoint;
  expect(description).toMatchObject({
    family: expected.family,
    predictionType: expected.prediction_type,
    scalingFactor: expected.scaling_factor,
    nativeResolution: expected.native_resolution,
    unetInChannels: expected.in_channels,
    latentChannels: 4,
    vaeFactor: 8,
    unetInputs:
      expected.family === 'sdxl'
        ? { textEmbeds: 1280, timeIds: expected.pad_ids.length === 1 ? 5 : 6, timestepCond: null }
        : { textEmbeds: null, timeIds: null, timestepCond: null },
  });
  expect(description.textEncoders.map(({ padId }) => padId)).toEqual(expected.pad_ids);
  const heads = description.textEncoders.map(
    ({ component }) => config<ClipTextConfig>(checkpoint, component).heads,
  );
  expect(heads).toEqual(expected.text_heads);
  const unet = config<UnetConfig>(checkpoint, 'unet');
  expect(unet.contextSize).toBe(expected.context_dim);
  expect(unet.down.map((level) => level.heads)).toEqual(expected.unet_heads_per_level);
  const depths = expected.transformer_depth_per_level;
  if (depths) {
    expect(unet.down.map(({ transformerDepths }) => transformerDepths[0] ?? 0)).toEqual(depths);
  }
}

/** Every tensor of the file is asked for by some graph, or on the list of what is not needed. */
function unusedTensors(checkpoint: Checkpoint, names: readonly string[]): string[] {
  const used = new Set<string>();
  for (const { name, config: own, tensors } of checkpoint.components) {
    for (const { parts } of planWeights(name, own)) {
      for (const part of parts) used.add(tensors.get(part)!.name);
    }
  }
  return names.filter((name) => !used.has(name));
}

describe.each(MANIFESTS)('%s as published', (model) => {
  it('as a single file: every tensor is used or ignored, and the structure is right', async () => {
    const { tensors, expected } = readManifest<LdmManifest>(model, 'ldm');
    const file = headerOnly(`${model}.safetensors`, tensors);
    const header = await readSafetensorsHeader(file);
    expect(detectModel(header)).toEqual({
      kind: 'checkpoint',
      family: expected.family,
      layout: 'ldm',
    });
    const checkpoint = await openCheckpoint({ name: model, files: [file] });
    expectAsPublished(checkpoint, expected);
    const schedule = /^[a-z_12]*(betas|alphas_cumprod|posterior_)[a-z_12]*$/;
    const unneeded = new RegExp(
      `${schedule.source}|^model_ema\\.|position_ids$|logit_scale$|^cond_stage_model\\.model\\.(text_projection$|transformer\\.resblocks\\.23\\.)`,
    );
    const unused = unusedTensors(checkpoint, Object.keys(tensors));
    expect(unused.filter((name) => !unneeded.test(name))).toEqual([]);
  });

  it('as a diffusers folder: the same', async () => {
    const manifest = readManifest<DiffusersManifest>(model, 'diffusers');
    const checkpoint = await openCheckpoint(folder(model, manifest));
    expectAsPublished(checkpoint, manifest.expected);
    const names = Object.values(manifest.tensors).flatMap((part) => Object.keys(part));
    const unused = unusedTensors(checkpoint, [...new Set(names)]);
    expect(unused.filter((name) => !name.endsWith('position_ids'))).toEqual([]);
  });

  it('reads the same structure off both layouts', async () => {
    const { tensors } = readManifest<LdmManifest>(model, 'ldm');
    const file = headerOnly(`${model}.safetensors`, tensors);
    const single = await openCheckpoint({ name: model, files: [file] });
    const parts = folder(model, readManifest<DiffusersManifest>(model, 'diffusers'));
    const other = await openCheckpoint(parts);
    for (const { name, config: own } of other.components) {
      const found: object = single.components.find((part) => part.name === name)!.config;
      const projection = (own as { projection?: unknown }).projection;
      expect(found).toMatchObject(projection ? { ...own, projection: {} } : own);
    }
  });
});

it('an SD 2 inpainting checkpoint predicts epsilon, as all of them do', async () => {
  const { tensors } = readManifest<LdmManifest>('sd21', 'ldm');
  const first = 'model.diffusion_model.input_blocks.0.0.weight';
  const file = headerOnly('inpaint.safetensors', { ...tensors, [first]: ['F32', [320, 9, 3, 3]] });
  const { description } = await openCheckpoint({ name: 'inpaint', files: [file] });
  expect(description).toMatchObject({
    family: 'sd2',
    unetInChannels: 9,
    predictionType: 'epsilon',
    isPredictionAssumed: false,
    nativeResolution: 512,
    notes: [],
  });
});

const PIPELINES: Readonly<Record<string, string>> = {
  'sd15-inpaint': 'StableDiffusionInpaintPipeline',
  'sdxl-base': 'StableDiffusionXLPipeline',
  'sdxl-refiner': 'StableDiffusionXLImg2ImgPipeline',
};
const CLASSES: Readonly<Record<string, readonly string[]>> = {
  unet: ['diffusers', 'UNet2DConditionModel'],
  vae: ['diffusers', 'AutoencoderKL'],
  text_encoder: ['transformers', 'CLIPTextModel'],
  text_encoder_2: ['transformers', 'CLIPTextModelWithProjection'],
};

function folder(model: string, { configs, tensors, expected }: DiffusersManifest): ModelFiles {
  const files: ByteSource[] = [
    jsonSource('model_index.json', {
      _class_name: PIPELINES[model] ?? 'StableDiffusionPipeline',
      ...Object.fromEntries(Object.keys(configs).map((part) => [part, CLASSES[part]])),
    }),
    jsonSource('scheduler/scheduler_config.json', {
      prediction_type: expected.prediction_type,
      beta_start: 0.00085,
      beta_end: 0.012,
      beta_schedule: 'scaled_linear',
    }),
  ];
  expected.pad_ids.forEach((padId, place) => {
    const pad_token = padId === 0 ? '!' : '<|endoftext|>';
    const isFirst = place === 0 && 'text_encoder' in configs;
    const name = isFirst ? 'tokenizer' : 'tokenizer_2';
    files.push(jsonSource(`${name}/special_tokens_map.json`, { pad_token }));
  });
  for (const [part, fields] of Object.entries(configs)) {
    files.push(jsonSource(`${part}/config.json`, fields));
    const stem = part.startsWith('text') ? 'model' : 'diffusion_pytorch_model';
    files.push(headerOnly(`${part}/${stem}.safetensors`, tensors[part]!));
  }
  return { name: model, files };
}

describe('detectModel', () => {
  it.each(['ldm', 'diffusers'] as const)('a ControlNet in %s names', async (layout) => {
    const { tensors } = readManifest<LdmManifest>('controlnet-sd15', layout);
    const file = headerOnly('control.safetensors', tensors);
    expect(detectModel(await readSafetensorsHeader(file))).toEqual({
      kind: 'controlnet',
      family: 'sd1',
      layout,
    });
    await expect(openCheckpoint({ name: 'control', files: [file] })).rejects.toMatchObject({
      code: 'unsupported',
      message:
        'control.safetensors: is a ControlNet, no checkpoint. This version of Easel has no use for it yet.',
    });
  });

  it.each(MANIFESTS)('the parts of the folder of %s', async (model) => {
    const { tensors, expected } = readManifest<DiffusersManifest>(model, 'diffusers');
    const detect = async (part: string) =>
      detectModel(await readSafetensorsHeader(headerOnly(part, tensors[part]!)));
    const layout = 'diffusers';
    expect(await detect('unet')).toEqual({ kind: 'unet', family: expected.family, layout });
    expect(await detect('vae')).toEqual({ kind: 'vae', family: null, layout });
    for (const part of Object.keys(tensors).filter((part) => part.startsWith('text_encoder'))) {
      expect(await detect(part)).toMatchObject({ kind: 'text-encoder', layout });
    }
  });

  it.each([
    ['sd15-tiny', 'sd1'],
    ['sd2-tiny', 'sd2'],
    ['sdxl-tiny', 'sdxl'],
  ] as const)('%s as a single file', async (model, family) => {
    const header = await readSafetensorsHeader(singleFile(model).files[0]!);
    expect(detectModel(header)).toEqual({ kind: 'checkpoint', family, layout: 'ldm' });
  });

  it('an inpainting UNet', async () => {
    const path = join(MODELS, 'sd15-inpaint-tiny/unet/diffusion_pytorch_model.safetensors');
    const header = await readSafetensorsHeader(await fileSource(path, 'unet'));
    expect(detectModel(header)).toEqual({ kind: 'unet', family: 'sd1', layout: 'diffusers' });
  });

  const named = (shapes: Readonly<Record<string, readonly number[]>>) => ({
    tensors: new Map(
      Object.entries(shapes).map(([name, shape]) => [
        name,
        { name, shape, dtype: 'F16', file: {} as ByteSource, offset: 0, sizeBytes: 0 } as const,
      ]),
    ),
  });
  const ATTN = 'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k';

  it.each([
    ['lora', 'sd1', { [`${ATTN}.lora_down.weight`]: [4, 768] }],
    ['lora', 'sd2', { [`${ATTN}.lora_down.weight`]: [4, 1024] }],
    ['lora', 'sdxl', { [`${ATTN}.lora_down.weight`]: [4, 2048] }],
    ['lora', 'sd1', { [`${ATTN}.hada_w1_b`]: [4, 768] }],
    ['lora', 'sdxl', { 'lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight': [8, 4] }],
    ['lora', null, { 'unet.mid_block.attentions.0.proj_in.lora_A.weight': [4, 1280] }],
    ['lora', null, { 'text_encoder.text_model.encoder.layers.0.mlp.fc1.lora.down.weight': [4, 8] }],
    ['embedding', 'sd1', { emb_params: [3, 768] }],
    ['embedding', 'sd2', { emb_params: [3, 1024] }],
    ['embedding', 'sdxl', { clip_l: [2, 768], clip_g: [2, 1280] }],
    ['upscaler', null, { 'conv_first.weight': [64, 3, 3, 3], 'body.0.rdb1.conv1.weight': [32] }],
    ['upscaler', null, { 'model.0.weight': [64], 'model.1.sub.0.RDB1.conv1.0.weight': [32] }],
    ['vae', null, { 'encoder.down.0.block.0.conv1.weight': [128, 128, 3, 3] }],
    ['vae', null, { 'first_stage_model.decoder.up.0.block.0.conv1.weight': [128] }],
    ['taesd', null, { 'decoder.layers.1.weight': [64, 4, 3, 3] }],
    ['taesd', null, { '0.weight': [64, 3, 3, 3], '1.conv.0.weight': [64, 64, 3, 3] }],
    ['text-encoder', null, { 'transformer.resblocks.0.ln_1.weight': [1024] }],
    ['unet', 'sd2', { 'model.diffusion_model.input_blocks.1.1.proj_in.weight': [320, 320] }],
    ['unknown', null, { 'double_blocks.0.img_attn.qkv.weight': [9216, 3072] }],
  ] as const)('a %s of family %s by the names %o', (kind, family, shapes) => {
    expect(detectModel(named(shapes))).toMatchObject({ kind, family });
  });

  it.each([
    ['loras', 'lora', 6],
    ['embeddings', 'embedding', 2],
    ['esrgan', 'upscaler', 2],
    ['controlnet-tiny', 'controlnet', 1],
  ] as const)('the files in %s are each a %s', async (folderName, kind, count) => {
    const path = join(MODELS, folderName);
    const files = readdirSync(path).filter((file) => file.endsWith('.safetensors'));
    expect(files).toHaveLength(count);
    for (const file of files) {
      const header = await readSafetensorsHeader(await fileSource(join(path, file), file));
      expect(detectModel(header).kind, file).toBe(kind);
    }
  });
});
