import { parseUnetConfig } from '../config/unet-config.ts';
import { invalidModel } from '../errors.ts';
import { readJsonObject } from '../json-file.ts';
import type { ModelFiles } from '../model.ts';
import type { ControlnetConfig } from '../models/controlnet.ts';
import type { UnetConfig } from '../models/unet.ts';
import { checkWeights } from './check-weights.ts';
import {
  countWhile,
  type KeyMap,
  missingTensor,
  renameTensors,
  type Tensors,
  withPrefix,
} from './ldm-keys.ts';
import { readLdmDown } from './ldm-keys-unet.ts';
import { fileWords, type ModelParts, type OpenOptions, openOnlyFile } from './parts.ts';

const LDM_PREFIX = 'control_model.';

/** Fields of `ControlNetModel` that its UNet does not have, in the only settings that are known. */
const CONTROL_FIELDS: ReadonlySet<string> = new Set([
  'conditioning_channels',
  'conditioning_embedding_out_channels',
  'controlnet_conditioning_channel_order',
  'global_pool_conditions',
]);

/**
 * Opens a ControlNet of SD 1 or SD 2: diffusers' folder or file, or a single file with LDM's names, with or
 * without `control_model.`. Rejects with `invalid-model` or `unsupported` naming file and tensor.
 */
export async function openControlnet(
  files: ModelFiles,
  options: OpenOptions = {},
): Promise<ModelParts> {
  const { file, header } = await openOnlyFile(files, 'controlnet', options);
  const isDiffusers = header.tensors.has('conv_in.weight');
  if (!isDiffusers) {
    const inner = withPrefix(header.tensors, LDM_PREFIX);
    const prefix = inner.size > 0 ? LDM_PREFIX : '';
    const tensors = inner.size > 0 ? inner : header.tensors;
    const { config: unet, keys } = readLdmDown({ file: file.path, prefix }, tensors);
    addControlKeys(keys, tensors);
    const weights = renameTensors(tensors, keys);
    const nameOf = (name: string) =>
      weights.get(name)?.name ?? `${prefix}${keys.toLdm(name) ?? name}`;
    return finish(file.path, weights, unet, nameOf, [file]);
  }
  const sidecar = files.files.find(({ path }) => path === 'config.json');
  if (!sidecar) {
    throw invalidModel(
      file.path,
      'needs the config.json that lies beside it where it was published: its tensors do not tell the attention heads.',
    );
  }
  const fields = await readJsonObject(sidecar, { maxBytes: 2 ** 20 });
  if (fields.controlnet_conditioning_channel_order === 'bgr' || fields.global_pool_conditions) {
    throw invalidModel(
      sidecar.path,
      'describes a ControlNet of another kind (colours in blue, green, red, or pooled conditions).',
    );
  }
  const unet = parseControlConfig(sidecar.path, fields);
  return finish(file.path, header.tensors, unet, (name) => name, [file, sidecar]);
}

/** The UNet that a ControlNet's configuration describes, without the way up. */
function parseControlConfig(file: string, fields: Readonly<Record<string, unknown>>): UnetConfig {
  const own = Object.entries(fields).filter(([name]) => !CONTROL_FIELDS.has(name));
  const down = fields.down_block_types;
  const up = Array.isArray(down) ? down.map(() => 'UpBlock2D') : undefined;
  const { config } = parseUnetConfig(file, { ...Object.fromEntries(own), up_block_types: up });
  return { ...config, up: [] };
}

function finish(
  file: string,
  tensors: Tensors,
  unet: UnetConfig,
  nameOf: (name: string) => string,
  sources: ModelParts['sources'],
): ModelParts {
  const size = (name: string, axis: number): number => {
    const found = tensors.get(name)?.shape[axis];
    if (found === undefined) throw missingTensor({ file, prefix: '' }, nameOf(name));
    return found;
  };
  const embedding = 'controlnet_cond_embedding';
  const block = (index: number) => `${embedding}.blocks.${index}.weight`;
  const halvings = Math.floor(countWhile(tensors, block) / 2);
  const config: ControlnetConfig = {
    type: 'controlnet',
    unet,
    hintChannels: size(`${embedding}.conv_in.weight`, 1),
    hintFeatures: [
      size(`${embedding}.conv_in.weight`, 0),
      ...Array.from({ length: halvings }, (_, index) => size(block(2 * index + 1), 0)),
    ],
  };
  const components = [{ name: 'controlnet', config, tensors }] as const;
  checkWeights(file, tensors, components, fileWords(nameOf));
  return { components, sources };
}

/** What a ControlNet has beside its half of a UNet. */
function addControlKeys(keys: KeyMap, tensors: Tensors): void {
  const hint = 'controlnet_cond_embedding';
  // Every second module of the sequence is an activation.
  const convolutions = countWhile(tensors, (index) => `input_hint_block.${2 * index}.weight`);
  for (let index = 0; index < convolutions; index++) {
    const name =
      index === 0 ? 'conv_in' : index === convolutions - 1 ? 'conv_out' : `blocks.${index - 1}`;
    keys.add(`input_hint_block.${2 * index}`, `${hint}.${name}`);
  }
  const zeros = countWhile(tensors, (index) => `zero_convs.${index}.0.weight`);
  for (let index = 0; index < zeros; index++) {
    keys.add(`zero_convs.${index}.0`, `controlnet_down_blocks.${index}`);
  }
  keys.add('middle_block_out.0', 'controlnet_mid_block');
}
