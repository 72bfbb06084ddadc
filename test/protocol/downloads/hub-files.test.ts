import { describe, expect, test } from 'vitest';
import { kindOfTensors } from '../../../protocol/downloads/file-kind.ts';
import { retryAfterMs } from '../../../protocol/downloads/http-client.ts';
import { chooseHubFiles } from '../../../protocol/downloads/hub-files.ts';
import { parseModelReference } from '../../../protocol/downloads/model-reference.ts';
import { findKnownModel, KNOWN_MODELS, nameOfModelId } from '../../../protocol/known-models.ts';

function choose(paths: Readonly<Record<string, number>> | readonly string[]) {
  const sized = Array.isArray(paths) ? Object.fromEntries(paths.map((path) => [path, 1])) : paths;
  const entries = Object.entries(sized).map(([path, size]) => ({
    type: 'file',
    path,
    size: Number(size),
  }));
  const { layout, files, note } = chooseHubFiles('a/b', entries);
  return { layout, paths: files.map(({ path }) => path).sort(), note };
}

const FOLDER = ['model_index.json', 'scheduler/scheduler_config.json', 'tokenizer/vocab.json'];
const component = (name: string, ...weights: string[]) => [
  `${name}/config.json`,
  ...weights.map((file) => `${name}/${file}`),
];

describe('of a repository', () => {
  test('the diffusers folder is taken in half precision, safetensors only', () => {
    const half = ['diffusion_pytorch_model.fp16.safetensors'];
    const both = [...half, 'diffusion_pytorch_model.safetensors', 'diffusion_pytorch_model.bin'];
    const { layout, paths } = choose([
      ...FOLDER,
      ...component('unet', ...both, 'diffusion_pytorch_model.non_ema.safetensors'),
      ...component('vae', ...both),
      ...component('text_encoder', 'model.safetensors', 'pytorch_model.bin'),
      ...component('safety_checker', 'model.safetensors'),
      'v1-5-pruned.ckpt',
      'v1-5-pruned-emaonly.safetensors',
      'README.md',
    ]);
    expect(layout).toBe('folder');
    expect(paths).toEqual(
      [
        ...FOLDER,
        ...component('unet', ...half),
        ...component('vae', ...half),
        ...component('text_encoder', 'model.safetensors'),
      ].sort(),
    );
  });

  test('weights in pieces come with their index', () => {
    const pieces = [1, 2].map((n) => `diffusion_pytorch_model.fp16-0000${n}-of-00002.safetensors`);
    const index = 'diffusion_pytorch_model.safetensors.index.fp16.json';
    const { paths } = choose([
      ...FOLDER,
      ...component('unet', ...pieces, index, 'diffusion_pytorch_model-00001-of-00001.safetensors'),
      ...component('vae', 'diffusion_pytorch_model.safetensors'),
      ...component('text_encoder', 'model.safetensors'),
    ]);
    expect(paths.filter((path) => path.startsWith('unet/'))).toEqual(
      component('unet', ...pieces, index).sort(),
    );
  });

  test('the single file is taken where the folder is pickled: pruned and small before large', () => {
    const pickled = ['unet', 'vae', 'text_encoder'].flatMap((name) => component(name, 'model.bin'));
    const { layout, paths, note } = choose({
      ...Object.fromEntries([...FOLDER, ...pickled].map((path) => [path, 1])),
      'v1-5-pruned.safetensors': 7_700,
      'v1-5-pruned-emaonly.safetensors': 4_270,
      'some-lora.safetensors': 100,
    });
    expect({ layout, paths }).toEqual({
      layout: 'file',
      paths: ['v1-5-pruned-emaonly.safetensors'],
    });
    expect(note).toContain('3 such files');
  });

  test('a component with its configuration is taken whole', () => {
    const { layout, paths } = choose([
      'config.json',
      'diffusion_pytorch_model.safetensors',
      'x.bin',
    ]);
    expect({ layout, paths }).toEqual({
      layout: 'component',
      paths: ['config.json', 'diffusion_pytorch_model.safetensors'],
    });
  });

  const GRAPHS = ['text_encoder', 'unet', 'vae_decoder', 'vae_encoder'];

  test('ready-made ONNX graphs are taken where there are no safetensors, with their weights', () => {
    const { layout, paths, note } = choose([
      ...FOLDER,
      ...GRAPHS.flatMap((name) => component(name, 'model.onnx')),
      ...['unet/model.onnx_data', 'unet/model.onnx_data_1', 'vae_decoder/weights.pb'],
      // Another precision with its own weights, and what is no part of a picture.
      ...['unet/model_fp16.onnx', 'unet/model_fp16.onnx_data', 'safety_checker/model.onnx'],
      ...['unet/run.py', 'README.md', 'some-lora.safetensors', 'text_encoder/pytorch_model.bin'],
    ]);
    expect(layout).toBe('folder');
    expect(note).toContain('ONNX');
    expect(paths).toEqual(
      [
        ...FOLDER,
        ...GRAPHS.flatMap((name) => component(name, 'model.onnx')),
        ...['unet/model.onnx_data', 'unet/model.onnx_data_1', 'vae_decoder/weights.pb'],
      ].sort(),
    );
  });

  test('graphs as older exporters lay them, without model_index.json', () => {
    const paths = ['unet/model.onnx', 'text_encoder/model.onnx', 'vae/decoder.onnx'];
    expect(choose(paths)).toMatchObject({ layout: 'folder', paths: [...paths].sort() });
  });

  test('weights win over graphs, and half a set of graphs is none', () => {
    const graphs = GRAPHS.flatMap((name) => component(name, 'model.onnx'));
    expect(choose([...graphs, 'checkpoint.safetensors'])).toMatchObject({
      ...{ layout: 'file', paths: ['checkpoint.safetensors'] },
    });
    const weights = ['diffusion_pytorch_model.safetensors'];
    const both = choose([
      ...[...FOLDER, ...graphs],
      ...component('unet', ...weights),
      ...component('vae', ...weights),
      ...component('text_encoder', 'model.safetensors'),
    ]);
    expect(both.paths.filter((path) => path.endsWith('.onnx'))).toEqual([]);
    expect(() => choose(['unet/model.onnx', 'text_encoder/model.onnx'])).toThrow(
      /Stable Diffusion/,
    );
  });

  test('graphs of which none is the one to take are named', () => {
    const others = ['unet/a.onnx', 'unet/b.onnx', 'text_encoder/model.onnx', 'vae/decoder.onnx'];
    expect(() => choose(others)).toThrow(/unet\/a\.onnx, unet\/b\.onnx/);
  });

  test('what cannot be run is refused by its reason, and paths that lead out are not seen', () => {
    expect(() => choose(['unet/x.bin', 'model.ckpt'])).toThrow(/pickled/);
    expect(() => choose(['transformer/diffusion_pytorch_model.safetensors'])).toThrow(
      /Stable Diffusion/,
    );
    expect(() =>
      choose(['../evil.safetensors', '.hidden.safetensors', 'a\\b.safetensors']),
    ).toThrow(/no .safetensors file/);
  });
});

