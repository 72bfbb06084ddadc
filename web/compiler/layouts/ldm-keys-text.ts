import { isFloatSource, sourceBytes } from '../convert.ts';
import { invalidModel, unsupportedModel } from '../errors.ts';
import type { ClipTextConfig } from '../models/clip-text.ts';
import type { SourceTensor } from '../safetensors.ts';
import { countWhile, KeyMap, missingTensor, type TensorPlace, type Tensors } from './ldm-keys.ts';

/** A text encoder's configuration and tensors, by diffusers' names. */
export interface LdmTextEncoder {
  readonly config: ClipTextConfig;
  readonly tensors: Map<string, SourceTensor>;
  readonly keys: KeyMap;
}

/** What no shape tells. */
export interface TextFacts {
  /** Number of heads; null where every head has 64 channels, as in all published models. */
  readonly heads: number | null;
  readonly eosId: number;
}

const HEAD_CHANNELS = 64;
const LAYER_NORM_EPSILON = 1e-5;
/** OpenCLIP ViT-H/14, SD 2's tower: 24 layers, of which the last is never run. */
const VIT_H = { hiddenSize: 1024, usedLayers: 23 };

/** SD 1's text encoder and SDXL's first: transformers' names, in old files without `text_model.`. */
export function readClipText(
  place: TensorPlace,
  source: Tensors,
  facts: TextFacts,
): LdmTextEncoder {
  const keys = new KeyMap();
  keys.add('text_model', 'text_model');
  const tensors = new Map<string, SourceTensor>();
  for (const [name, tensor] of source) {
    const current = name.startsWith('text_model.') ? name : `text_model.${name}`;
    if (tensors.has(current)) {
      throw invalidModel(place.file, `holds "${current}" under two names.`);
    }
    const [module = ''] = name.split('.');
    if (current !== name) keys.add(module, `text_model.${module}`);
    tensors.set(current, tensor);
  }
  const config = clipTextConfig(place, tensors, keys, { ...facts, activation: 'quick_gelu' });
  return { config, tensors, keys };
}

const BLOCK_PARTS = [
  ['ln_1', 'layer_norm1'],
  ['ln_2', 'layer_norm2'],
  ['mlp.c_fc', 'mlp.fc1'],
  ['mlp.c_proj', 'mlp.fc2'],
  ['attn.out_proj', 'self_attn.out_proj'],
] as const;

export interface OpenClipOptions extends TextFacts {
  /**
   * SD 2 takes the states of the last layer but one through the final norm, so its tower is kept
   * without the last layer and without the projection. SDXL's second encoder is kept whole.
   */
  readonly isPenultimate: boolean;
}

/** SD 2's text encoder and SDXL's second: OpenCLIP's names, q, k and v in one matrix. */
export function readOpenClipText(
  place: TensorPlace,
  source: Tensors,
  { isPenultimate, ...facts }: OpenClipOptions,
): LdmTextEncoder {
  const present = countWhile(source, (layer) => `${block(layer)}.ln_1.weight`);
  const hiddenSize = source.get('ln_final.weight')?.shape[0] ?? 0;
  // Files converted from diffusers have no 24th layer to drop.
  const used = !isPenultimate
    ? present
    : hiddenSize === VIT_H.hiddenSize
      ? VIT_H.usedLayers
      : present - 1;
  const keys = openClipKeys(used);
  const tensors = new Map<string, SourceTensor>();
  for (const [name, tensor] of source) {
    const layer = /^transformer\.resblocks\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined && Number(layer) >= used && isPenultimate) continue;
    if (name === 'text_projection' && isPenultimate) continue;
    const fused = /^(.*\.attn)\.in_proj_(weight|bias)$/.exec(name);
    if (fused) {
      const [, attention = '', kind = ''] = fused;
      const module = keys.toDiffusers(attention) ?? attention;
      thirds(place.file, tensor).forEach((part, index) => {
        tensors.set(`${module}.${['q', 'k', 'v'][index]}_proj.${kind}`, part);
      });
    } else tensors.set(keys.toDiffusers(name) ?? name, tensor);
  }
  const projection = source.get('text_projection')?.shape[1];
  const config = clipTextConfig(place, tensors, keys, { ...facts, activation: 'gelu' });
  if (isPenultimate) return { config, tensors, keys };
  if (projection === undefined) throw missingTensor(place, 'text_projection');
  return { config: { ...config, projection: { size: projection, form: 'matrix' } }, tensors, keys };
}

