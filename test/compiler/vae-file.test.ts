import { describe, expect, it } from 'vitest';
import { fitVae, openVae } from '../../web/compiler/layouts/vae-file.ts';
import type { ModelFiles } from '../../web/compiler/model.ts';
import type { AutoencoderKlConfig } from '../../web/compiler/models/autoencoder-kl.ts';
import { jsonSource } from './lib/files.ts';
import { type CompiledParts, compileParts, fixtureFiles, renamedFile } from './lib/parts.ts';
import { readReferences } from './lib/references.ts';
import { f32, maxDifference, runComponent } from './lib/runtime.ts';

const references = await readReferences('vae-tiny');
const plain = () => fixtureFiles('vae-tiny.safetensors');
const prefixed = async () => renamedFile(await plain(), (name) => `first_stage_model.${name}`);

/** LDM's names for a VAE of four levels and two layers as diffusers has them, written out once more. */
function diffusersName(name: string): string {
  return name
    .replace(/^(encoder\.)down\.(\d)\.block\.(\d)\./, '$1down_blocks.$2.resnets.$3.')
    .replace(/^encoder\.down\.(\d)\.downsample\./, 'encoder.down_blocks.$1.downsamplers.0.')
    .replace(/^decoder\.up\.(\d)\.block\.(\d)\./, (_, level, layer) => {
      return `decoder.up_blocks.${3 - Number(level)}.resnets.${layer}.`;
    })
    .replace(/^decoder\.up\.(\d)\.upsample\./, (_, level) => {
      return `decoder.up_blocks.${3 - Number(level)}.upsamplers.0.`;
    })
    .replace(/\.mid\.block_([12])\./, (_, n) => `.mid_block.resnets.${Number(n) - 1}.`)
    .replace('.mid.attn_1.norm.', '.mid_block.attentions.0.group_norm.')
    .replace('.mid.attn_1.proj_out.', '.mid_block.attentions.0.proj_attn.')
    .replace('.mid.attn_1.q.', '.mid_block.attentions.0.query.')
    .replace('.mid.attn_1.k.', '.mid_block.attentions.0.key.')
    .replace('.mid.attn_1.v.', '.mid_block.attentions.0.value.')
    .replace('nin_shortcut', 'conv_shortcut')
    .replace(/coder\.norm_out\./, 'coder.conv_norm_out.');
}
const diffusers = async () => renamedFile(await plain(), diffusersName);

/** With the configuration beside it, as in a folder. */
async function folder(): Promise<ModelFiles> {
  const { name, files } = await diffusers();
  const config = jsonSource('config.json', {
    _class_name: 'AutoencoderKL',
    block_out_channels: [32, 32, 64, 64],
    down_block_types: Array(4).fill('DownEncoderBlock2D'),
    up_block_types: Array(4).fill('UpDecoderBlock2D'),
    latent_channels: 4,
    layers_per_block: 2,
    norm_num_groups: 32,
    scaling_factor: 0.5,
  });
  return { name, files: [...files, config] };
}

const CHECKPOINT = { latentChannels: 4, vaeFactor: 8, scalingFactor: 0.18215, shiftFactor: 0 };

describe.each([
  ['LDM names without a prefix', plain],
  ["a checkpoint's names", prefixed],
  ['diffusers names', diffusers],
  ['a diffusers folder', folder],
] as const)('a VAE file with %s', (_, files) => {
  let compiled: CompiledParts;

  async function run(name: 'vae_encoder' | 'vae_decoder', input: string, scale = 1) {
    compiled ??= await compileParts(await openVae(await files()));
    const part = compiled.components.find((candidate) => candidate.name === name)!;
    const config = fitVae('v', part.config as AutoencoderKlConfig, CHECKPOINT);
    const { data, shape } = references.tensor(input);
    const [batch = 0, , height = 0, width = 0] = shape;
    const factor = name === 'vae_encoder' ? 8 : 1;
    const size = { batch, tokens: 1, latentHeight: height / factor, latentWidth: width / factor };
    const tensor = f32(
      data.map((value) => value * scale),
      shape,
    );
    const feeds = name === 'vae_encoder' ? { sample: tensor } : { latents: tensor };
    return runComponent({ ...part, config }, compiled.sink, size, feeds);
  }

  it.each(references.cases.map((c) => [c.name, c] as const))(
    '%s',
    async (_, { inputs, outputs }) => {
      const close = (found: { data: Float32Array } | undefined, name: string) =>
        expect(maxDifference(found!.data, references.tensor(name).data)).toBeLessThanOrEqual(
          references.tolerance(name),
        );
      if (inputs.image) {
        const found = await run('vae_encoder', inputs.image);
        close(found.latent_mean, outputs.mean!);
        close(found.latent_std, outputs.std!);
      } else {
        const found = await run('vae_decoder', inputs.latent!, CHECKPOINT.scalingFactor);
        close(found.image, outputs.image!);
      }
    },
  );
});

describe('a VAE that does not fit', () => {
  const config = async () =>
    (await openVae(await plain())).components[0]!.config as AutoencoderKlConfig;

  it('says how many channels its latents have', async () => {
    const checkpoint = { ...CHECKPOINT, latentChannels: 16 };
    const fit = config().then((found) => fitVae('sd-vae', found, checkpoint));
    await expect(fit).rejects.toThrow(
      "sd-vae: this VAE's latents have 4 channels, the checkpoint's 16. Choose a VAE made for this checkpoint, or Automatic.",
    );
  });

  it('says how many pixels it makes of a latent', async () => {
    const checkpoint = { ...CHECKPOINT, vaeFactor: 16 };
    const fit = config().then((found) => fitVae('sd-vae', found, checkpoint));
    await expect(fit).rejects.toThrow("8 × 8 pixels of a latent, the checkpoint's 16 × 16");
  });
});

describe('a VAE file that is refused', () => {
  it('names a tensor that is missing, as the file would', async () => {
    const files = await renamedFile(await prefixed(), (name) =>
      name.endsWith('decoder.conv_out.bias') ? null : name,
    );
    await expect(openVae(files)).rejects.toThrow(
      'renamed.safetensors: tensor "first_stage_model.decoder.conv_out.bias" [3] is missing.',
    );
  });

  it('names a tensor that it does not know', async () => {
    const extra = {
      'decoder.extra.weight': { dtype: 'F32', shape: [1], bytes: new Uint8Array(4) },
    };
    const files = await renamedFile(await plain(), (name) => name, 'v.safetensors', extra);
    await expect(openVae(files)).rejects.toThrow(
      'v.safetensors: holds the tensor "decoder.extra.weight", which this version of Easel does not know.',
    );
  });

  it('says what another kind of file is', async () => {
    await expect(openVae(await fixtureFiles('loras/sd15-kohya.safetensors'))).rejects.toThrow(
      'sd15-kohya.safetensors: holds a LoRA, where a VAE was expected.',
    );
    const pickled = { name: 'v', files: [jsonSource('v.pt', {})] };
    await expect(openVae(pickled)).rejects.toThrow('v.pt: is a pickled file');
  });
});
