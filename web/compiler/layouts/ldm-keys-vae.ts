import { unsupportedModel } from '../errors.ts';
import type { AutoencoderKlConfig } from '../models/autoencoder-kl.ts';
import { countWhile, KeyMap, missingTensor, type TensorPlace, type Tensors } from './ldm-keys.ts';

/** A VAE's configuration and names, read off the tensors of a single file or a stand-alone VAE file. */
export interface LdmVae {
  readonly config: AutoencoderKlConfig;
  readonly keys: KeyMap;
}

const NORM_GROUPS = 32;

const ATTENTION_PARTS = [
  ['norm', 'group_norm'],
  ['q', 'to_q'],
  ['k', 'to_k'],
  ['v', 'to_v'],
  ['proj_out', 'to_out.0'],
] as const;

/**
 * Reads the structure of an LDM VAE off its names (without `first_stage_model.`) and shapes; the
 * scaling factor is no weight and has to be known. Errors name the file and the tensor.
 */
export function readLdmVae(place: TensorPlace, tensors: Tensors, scalingFactor: number): LdmVae {
  const size = (name: string, axis: number): number => {
    const found = tensors.get(name)?.shape[axis];
    if (found === undefined) throw missingTensor(place, name);
    return found;
  };
  const firstConv = (level: number) => `encoder.down.${level}.block.0.conv1.weight`;
  const levels = countWhile(tensors, firstConv);
  const layers = countWhile(tensors, (block) => `encoder.down.0.block.${block}.conv1.weight`);
  if (levels === 0) throw missingTensor(place, firstConv(0));
  const blockOutChannels = Array.from({ length: levels }, (_, level) => size(firstConv(level), 0));
  const odd = blockOutChannels.find((channels) => channels === 0 || channels % NORM_GROUPS !== 0);
  if (odd !== undefined) {
    throw unsupportedModel(
      place.file,
      `its VAE has a level of ${odd} channels, which do not make ${NORM_GROUPS} groups.`,
    );
  }
  return {
    keys: vaeKeys(levels, layers),
    config: {
      type: 'autoencoder-kl',
      inChannels: size('encoder.conv_in.weight', 1),
      outChannels: size('decoder.conv_out.weight', 0),
      latentChannels: size('decoder.conv_in.weight', 1),
      blockOutChannels,
      layersPerBlock: layers,
      normGroups: NORM_GROUPS,
      scalingFactor,
      shiftFactor: 0,
      midBlockAttention: tensors.has('encoder.mid.attn_1.norm.weight'),
      quantConv: tensors.has('quant_conv.weight'),
      postQuantConv: tensors.has('post_quant_conv.weight'),
    },
  };
}

function vaeKeys(levels: number, layers: number): KeyMap {
  const keys = new KeyMap();
  for (const name of ['quant_conv', 'post_quant_conv']) keys.add(name, name);
  for (const half of ['encoder', 'decoder']) {
    for (const name of ['conv_in', 'conv_out']) keys.add(`${half}.${name}`, `${half}.${name}`);
    keys.add(`${half}.norm_out`, `${half}.conv_norm_out`);
    resnet(keys, `${half}.mid.block_1`, `${half}.mid_block.resnets.0`);
    resnet(keys, `${half}.mid.block_2`, `${half}.mid_block.resnets.1`);
    for (const [ldm, diffusers] of ATTENTION_PARTS) {
      keys.add(`${half}.mid.attn_1.${ldm}`, `${half}.mid_block.attentions.0.${diffusers}`);
    }
  }
  for (let level = 0; level < levels; level++) {
    const down = [`encoder.down.${level}`, `encoder.down_blocks.${level}`] as const;
    // The decoder's levels are numbered from the picture's size down, diffusers' as they are run.
    const up = [`decoder.up.${level}`, `decoder.up_blocks.${levels - 1 - level}`] as const;
    keys.add(`${down[0]}.downsample.conv`, `${down[1]}.downsamplers.0.conv`);
    keys.add(`${up[0]}.upsample.conv`, `${up[1]}.upsamplers.0.conv`);
    for (let layer = 0; layer <= layers; layer++) {
      if (layer < layers) resnet(keys, `${down[0]}.block.${layer}`, `${down[1]}.resnets.${layer}`);
      resnet(keys, `${up[0]}.block.${layer}`, `${up[1]}.resnets.${layer}`);
    }
  }
  return keys;
}

function resnet(keys: KeyMap, from: string, to: string): void {
  for (const part of ['norm1', 'conv1', 'norm2', 'conv2']) {
    keys.add(`${from}.${part}`, `${to}.${part}`);
  }
  keys.add(`${from}.nin_shortcut`, `${to}.conv_shortcut`);
}
