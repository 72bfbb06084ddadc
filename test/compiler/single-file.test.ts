import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { ByteSource, ModelFiles } from '../../web/compiler/model.ts';
import { readSafetensorsHeader } from '../../web/compiler/safetensors.ts';
import { describeReferences } from './lib/family-suite.ts';
import { fileSource, folderFiles, MODELS, memorySource } from './lib/files.ts';
import { headerOnly, type LdmManifest, readManifest } from './lib/full-keys.ts';
import { MemorySink } from './lib/runtime.ts';
import { writeSafetensors } from './lib/safetensors-bytes.ts';
import { singleFile, singleFileBytes } from './lib/single-file.ts';

const FAMILIES = ['sd15-tiny', 'sd2-tiny', 'sdxl-tiny'] as const;

for (const model of FAMILIES) {
  await describeReferences(`${model} as a single file against diffusers`, model, () =>
    openCheckpoint(singleFile(model)),
  );
}

describe('a single file and the folder of the same weights', () => {
  it.each(FAMILIES)('%s: the compiled components are the same to the byte', async (model) => {
    const compile = async (files: ModelFiles) => {
      const sink = new MemorySink();
      const checkpoint = await openCheckpoint(files);
      return { sink, compiled: await compileCheckpoint(checkpoint, { precision: 'fp16', sink }) };
    };
    const one = await compile(singleFile(model));
    const folder = await compile(await folderFiles(join(MODELS, model)));
    const read = ({ sink, compiled }: typeof one, name: string, weight: string) => {
      const part = compiled.components.find((component) => component.name === name)!;
      const { shard, offset, sizeBytes } = part.weights[weight]!;
      return Buffer.from(sink.bytes(part.name)[shard]!.subarray(offset, offset + sizeBytes));
    };
    const { notes: _, nativeResolution, ...description } = one.compiled.description;
    expect(folder.compiled.description).toMatchObject(description);
    expect(nativeResolution).toBe(128);
    for (const { name, config, weights } of folder.compiled.components) {
      const single = one.compiled.components.find((component) => component.name === name)!;
      // SDXL's projection is a matrix in one layout and a linear layer in the other.
      const { projection, ...rest } = config;
      expect(single.config).toMatchObject(rest);
      for (const weight of Object.keys(weights)) {
        const other = weight === 'text_projection.weight' ? 'text_projection' : weight;
        expect(read(one, name, other).equals(read(folder, name, weight)), weight).toBe(true);
      }
    }
  });
});

/** A single file with tensors left out, renamed, added or its metadata replaced. */
async function edited(
  model: (typeof FAMILIES)[number],
  {
    keep = () => true,
    rename = (name) => name,
    add = {},
    metadata,
  }: {
    keep?: (name: string) => boolean;
    rename?: (name: string) => string;
    add?: Parameters<typeof writeSafetensors>[0];
    metadata?: (found: Readonly<Record<string, string>>) => Record<string, string>;
  },
  ...sidecars: readonly ByteSource[]
): Promise<ModelFiles> {
  const bytes = singleFileBytes(model);
  const header = await readSafetensorsHeader(memorySource('original', bytes));
  const tensors = [...header.tensors].filter(([name]) => keep(name));
  const file = writeSafetensors(
    {
      ...Object.fromEntries(
        tensors.map(([name, { dtype, shape, offset, sizeBytes }]) => [
          rename(name),
          { dtype, shape, bytes: bytes.subarray(offset, offset + sizeBytes) },
        ]),
      ),
      ...add,
    },
    metadata?.(header.metadata) ?? { ...header.metadata },
  );
  return { name: model, files: [memorySource('edited.safetensors', file), ...sidecars] };
}

const text = (path: string, content: string) =>
  memorySource(path, new TextEncoder().encode(content));
const without =
  (...keys: string[]) =>
  (found: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(found).filter(([key]) => !keys.includes(key)));
const PREDICTION = 'modelspec.prediction_type';
const MARK = { dtype: 'F32', shape: [0], bytes: new Uint8Array(0) };

