import { TIME_IDS } from '../model.ts';
import type { UnetConfig, UnetLevel } from '../models/unet.ts';
import { ConfigReader } from './reader.ts';

/** Fields of `UNet2DConditionModel` that are known in diffusers' default setting only. */
const KNOWN_SETTINGS = {
  act_fn: 'silu',
  attention_type: 'default',
  center_input_sample: false,
  class_embed_type: null,
  class_embeddings_concat: false,
  conv_in_kernel: 3,
  conv_out_kernel: 3,
  cross_attention_norm: null,
  downsample_padding: 1,
  dual_cross_attention: false,
  encoder_hid_dim: null,
  encoder_hid_dim_type: null,
  mid_block_only_cross_attention: null,
  mid_block_scale_factor: 1,
  num_class_embeds: null,
  only_cross_attention: false,
  resnet_out_scale_factor: 1,
  resnet_skip_time_act: false,
  resnet_time_scale_shift: 'default',
  time_embedding_act_fn: null,
  time_embedding_dim: null,
  time_embedding_type: 'positional',
  timestep_post_act: null,
} as const;

/** What the pipeline must know of the UNet besides its graph. */
export interface ParsedUnet {
  readonly config: UnetConfig;
  /** Latent side that the model was trained for. */
  readonly sampleSize: number;
}

/** Reads the `config.json` of a diffusers `UNet2DConditionModel`; `pooledSize` is the text encoder's, where it has one. */
export function parseUnetConfig(
  file: string,
  fields: Readonly<Record<string, unknown>>,
  pooledSize: number | null = null,
): ParsedUnet {
  const reader = new ConfigReader(file, fields);
  const channels = reader.counts('block_out_channels', [320, 640, 1280, 1280]);
  const { down, up, mid } = parseLevels(reader, channels);
  const config: UnetConfig = {
    type: 'unet',
    inChannels: reader.count('in_channels', 4),
    outChannels: reader.count('out_channels', 4),
    contextSize: reader.count('cross_attention_dim', 1280),
    down,
    up,
    mid,
    normGroups: reader.count('norm_num_groups', 32),
    normEps: reader.number('norm_eps', 1e-5),
    flipSinToCos: reader.flag('flip_sin_to_cos', true),
    freqShift: reader.number('freq_shift', 0),
    upcastAttention: reader.flag('upcast_attention', false),
    textTime: parseTextTime(reader, pooledSize),
    timestepCondSize: reader.get('time_cond_proj_dim') ? reader.count('time_cond_proj_dim') : null,
  };
  for (const size of channels) {
    if (size % config.normGroups !== 0) {
      throw reader.wrong('norm_num_groups', `a divisor of every one of ${channels.join(', ')}`);
    }
  }
  const sampleSize = reader.count('sample_size', 64);
  reader.onlyKnown(KNOWN_SETTINGS);
  // The projections are the same 1×1 convolutions either way.
  reader.ignore('use_linear_projection', 'dropout', 'addition_embed_type_num_heads');
  reader.finish();
  return { config, sampleSize };
}

/** How many numbers an SDXL UNet is told beside `pooledSize` text features, where `conditions` features are all of them. */
export function timeIdsOf(
  conditions: number,
  timeFeatures: number,
  pooledSize: number | null,
): number {
  const isRefiner =
    pooledSize !== null && conditions - pooledSize === TIME_IDS.refiner * timeFeatures;
  return isRefiner ? TIME_IDS.refiner : TIME_IDS.base;
}

/** `addition_embed_type`: none, or SDXL's `text_time`. */
function parseTextTime(reader: ConfigReader, pooledSize: number | null): UnetConfig['textTime'] {
  const fields = ['addition_time_embed_dim', 'projection_class_embeddings_input_dim'] as const;
  if (reader.get('addition_embed_type') === undefined) {
    reader.onlyKnown({ [fields[0]]: null, [fields[1]]: null });
    return null;
  }
  reader.choice('addition_embed_type', ['text_time']);
  const timeFeatures = reader.count(fields[0]);
  const conditions = reader.count(fields[1]);
  const timeIds = timeIdsOf(conditions, timeFeatures, pooledSize);
  const textEmbedsSize = conditions - timeIds * timeFeatures;
  if (timeFeatures % 2 !== 0) throw reader.wrong(fields[0], 'an even number');
  if (textEmbedsSize < 1) {
    throw reader.wrong(fields[1], `more than ${timeIds} times the addition_time_embed_dim`);
  }
  return { textEmbedsSize, timeIds, timeFeatures };
}