function block(layer: number): string {
  return `transformer.resblocks.${layer}`;
}

function openClipKeys(layers: number): KeyMap {
  const keys = new KeyMap();
  keys.add('token_embedding', 'text_model.embeddings.token_embedding');
  keys.add('positional_embedding', 'text_model.embeddings.position_embedding.weight');
  keys.add('ln_final', 'text_model.final_layer_norm');
  keys.add('text_projection', 'text_projection');
  for (let layer = 0; layer < layers; layer++) {
    const module = `text_model.encoder.layers.${layer}`;
    keys.add(`${block(layer)}.attn`, `${module}.self_attn`);
    for (const [ldm, diffusers] of BLOCK_PARTS) {
      keys.add(`${block(layer)}.${ldm}`, `${module}.${diffusers}`);
    }
  }
  return keys;
}

/** q, k and v lie one after the other: three views of the same bytes. */
function thirds(file: string, tensor: SourceTensor): SourceTensor[] {
  const [rows = 0, ...rest] = tensor.shape;
  const { dtype } = tensor;
  if (rows % 3 !== 0 || rows === 0) {
    throw invalidModel(
      file,
      `tensor "${tensor.name}" should hold q, k and v, but has the shape [${tensor.shape.join(', ')}].`,
    );
  }
  if (!isFloatSource(dtype)) {
    throw unsupportedModel(
      file,
      `tensor "${tensor.name}" is ${dtype}; weights are read from F64, F32, F16 and BF16.`,
    );
  }
  const third = rows / 3;
  const sizeBytes = third * rest.reduce((product, size) => product * size, sourceBytes(dtype));
  return [0, 1, 2].map((index) => ({
    ...tensor,
    shape: [third, ...rest],
    offset: tensor.offset + index * sizeBytes,
    sizeBytes,
  }));
}

function clipTextConfig(
  place: TensorPlace,
  tensors: Tensors,
  keys: KeyMap,
  { heads, eosId, activation }: TextFacts & Pick<ClipTextConfig, 'activation'>,
): ClipTextConfig {
  const size = (name: string, axis: number): number => {
    const found = tensors.get(name)?.shape[axis];
    if (found !== undefined) return found;
    throw missingTensor(place, keys.toLdm(name) ?? name);
  };
  const embedding = 'text_model.embeddings.token_embedding.weight';
  const hiddenSize = size(embedding, 1);
  const layer = (index: number) => `text_model.encoder.layers.${index}.mlp.fc1.weight`;
  const layers = countWhile(tensors, layer);
  const count = heads ?? hiddenSize / HEAD_CHANNELS;
  if (!Number.isInteger(count) || count < 1 || hiddenSize % count !== 0) {
    throw unsupportedModel(
      place.file,
      heads === null
        ? `its text encoder is ${hiddenSize} wide, which does not make heads of ${HEAD_CHANNELS}.`
        : `its text encoder is ${hiddenSize} wide, which does not make the ${heads} heads of its metadata.`,
    );
  }
  return {
    type: 'clip-text',
    hiddenSize,
    intermediateSize: size(layer(0), 0),
    layers,
    heads: count,
    activation,
    vocabSize: size(embedding, 0),
    contextLength: size('text_model.embeddings.position_embedding.weight', 0),
    layerNormEps: LAYER_NORM_EPSILON,
    eosId,
    projection: null,
  };
}
