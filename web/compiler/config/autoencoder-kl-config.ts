import type { AutoencoderKlConfig } from '../models/autoencoder-kl.ts';
import { ConfigReader } from './reader.ts';

const KNOWN_SETTINGS = {
  act_fn: 'silu',
  latents_mean: null,
  latents_std: null,
} as const;

/** Reads the `config.json` of a diffusers `AutoencoderKL`. */
export function parseAutoencoderKlConfig(
  file: string,
  fields: Readonly<Record<string, unknown>>,
): AutoencoderKlConfig {
  const reader = new ConfigReader(file, fields);
  const blockOutChannels = reader.counts('block_out_channels', [64]);
  for (const [field, type] of [
    ['down_block_types', 'DownEncoderBlock2D'],
    ['up_block_types', 'UpDecoderBlock2D'],
  ] as const) {
    if (reader.choices(field, [type]).length !== blockOutChannels.length) {
      throw reader.wrong(field, `a list of ${blockOutChannels.length}`);
    }
  }
  const config: AutoencoderKlConfig = {
    type: 'autoencoder-kl',
    inChannels: reader.count('in_channels', 3),
    outChannels: reader.count('out_channels', 3),
    latentChannels: reader.count('latent_channels', 4),
    blockOutChannels,
    layersPerBlock: reader.count('layers_per_block', 1),
    normGroups: reader.count('norm_num_groups', 32),
    scalingFactor: reader.number('scaling_factor', 0.18215),
    shiftFactor: reader.number('shift_factor', 0),
    midBlockAttention: reader.flag('mid_block_add_attention', true),
    quantConv: reader.flag('use_quant_conv', true),
    postQuantConv: reader.flag('use_post_quant_conv', true),
  };
  if (config.scalingFactor === 0) throw reader.wrong('scaling_factor', 'a number other than 0');
  for (const size of blockOutChannels) {
    if (size % config.normGroups !== 0) {
      throw reader.wrong('norm_num_groups', `a divisor of ${blockOutChannels.join(', ')}`);
    }
  }
  reader.onlyKnown(KNOWN_SETTINGS);
  // force_upcast: our VAE is float32 at every precision.
  reader.ignore('sample_size', 'force_upcast');
  reader.finish();
  return config;
}