describe('what the UNet predicts', () => {
  const sd2 = (metadata: Parameters<typeof edited>[1]['metadata'], ...sidecars: ByteSource[]) =>
    edited('sd2-tiny', metadata ? { metadata } : {}, ...sidecars);

  it('is read from the sidecar, as it lies beside real files', async () => {
    const yaml = await fileSource(join(MODELS, 'single-files', 'sd2-tiny.yaml'), 'edited.yaml');
    const checkpoint = await openCheckpoint(await sd2(without(PREDICTION), yaml));
    const { predictionType, notes, scalingFactor, betaStart, betaEnd } = checkpoint.description;
    expect({ predictionType, notes, scalingFactor, betaStart, betaEnd }).toEqual({
      predictionType: 'v_prediction',
      notes: [],
      scalingFactor: 0.18215,
      betaStart: 0.00085,
      betaEnd: 0.012,
    });
    expect(checkpoint.sources.map(({ path }) => path)).toEqual([
      'edited.safetensors',
      'edited.yaml',
    ]);
  });

  it('follows the sidecar before the metadata, and a sidecar without the line means epsilon', async () => {
    const yaml = text('edited.yaml', 'model:\n  params:\n    linear_start: 0.001\n');
    const { description } = await openCheckpoint(await sd2((found) => ({ ...found }), yaml));
    expect(description).toMatchObject({ predictionType: 'epsilon', betaStart: 0.001 });
  });

  it('follows the metadata', async () => {
    const stated = await sd2((found) => ({ ...found, [PREDICTION]: 'epsilon' }));
    expect((await openCheckpoint(stated)).description).toMatchObject({
      predictionType: 'epsilon',
      notes: [],
    });
  });

  it('is assumed for SD 2 where nothing tells, and that is said', async () => {
    const { description } = await openCheckpoint(await sd2(without(PREDICTION)));
    expect(description.predictionType).toBe('v_prediction');
    expect(description.notes).toEqual([expect.stringContaining('v-prediction was assumed')]);
    expect(description.isPredictionAssumed).toBe(true);
  });

  it('is epsilon for SD 1 and SDXL where nothing tells', async () => {
    for (const model of ['sd15-tiny', 'sdxl-tiny'] as const) {
      const files = await edited(model, { metadata: without(PREDICTION, 'modelspec.resolution') });
      const { description } = await openCheckpoint(files);
      expect(description).toMatchObject({ predictionType: 'epsilon', notes: [] });
      expect(description.nativeResolution).toBe(model === 'sd15-tiny' ? 512 : 1024);
    }
  });

  it('is told by the marks v_pred and ztsnr of newer SDXL files', async () => {
    const files = await edited('sdxl-tiny', {
      metadata: without(PREDICTION),
      add: { v_pred: MARK, ztsnr: MARK },
    });
    expect((await openCheckpoint(files)).description).toMatchObject({
      predictionType: 'v_prediction',
      zeroTerminalSnr: true,
    });
  });

  it('is refused where it is of another kind', async () => {
    const unknown = await sd2((found) => ({ ...found, [PREDICTION]: 'sample' }));
    await expect(openCheckpoint(unknown)).rejects.toMatchObject({
      code: 'unsupported',
      message:
        'edited.safetensors: its metadata "modelspec.prediction_type" is "sample"; this version of Easel knows epsilon and v.',
    });
    const yaml = text('edited.yaml', '  parameterization: "x0"\n');
    await expect(openCheckpoint(await sd2(undefined, yaml))).rejects.toMatchObject({
      message:
        'edited.yaml: the line "parameterization" is "x0"; this version of Easel knows eps and v.',
    });
    const broken = text('edited.yaml', '  timesteps: many\n');
    await expect(openCheckpoint(await sd2(undefined, broken))).rejects.toMatchObject({
      message: 'edited.yaml: the line "timesteps" holds "many".',
    });
  });
});

