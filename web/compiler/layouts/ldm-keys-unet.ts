import { timeIdsOf } from '../config/unet-config.ts';
import { invalidModel, unsupportedModel } from '../errors.ts';
import type { UnetConfig, UnetLevel } from '../models/unet.ts';
import { countWhile, KeyMap, missingTensor, type TensorPlace, type Tensors } from './ldm-keys.ts';

/** A UNet's configuration and names, read off the tensors of a single file. */
export interface LdmUnet {
  readonly config: UnetConfig;
  readonly keys: KeyMap;
  /** Whether the transformers' projections are linear layers, as from SD 2 on. */
  readonly hasLinearProjections: boolean;
}

/** Facts of every UNet in this layout, which no shape tells. */
const NORM_GROUPS = 32;
const NORM_EPSILON = 1e-5;
const CONV_HEADS = 8;
const LINEAR_HEAD_CHANNELS = 64;
const SDXL_TIME_FEATURES = 256;

/** Parts of a ResNet block in this layout and in diffusers'. */
const RESNET_PARTS = [
  ['in_layers.0', 'norm1'],
  ['in_layers.2', 'conv1'],
  ['emb_layers.1', 'time_emb_proj'],
  ['out_layers.0', 'norm2'],
  ['out_layers.3', 'conv2'],
  ['skip_connection', 'conv_shortcut'],
] as const;

const OUTER_PARTS = [
  ['time_embed.0', 'time_embedding.linear_1'],
  ['time_embed.2', 'time_embedding.linear_2'],
  ['time_embed.cond_proj', 'time_embedding.cond_proj'],
  ['label_emb.0.0', 'add_embedding.linear_1'],
  ['label_emb.0.2', 'add_embedding.linear_2'],
  ['input_blocks.0.0', 'conv_in'],
  ['out.0', 'conv_norm_out'],
  ['out.2', 'conv_out'],
] as const;

/** A level as it is found: `depths` has an entry for each ResNet block, 0 for one without attention. */
interface FoundLevel {
  channels: number;
  depths: number[];
}

/**
 * Reads the structure of an LDM UNet off its names (without `model.diffusion_model.`) and shapes; `pooledSize` is that
 * of the text encoder's pooled features, where it has some.
 * Errors name the file and the tensor that does not fit.
 */
export function readLdmUnet(
  place: TensorPlace,
  tensors: Tensors,
  pooledSize: number | null,
): LdmUnet {
  const { file, prefix } = place;
  const walk = new UnetWalk(place, tensors);
  for (const [ldm, diffusers] of OUTER_PARTS) walk.keys.add(ldm, diffusers);
  const down = walk.down();
  const mid = walk.mid();
  const up = walk.up();
  checkSkips(file, down, up);
  const [model, conditions] = [
    walk.size('input_blocks.0.0.weight', 0),
    tensors.get('label_emb.0.0.weight')?.shape[1],
  ];
  if (model !== down[0]?.channels) {
    throw invalidModel(
      file,
      `tensor "${prefix}input_blocks.0.0.weight" does not fit the blocks after it.`,
    );
  }
  const timeIds = timeIdsOf(conditions ?? 0, SDXL_TIME_FEATURES, pooledSize);
  const textEmbedsSize = (conditions ?? 0) - timeIds * SDXL_TIME_FEATURES;
  if (conditions !== undefined && textEmbedsSize < 1) {
    throw unsupportedModel(
      file,
      `tensor "${prefix}label_emb.0.0.weight" takes ${conditions} features, too few for SDXL's conditions.`,
    );
  }
  const level = ({ channels, depths }: FoundLevel): UnetLevel => ({
    channels,
    layers: depths.length,
    heads: walk.heads(channels),
    transformerDepths: depths.some((depth) => depth > 0) ? depths : [],
  });
  const lowest = down.at(-1)?.channels ?? 0;
  return {
    keys: walk.keys,
    hasLinearProjections: walk.hasLinearProjections,
    config: {
      type: 'unet',
      inChannels: walk.size('input_blocks.0.0.weight', 1),
      outChannels: walk.size('out.2.weight', 0),
      contextSize: walk.contextSize,
      down: down.map(level),
      mid: mid === null ? null : { heads: walk.heads(lowest), transformerDepth: mid },
      up: up.map(level),
      normGroups: NORM_GROUPS,
      normEps: NORM_EPSILON,
      flipSinToCos: true,
      freqShift: 0,
      upcastAttention: false,
      textTime:
        conditions === undefined
          ? null
          : { textEmbedsSize, timeIds, timeFeatures: SDXL_TIME_FEATURES },
      timestepCondSize: tensors.get('time_embed.cond_proj.weight')?.shape[1] ?? null,
    },
  };
}

/** The same of a UNet's first half alone, a ControlNet's: `up` is empty. */
export function readLdmDown(place: TensorPlace, tensors: Tensors): LdmUnet {
  const walk = new UnetWalk(place, tensors);
  for (const [ldm, diffusers] of OUTER_PARTS) walk.keys.add(ldm, diffusers);
  const down = walk.down();
  const mid = walk.mid();
  const inChannels = walk.size('input_blocks.0.0.weight', 1);
  const lowest = down.at(-1)?.channels ?? 0;
  return {
    keys: walk.keys,
    hasLinearProjections: walk.hasLinearProjections,
    config: {
      ...{ type: 'unet', inChannels, outChannels: inChannels, contextSize: walk.contextSize },
      down: down.map(({ channels, depths }) => ({
        channels,
        layers: depths.length,
        heads: walk.heads(channels),
        transformerDepths: depths.some((depth) => depth > 0) ? depths : [],
      })),
      mid: mid === null ? null : { heads: walk.heads(lowest), transformerDepth: mid },
      up: [],
      ...{ normGroups: NORM_GROUPS, normEps: NORM_EPSILON, flipSinToCos: true, freqShift: 0 },
      // SD 2's attention scores leave float16's range.
      upcastAttention: walk.hasLinearProjections,
      textTime: null,
      timestepCondSize: null,
    },
  };
}

