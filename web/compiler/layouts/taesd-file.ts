import type { CheckpointComponent } from '../checkpoint.ts';
import { unsupportedModel } from '../errors.ts';
import type { ModelFiles } from '../model.ts';
import type { TaesdConfig } from '../models/taesd.ts';
import type { SourceTensor } from '../safetensors.ts';
import { checkWeights } from './check-weights.ts';
import type { Tensors } from './ldm-keys.ts';
import { fileWords, type ModelParts, type OpenOptions, openWeightFiles } from './parts.ts';

type Half = 'encoder' | 'decoder';

/**
 * Opens a TAESD: diffusers' `AutoencoderTiny`, or the original `taesd_encoder` and `taesd_decoder` files,
 * each of which may come alone. Rejects with `invalid-model` or `unsupported` naming file and tensor.
 */
export async function openTaesd(files: ModelFiles, options: OpenOptions = {}): Promise<ModelParts> {
  const opened = await openWeightFiles(files, options);
  const whole = opened.filter(({ header }) => [...header.tensors.keys()].some(isDiffusersName));
  const chosen = whole.length > 0 ? whole.slice(0, 1) : opened;
  const halves = new Map<Half, Map<string, SourceTensor>>();
  for (const { file, header } of chosen) {
    for (const [half, tensors] of splitHalves(file.path, header.tensors)) {
      if (halves.has(half)) {
        throw unsupportedModel(file.path, `is a second TAESD ${half} in ${files.name}.`);
      }
      halves.set(half, tensors);
    }
  }
  const components = [...halves].map(([half, tensors]) => openHalf(half, tensors));
  return { components, sources: chosen.map(({ file }) => file) };
}

function isDiffusersName(name: string): boolean {
  return /^(encoder|decoder)\.layers\.\d+\./.test(name);
}

/** Tensors of each half in the file, under diffusers' names. */
function splitHalves(file: string, tensors: Tensors): Map<Half, Map<string, SourceTensor>> {
  const halves = new Map<Half, Map<string, SourceTensor>>();
  // The original decoder begins with a clamp, which has no weights.
  const plainHalf: Half = tensors.has('0.weight') ? 'encoder' : 'decoder';
  for (const [name, tensor] of tensors) {
    const prefixed = /^(?:taesd_)?(encoder|decoder)\.(layers\.)?(\d+)\.(.+)$/.exec(name);
    const plain = /^(\d+)\.(.+)$/.exec(name);
    const half = (prefixed?.[1] as Half | undefined) ?? (plain ? plainHalf : undefined);
    if (half === undefined) {
      throw unsupportedModel(file, `holds the tensor "${name}", which no TAESD has.`);
    }
    const isPlain = prefixed?.[2] === undefined;
    const index = Number(prefixed?.[3] ?? plain?.[1]) - (isPlain && half === 'decoder' ? 1 : 0);
    const found = halves.get(half) ?? new Map<string, SourceTensor>();
    found.set(`${half}.layers.${index}.${prefixed?.[4] ?? plain?.[2]}`, tensor);
    halves.set(half, found);
  }
  return halves;
}

function openHalf(half: Half, tensors: Tensors): CheckpointComponent {
  const first = tensors.get(`${half}.layers.0.weight`);
  const file = [...tensors.values()][0]?.file.path ?? half;
  const last = tensors.get('encoder.layers.14.weight');
  const [channels, latentChannels] =
    half === 'encoder' ? [first?.shape[0], last?.shape[0]] : [first?.shape[0], first?.shape[1]];
  if (channels === undefined || latentChannels === undefined) {
    throw unsupportedModel(file, `is no TAESD ${half}: its first or last convolution is missing.`);
  }
  const config: TaesdConfig = { type: 'taesd', channels, latentChannels };
  const component = { name: `taesd_${half}`, config, tensors } as const;
  const words = fileWords((name) => tensors.get(name)?.name ?? name);
  checkWeights(file, tensors, [component], words);
  return component;
}