describe('what files in the wild have more or less', () => {
  it('needs no schedule buffers, positions, metadata of the model or last SD 2 layer', async () => {
    const kept = /^(model\.diffusion_model|first_stage_model|cond_stage_model)\./;
    const plain = await edited('sd15-tiny', {
      keep: (name) => kept.test(name) && !name.endsWith('position_ids'),
    });
    expect((await openCheckpoint(plain)).description.family).toBe('sd1');
  });

  it('ignores averages, training buffers and projections that no picture depends on', async () => {
    const scalar = { dtype: 'F16', shape: [1], bytes: new Uint8Array(2) };
    const files = await edited('sd15-tiny', {
      add: {
        'model_ema.decay': scalar,
        'model_ema.diffusion_modelinput_blocks00weight': scalar,
        'denoiser.sigmas': scalar,
        'first_stage_model.loss.logvar': scalar,
        'cond_stage_model.logit_scale': scalar,
        'cond_stage_model.transformer.text_projection.weight': scalar,
      },
    });
    expect((await openCheckpoint(files)).components).toHaveLength(4);
  });

  it('reads the text encoder of early files, without text_model in its names', async () => {
    const files = await edited('sd15-tiny', {
      rename: (name) => name.replace('transformer.text_model.', 'transformer.'),
    });
    const [component] = (await openCheckpoint(files)).components;
    expect(component!.tensors.has('text_model.final_layer_norm.weight')).toBe(true);
  });

  it('reads the text encoder of an SD 2 model that was trained with the code of SDXL', async () => {
    const files = await edited('sd2-tiny', {
      rename: (name) => name.replace('cond_stage_model.model.', 'conditioner.embedders.0.model.'),
    });
    const { description, components } = await openCheckpoint(files);
    expect(description).toMatchObject({ family: 'sd2', textEncoders: [{ layers: 5, padId: 0 }] });
    expect(components[0]!.tensors.has('text_model.encoder.layers.4.self_attn.q_proj.weight')).toBe(
      true,
    );
  });

  it('takes the last layer but one of a tower of any length, and 23 layers of the real one', async () => {
    const { tensors } = readManifest<LdmManifest>('sd21', 'ldm');
    const converted = Object.entries(tensors).filter(
      ([name]) => !/resblocks\.23\.|text_projection|logit_scale/.test(name),
    );
    for (const list of [tensors, Object.fromEntries(converted)]) {
      const file = headerOnly('sd21.safetensors', list);
      const { description } = await openCheckpoint({ name: 'sd21', files: [file] });
      expect(description.textEncoders[0]!.layers).toBe(23);
    }
  });

  it('refuses sizes that no rule covers, each by its own sentence', async () => {
    const shapes = readManifest<LdmManifest>('sdxl-base', 'ldm').tensors;
    const resized = (changes: Record<string, readonly [string, readonly number[]]>) =>
      openCheckpoint({
        name: 'odd',
        files: [headerOnly('odd.safetensors', { ...shapes, ...changes })],
      });
    const unet = 'model.diffusion_model.';
    await expect(
      resized({ [`${unet}input_blocks.1.0.out_layers.3.weight`]: ['F16', [330, 320, 3, 3]] }),
    ).rejects.toMatchObject({
      message:
        'odd.safetensors: the block "input_blocks.1" has 330 channels, which do not make 32 groups.',
    });
    await expect(
      resized({ [`${unet}middle_block.1.proj_in.weight`]: ['F16', [1248, 1248]] }),
    ).rejects.toMatchObject({
      message: `odd.safetensors: tensor "${unet}middle_block.1.proj_in.weight" has 1248 channels, which do not make heads of 64.`,
    });
    await expect(
      resized({ [`${unet}label_emb.0.0.weight`]: ['F16', [1280, 1536]] }),
    ).rejects.toMatchObject({
      message:
        'odd.safetensors: tensor "model.diffusion_model.label_emb.0.0.weight" takes 1536 features, too few for SDXL\'s conditions.',
    });
    await expect(
      resized({
        'first_stage_model.encoder.down.1.block.0.conv1.weight': ['F16', [250, 128, 3, 3]],
      }),
    ).rejects.toMatchObject({
      message: 'odd.safetensors: its VAE has a level of 250 channels, which do not make 32 groups.',
    });
    const layer = 'conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight';
    await expect(resized({ [layer]: ['F16', [3841, 1280]] })).rejects.toMatchObject({
      message: `odd.safetensors: tensor "${layer}" should hold q, k and v, but has the shape [3841, 1280].`,
    });
    const tokens = 'conditioner.embedders.1.model.token_embedding.weight';
    await expect(resized({ [tokens]: ['F16', [1000, 1280]] })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining(
        'its text encoder has 1000 tokens; a single file carries no',
      ),
    });
    const skipped = Object.entries(shapes).filter(
      ([name]) => !name.startsWith(`${unet}output_blocks.8.`),
    );
    const short = headerOnly('odd.safetensors', Object.fromEntries(skipped));
    await expect(openCheckpoint({ name: 'odd', files: [short] })).rejects.toMatchObject({
      code: 'invalid-model',
      message:
        'odd.safetensors: has 3 levels with 6 blocks on the way down, which need 9 on the way up; 3 levels with 8 are there.',
    });
  });

  it('refuses heads in the metadata that do not fit', async () => {
    const files = await edited('sd15-tiny', {
      metadata: (found) => ({ ...found, num_attention_heads: '{"text_encoder": 5}' }),
    });
    await expect(openCheckpoint(files)).rejects.toMatchObject({
      message:
        'edited.safetensors: its text encoder is 32 wide, which does not make the 5 heads of its metadata.',
    });
    const none = await edited('sd15-tiny', { metadata: without('num_attention_heads') });
    await expect(openCheckpoint(none)).rejects.toMatchObject({
      message: 'edited.safetensors: its text encoder is 32 wide, which does not make heads of 64.',
    });
  });

  it('refuses a text encoder under two names', async () => {
    const files = await edited('sd15-tiny', {
      add: {
        'cond_stage_model.transformer.final_layer_norm.weight': {
          dtype: 'F16',
          shape: [32],
          bytes: new Uint8Array(64),
        },
      },
    });
    await expect(openCheckpoint(files)).rejects.toMatchObject({
      code: 'invalid-model',
      message: 'edited.safetensors: holds "text_model.final_layer_norm.weight" under two names.',
    });
  });

  it('names a tensor that it does not know, inside a part or beside them', async () => {
    const scalar = { dtype: 'F16', shape: [1], bytes: new Uint8Array(2) };
    for (const name of [
      'model.diffusion_model.input_blocks.0.1.weight',
      'first_stage_model.encoder.extra.weight',
      'cond_stage_model.transformer.text_model.extra',
      'edm_vpred.sigma_max',
    ]) {
      await expect(
        openCheckpoint(await edited('sd15-tiny', { add: { [name]: scalar } })),
      ).rejects.toMatchObject({
        code: 'unsupported',
        message: `edited.safetensors: holds the tensor "${name}", which this version of Easel does not know.`,
      });
    }
  });

  it("names a tensor that is missing by the file's own name", async () => {
    for (const [model, name, shape] of [
      ['sd15-tiny', 'model.diffusion_model.input_blocks.1.0.in_layers.2.bias', '[32]'],
      ['sd15-tiny', 'first_stage_model.decoder.up.3.block.0.norm1.weight', '[64]'],
      ['sd2-tiny', 'cond_stage_model.model.transformer.resblocks.2.mlp.c_fc.bias', '[64]'],
      ['sd15-tiny', 'model.diffusion_model.input_blocks.0.0.weight', null],
      ['sd15-tiny', 'first_stage_model.encoder.conv_in.weight', null],
      ['sd2-tiny', 'cond_stage_model.model.positional_embedding', null],
      ['sdxl-tiny', 'conditioner.embedders.1.model.text_projection', null],
    ] as const) {
      const files = await edited(model, { keep: (candidate) => candidate !== name });
      await expect(openCheckpoint(files)).rejects.toMatchObject({
        code: 'invalid-model',
        message: `edited.safetensors: tensor "${name}"${shape ? ` ${shape}` : ''} is missing.`,
      });
    }
  });

  it('says so where the text encoder is missing', async () => {
    const keep = (name: string) => !name.startsWith('cond_stage_model.');
    await expect(openCheckpoint(await edited('sd15-tiny', { keep }))).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining(
        'edited.safetensors: is incomplete: it holds no text encoder',
      ),
    });
  });

  it.each([
    ['sd15-tiny', 0.18215],
    ['sdxl-tiny', 0.13025],
  ] as const)(
    '%s without its VAE is a checkpoint that takes another',
    async (model, scalingFactor) => {
      const whole = await openCheckpoint(singleFile(model));
      const keep = (name: string) => !name.startsWith('first_stage_model.');
      const { components, description } = await openCheckpoint(await edited(model, { keep }));
      const names = whole.components.map(({ name }) => name).filter((name) => !/^vae/.test(name));
      expect(components.map(({ name }) => name)).toEqual(names);
      expect(description).toEqual({ ...whole.description, vaeFactor: 8, scalingFactor });
    },
  );

  it('refuses SDXL’s UNet with its refiner’s text encoder', async () => {
    const files = await edited('sdxl-tiny', {
      keep: (name) => !name.startsWith('conditioner.embedders.0.'),
      rename: (name) => name.replace('conditioner.embedders.1.', 'conditioner.embedders.0.'),
    });
    await expect(openCheckpoint(files)).rejects.toMatchObject({
      code: 'invalid-model',
      message: expect.stringMatching(/text states of width 40, but the text encoder gives 24/),
    });
  });

  it('refuses parts that do not fit each other', async () => {
    const xl = singleFileBytes('sdxl-tiny');
    const header = await readSafetensorsHeader(memorySource('xl', xl));
    const unet = [...header.tensors].filter(([name]) => name.startsWith('model.diffusion_model.'));
    const files = await edited('sd2-tiny', {
      keep: (name) => !name.startsWith('model.diffusion_model.'),
      add: Object.fromEntries(
        unet
          .filter(([name]) => !name.includes('label_emb'))
          .map(([name, { dtype, shape, offset, sizeBytes }]) => [
            name,
            { dtype, shape, bytes: xl.subarray(offset, offset + sizeBytes) },
          ]),
      ),
    });
    await expect(openCheckpoint(files)).rejects.toMatchObject({
      code: 'invalid-model',
      message:
        'edited.safetensors: the UNet reads text states of width 40, but the text encoder gives 16.',
    });
  });
});

describe('files that are no checkpoint', () => {
  it.each(['ckpt', 'pt', 'pth', 'bin'])(
    '.%s is never opened, and it says how to convert',
    async (ending) => {
      const unread: ByteSource = {
        path: `model.${ending}`,
        sizeBytes: 10,
        read: () => Promise.reject(new Error('read')),
      };
      await expect(openCheckpoint({ name: 'model', files: [unread] })).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringMatching(/pickled file.*never opens.*Convert it to \.safetensors/),
      });
    },
  );

  it('several files without an index are refused', async () => {
    const [file] = singleFile('sd2-tiny').files;
    const files = [file!, { ...file!, path: 'other.safetensors' }];
    await expect(openCheckpoint({ name: 'two', files })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('holds 2 .safetensors files and no model_index.json'),
    });
  });

  it('a file of another kind says what it is', async () => {
    const unet = await fileSource(
      join(MODELS, 'sd15-inpaint-tiny/unet/diffusion_pytorch_model.safetensors'),
      'unet.safetensors',
    );
    await expect(openCheckpoint({ name: 'unet', files: [unet] })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/unet\.safetensors: holds the UNet.*alone.*model_index\.json/),
    });
  });
});