function parseLevels(
  reader: ConfigReader,
  channels: readonly number[],
): Pick<UnetConfig, 'down' | 'up' | 'mid'> {
  const count = channels.length;
  const downTypes = reader.choices('down_block_types', ['CrossAttnDownBlock2D', 'DownBlock2D']);
  const upTypes = reader.choices('up_block_types', ['CrossAttnUpBlock2D', 'UpBlock2D']);
  if (downTypes.length !== count) throw reader.wrong('down_block_types', `a list of ${count}`);
  if (upTypes.length !== count) throw reader.wrong('up_block_types', `a list of ${count}`);
  const layers = reader.countPerLevel('layers_per_block', count, 2);
  const heads = parseHeads(reader, channels);
  const depths = parseDepths(reader, 'transformer_layers_per_block', layers);
  const upLayers = layers.toReversed().map((layer) => layer + 1);
  const upDepths =
    reader.get('reverse_transformer_layers_per_block') === undefined
      ? depths.toReversed().map((level) => [...level, level.at(-1) ?? 1])
      : parseDepths(reader, 'reverse_transformer_layers_per_block', upLayers);
  const level = (
    index: number,
    hasAttention: boolean,
    source: { channels: readonly number[]; layers: readonly number[]; heads: readonly number[] },
    transformerDepths: readonly (readonly number[])[],
  ): UnetLevel => ({
    channels: source.channels[index] ?? 0,
    layers: source.layers[index] ?? 0,
    heads: source.heads[index] ?? 0,
    transformerDepths: hasAttention ? (transformerDepths[index] ?? []) : [],
  });
  const downSource = { channels, layers, heads };
  const upSource = {
    channels: channels.toReversed(),
    layers: upLayers,
    heads: heads.toReversed(),
  };
  return {
    down: downTypes.map((type, index) =>
      level(index, type === 'CrossAttnDownBlock2D', downSource, depths),
    ),
    up: upTypes.map((type, index) =>
      level(index, type === 'CrossAttnUpBlock2D', upSource, upDepths),
    ),
    mid: parseMid(reader, heads.at(-1) ?? 0, depths.at(-1)?.at(-1) ?? 1),
  };
}

/**
 * Heads at each level. `attention_head_dim` has meant the number of heads in every
 * UNet2DConditionModel so far; where diffusers ever writes `num_attention_heads`, that counts.
 */
function parseHeads(reader: ConfigReader, channels: readonly number[]): readonly number[] {
  const old = reader.countPerLevel('attention_head_dim', channels.length, 8);
  const field =
    reader.get('num_attention_heads') === undefined ? 'attention_head_dim' : 'num_attention_heads';
  const heads = field === 'attention_head_dim' ? old : reader.countPerLevel(field, channels.length);
  heads.forEach((count, level) => {
    const size = channels[level] ?? 0;
    if (size % count !== 0) throw reader.wrong(field, `a divisor of ${size} at level ${level}`);
  });
  return heads;
}

/** Transformer blocks after each ResNet block: one number, one a level, or a list a level. */
function parseDepths(
  reader: ConfigReader,
  field: string,
  layers: readonly number[],
): readonly (readonly number[])[] {
  const value = reader.get(field) ?? 1;
  const levels = Array.isArray(value) ? value : Array(layers.length).fill(value);
  if (levels.length !== layers.length) throw reader.wrong(field, `a list of ${layers.length}`);
  return levels.map((level: unknown, index) => {
    const count = layers[index] ?? 0;
    const list = Array.isArray(level) ? level : Array(count).fill(level);
    const isDepths = list.every((depth) => Number.isInteger(depth) && depth >= 0 && depth <= 100);
    if (!isDepths || list.length !== count) {
      throw reader.wrong(field, 'whole numbers, one a level or one a layer');
    }
    return list;
  });
}

function parseMid(
  reader: ConfigReader,
  heads: number,
  transformerDepth: number,
): UnetConfig['mid'] {
  // An explicit null means no middle block; a config without the field has the default one.
  if (reader.isNull('mid_block_type')) return null;
  const known = ['UNetMidBlock2DCrossAttn', 'UNetMidBlock2D'] as const;
  const type = reader.choice('mid_block_type', known, 'UNetMidBlock2DCrossAttn');
  return { heads, transformerDepth: type === 'UNetMidBlock2DCrossAttn' ? transformerDepth : 0 };
}
