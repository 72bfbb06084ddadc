import type { CheckpointComponent } from '../checkpoint.ts';
import { planWeights } from '../component.ts';
import { KeyMap } from '../layouts/ldm-keys.ts';
import type { ComponentName } from '../model.ts';
import type { UnetConfig, UnetLevel } from '../models/unet.ts';
import type { WeightSpec } from '../weights.ts';

/** A weight of a checkpoint that a LoRA's layer changes. */
export interface LoraTarget {
  readonly component: ComponentName;
  readonly spec: WeightSpec;
  /** The weight lies [in, out], where the layer says [out, in]. */
  readonly isTransposed: boolean;
}

/** What a layer's name begins with, for each of the components that LoRAs change. */
const PREFIXES: Readonly<Partial<Record<ComponentName, readonly string[]>>> = {
  unet: ['lora_unet_', 'unet.', 'base_model.model.', 'model.diffusion_model.'],
  text_encoder: ['lora_te_', 'lora_te1_', 'text_encoder.'],
  text_encoder_2: ['lora_te2_', 'text_encoder_2.'],
};

/**
 * Finds the weight that a LoRA's layer belongs to. Layers have the module's path in diffusers or, for
 * UNets, in the original layout ("SGM"), with dots or with underscores in their place; underscores are
 * ambiguous, so the names of the weights at hand are spelled every way and looked up.
 */
export function createLayerFinder(
  components: readonly CheckpointComponent[],
): (layer: string) => LoraTarget | undefined {
  const targets = new Map<string, LoraTarget>();
  for (const { name, config } of components) {
    const prefixes = PREFIXES[name];
    if (!prefixes) continue;
    const sgm = config.type === 'unet' ? sgmNames(config) : null;
    for (const spec of planWeights(name, config)) {
      const module = moduleOf(spec);
      if (module === null) continue;
      const target = { component: name, spec, isTransposed: spec.name === 'text_projection' };
      for (const path of [module, sgm?.toLdm(module)]) {
        if (path === undefined) continue;
        for (const prefix of prefixes) targets.set(spelled(prefix + path), target);
      }
    }
  }
  return (layer) => targets.get(spelled(layer));
}

/** One spelling for all: dots and underscores are the same. */
function spelled(name: string): string {
  return name.replaceAll('.', '_');
}

/** The module whose weight this is; null for biases, tables and norms' scales, which no LoRA factorises. */
function moduleOf({ name, parts, shape }: WeightSpec): string | null {
  if (parts.length !== 1 || shape.length < 2) return null;
  if (name === 'text_projection') return name;
  return name.endsWith('.weight') ? name.slice(0, -'.weight'.length) : null;
}

const RESNET_PARTS = [
  ['in_layers.2', 'conv1'],
  ['emb_layers.1', 'time_emb_proj'],
  ['out_layers.3', 'conv2'],
  ['skip_connection', 'conv_shortcut'],
] as const;

/** Where each module of a UNet lies in the original layout; norms are left out. */
function sgmNames({ down, mid, up }: UnetConfig): KeyMap {
  const keys = new KeyMap();
  const resnet = (from: string, to: string) => {
    for (const [ldm, diffusers] of RESNET_PARTS) keys.add(`${from}.${ldm}`, `${to}.${diffusers}`);
  };
  const hasAttention = ({ transformerDepths }: UnetLevel, layer: number) =>
    (transformerDepths[layer] ?? 0) > 0;
  keys.add('time_embed.0', 'time_embedding.linear_1');
  keys.add('time_embed.2', 'time_embedding.linear_2');
  keys.add('label_emb.0.0', 'add_embedding.linear_1');
  keys.add('label_emb.0.2', 'add_embedding.linear_2');
  keys.add('input_blocks.0.0', 'conv_in');
  keys.add('out.2', 'conv_out');
  let block = 1;
  for (const [index, level] of down.entries()) {
    for (let layer = 0; layer < level.layers; layer++, block++) {
      resnet(`input_blocks.${block}.0`, `down_blocks.${index}.resnets.${layer}`);
      keys.add(`input_blocks.${block}.1`, `down_blocks.${index}.attentions.${layer}`);
    }
    if (index < down.length - 1) {
      keys.add(`input_blocks.${block++}.0.op`, `down_blocks.${index}.downsamplers.0.conv`);
    }
  }
  resnet('middle_block.0', 'mid_block.resnets.0');
  const midAttends = (mid?.transformerDepth ?? 0) > 0;
  if (midAttends) keys.add('middle_block.1', 'mid_block.attentions.0');
  resnet(`middle_block.${midAttends ? 2 : 1}`, 'mid_block.resnets.1');
  block = 0;
  for (const [index, level] of up.entries()) {
    for (let layer = 0; layer < level.layers; layer++, block++) {
      resnet(`output_blocks.${block}.0`, `up_blocks.${index}.resnets.${layer}`);
      const attends = hasAttention(level, layer);
      if (attends) keys.add(`output_blocks.${block}.1`, `up_blocks.${index}.attentions.${layer}`);
      if (layer === level.layers - 1 && index < up.length - 1) {
        const place = attends ? 2 : 1;
        keys.add(`output_blocks.${block}.${place}.conv`, `up_blocks.${index}.upsamplers.0.conv`);
      }
    }
  }
  return keys;
}