/** Every skip connection is used once on the way up. */
function checkSkips(file: string, down: readonly FoundLevel[], up: readonly FoundLevel[]): void {
  const layers = (levels: readonly FoundLevel[]) =>
    levels.reduce((sum, { depths }) => sum + depths.length, 0);
  const skips = layers(down) + down.length;
  if (down.length === 0 || down.length !== up.length || layers(up) !== skips) {
    throw invalidModel(
      file,
      `has ${down.length} levels with ${layers(down)} blocks on the way down, which need ${skips} on the way up; ${up.length} levels with ${layers(up)} are there.`,
    );
  }
}

/** Goes through the blocks in order and notes what each of them is called in diffusers. */
class UnetWalk {
  readonly keys = new KeyMap();
  readonly #place: TensorPlace;
  readonly #tensors: Tensors;
  contextSize = 0;
  hasLinearProjections = false;

  constructor(place: TensorPlace, tensors: Tensors) {
    this.#place = place;
    this.#tensors = tensors;
  }

  down(): FoundLevel[] {
    const levels: FoundLevel[] = [{ channels: 0, depths: [] }];
    for (let block = 1; this.#hasBlock(`input_blocks.${block}`); block++) {
      const level = levels[levels.length - 1] ?? { channels: 0, depths: [] };
      const from = `input_blocks.${block}`;
      const to = `down_blocks.${levels.length - 1}`;
      if (this.#tensors.has(`${from}.0.op.weight`)) {
        this.keys.add(`${from}.0.op`, `${to}.downsamplers.0.conv`);
        levels.push({ channels: 0, depths: [] });
      } else this.#layer(from, to, level);
    }
    return levels;
  }

  up(): FoundLevel[] {
    const levels: FoundLevel[] = [{ channels: 0, depths: [] }];
    for (let block = 0; this.#hasBlock(`output_blocks.${block}`); block++) {
      const level = levels[levels.length - 1] ?? { channels: 0, depths: [] };
      const from = `output_blocks.${block}`;
      const to = `up_blocks.${levels.length - 1}`;
      this.#layer(from, to, level);
      const upsampler = [1, 2].find((part) => this.#tensors.has(`${from}.${part}.conv.weight`));
      if (upsampler !== undefined) {
        this.keys.add(`${from}.${upsampler}.conv`, `${to}.upsamplers.0.conv`);
        levels.push({ channels: 0, depths: [] });
      }
    }
    return levels;
  }

  /** Transformer blocks of the middle, or null for a UNet that has none. */
  mid(): number | null {
    if (!this.#hasBlock('middle_block.0')) return null;
    const depth = this.#transformer('middle_block.1', 'mid_block.attentions.0');
    this.#resnet('middle_block.0', 'mid_block.resnets.0');
    this.#resnet(`middle_block.${depth > 0 ? 2 : 1}`, 'mid_block.resnets.1');
    return depth;
  }

  /** The rule of all published models: 8 heads with convolutions around, else 64 channels each. */
  heads(channels: number): number {
    const heads = this.hasLinearProjections ? channels / LINEAR_HEAD_CHANNELS : CONV_HEADS;
    // A level without attention has no heads to be wrong about.
    return Math.max(1, Math.floor(heads));
  }

  size(name: string, axis: number): number {
    const size = this.#tensors.get(name)?.shape[axis];
    if (size === undefined) throw missingTensor(this.#place, name);
    return size;
  }

  #hasBlock(block: string): boolean {
    for (const name of this.#tensors.keys()) if (name.startsWith(`${block}.`)) return true;
    return false;
  }

  #layer(from: string, to: string, level: FoundLevel): void {
    const layer = level.depths.length;
    this.#resnet(`${from}.0`, `${to}.resnets.${layer}`);
    const channels = this.size(`${from}.0.out_layers.3.weight`, 0);
    const depth = this.#transformer(`${from}.1`, `${to}.attentions.${layer}`);
    if (channels === 0 || channels % NORM_GROUPS !== 0) {
      throw unsupportedModel(
        this.#place.file,
        `the block "${from}" has ${channels} channels, which do not make ${NORM_GROUPS} groups.`,
      );
    }
    level.channels = channels;
    level.depths.push(depth);
  }

  #resnet(from: string, to: string): void {
    for (const [ldm, diffusers] of RESNET_PARTS) {
      this.keys.add(`${from}.${ldm}`, `${to}.${diffusers}`);
    }
  }

  /** Depth of the transformer at `from`; 0 where there is none. */
  #transformer(from: string, to: string): number {
    const projection = this.#tensors.get(`${from}.proj_in.weight`);
    if (!projection) return 0;
    const block = (index: number) => `${from}.transformer_blocks.${index}.attn2.to_k.weight`;
    this.hasLinearProjections = projection.shape.length === 2;
    const [channels = 0] = projection.shape;
    if (this.hasLinearProjections && channels % LINEAR_HEAD_CHANNELS !== 0) {
      throw unsupportedModel(
        this.#place.file,
        `tensor "${projection.name}" has ${channels} channels, which do not make heads of ${LINEAR_HEAD_CHANNELS}.`,
      );
    }
    this.contextSize = this.size(block(0), 1);
    this.keys.add(from, to);
    return countWhile(this.#tensors, block);
  }
}