describe('what a file is', () => {
  test.each([
    ['lora', 'lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight'],
    ['lora', 'unet.down_blocks.0.attn.to_k.lora.up.weight'],
    ['checkpoint', 'model.diffusion_model.input_blocks.0.0.weight'],
    ['vae', 'first_stage_model.encoder.down.0.block.0.conv1.weight'],
    ['vae', 'decoder.up_blocks.0.resnets.0.conv1.weight'],
    ['controlnet', 'control_model.zero_convs.0.0.weight'],
    ['controlnet', 'controlnet_cond_embedding.conv_in.weight'],
    ['embedding', 'emb_params'],
    ['esrgan', 'model.1.sub.0.RDB1.conv1.0.weight'],
    ['esrgan', 'conv_first.weight'],
    ['taesd', 'decoder.layers.0.weight'],
    [null, 'time_embedding.linear_1.weight'],
  ])('%s: %s', (kind, name) => {
    expect(kindOfTensors(['other', name])).toBe(kind);
  });
});

describe('the list of known models', () => {
  test('names each model once, and by references that are understood', () => {
    const ids = KNOWN_MODELS.flatMap(({ id, formerIds }) => [id, ...formerIds]);
    expect(new Set(ids.map((id) => id.toLowerCase())).size).toBe(ids.length);
    for (const { source } of KNOWN_MODELS) {
      expect(['hub-repo', 'hub-file', 'civitai']).toContain(parseModelReference(source).type);
    }
  });

  test('says under which name a downloaded id is listed', () => {
    expect(nameOfModelId('Linaqruf/anything-v3.0')).toBe('Anything-V3.0-pruned-fp16');
    expect(nameOfModelId('runwayml/stable-diffusion-v1-5')).toBe('stable-diffusion-v1-5');
    expect(nameOfModelId('owner/name')).toBe('name');
    expect(nameOfModelId('dreamshaper_8 [abc]')).toBeNull();
  });

  test("finds SHARK's names in any case, also those that moved", () => {
    expect(findKnownModel('Runwayml/stable-diffusion-v1-5')?.title).toBe('Stable Diffusion 1.5');
    expect(findKnownModel('stabilityai/stable-diffusion-2-1-base')?.source).toContain(
      'sd2-community',
    );
    expect(findKnownModel('nobody/knows')).toBeNull();
  });
});

test('Retry-After is read as seconds and as a date', () => {
  expect(retryAfterMs('120')).toBe(120_000);
  expect(retryAfterMs('Tue, 24 Nov 2026 11:00:10 GMT', Date.UTC(2026, 10, 24, 11, 0, 0))).toBe(
    10_000,
  );
  expect(retryAfterMs('soon')).toBeNull();
  expect(retryAfterMs(null)).toBeNull();
});
