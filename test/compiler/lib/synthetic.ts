import { planWeights } from '../../../web/compiler/component.ts';
import { parseAutoencoderKlConfig } from '../../../web/compiler/config/autoencoder-kl-config.ts';
import { parseClipTextConfig } from '../../../web/compiler/config/clip-text-config.ts';
import { parseUnetConfig } from '../../../web/compiler/config/unet-config.ts';
import type { ByteSource, ModelFiles } from '../../../web/compiler/model.ts';
import { jsonSource, memorySource } from './files.ts';
import { type TensorBytes, writeSafetensors } from './safetensors-bytes.ts';

/** A folder in memory with random weights, in the shape of Easel's own model: nothing is as in SD 1.5. */

export const BOS = 4094;
export const EOS = 4095;

const TEXT = {
  architectures: ['CLIPTextModel'],
  hidden_act: 'quick_gelu',
  hidden_size: 16,
  intermediate_size: 24,
  max_position_embeddings: 77,
  num_attention_heads: 2,
  num_hidden_layers: 2,
  vocab_size: 4096,
};
const UNET = {
  _class_name: 'UNet2DConditionModel',
  attention_head_dim: [1, 2, 4],
  block_out_channels: [4, 8, 12],
  cross_attention_dim: 16,
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  in_channels: 16,
  layers_per_block: [1, 2, 1],
  norm_num_groups: 2,
  out_channels: 16,
  sample_size: 16,
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
};
const VAE = {
  _class_name: 'AutoencoderKL',
  act_fn: 'silu',
  block_out_channels: [2, 2, 4, 4, 6, 6],
  down_block_types: Array(6).fill('DownEncoderBlock2D'),
  force_upcast: true,
  latent_channels: 16,
  layers_per_block: 1,
  norm_num_groups: 2,
  sample_size: 512,
  scaling_factor: 1,
  shift_factor: 0.25,
  up_block_types: Array(6).fill('UpDecoderBlock2D'),
  use_post_quant_conv: false,
};
const SCHEDULER = {
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  num_train_timesteps: 1000,
  prediction_type: 'v_prediction',
};
const INDEX = {
  _class_name: 'StableDiffusionPipeline',
  text_encoder: ['transformers', 'CLIPTextModel'],
  unet: ['diffusers', 'UNet2DConditionModel'],
  vae: ['diffusers', 'AutoencoderKL'],
};

export const CONFIGS = {
  'model_index.json': INDEX,
  'text_encoder/config.json': TEXT,
  'unet/config.json': UNET,
  'vae/config.json': VAE,
  'scheduler/scheduler_config.json': SCHEDULER,
} as const;

export type ConfigPath = keyof typeof CONFIGS;
export type Change = (tensors: Record<string, TensorBytes>) => void;

/** Weights that keep activations near 1, so that mistakes in scale show. */
function randomTensors(names: readonly (readonly [string, readonly number[]])[]) {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const tensors: Record<string, TensorBytes> = {};
  for (const [name, shape] of names) {
    const count = shape.reduce((product, size) => product * size, 1);
    const isNorm = /norm\d?\.weight$|norm_out\.weight$/.test(name);
    const scale = shape.length > 1 ? Math.sqrt(3 / (count / shape[0]!)) : 0.1;
    const values = Float32Array.from({ length: count }, () => random() * scale + (isNorm ? 1 : 0));
    tensors[name] = { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) };
  }
  return tensors;
}

function weights(directory: 'text_encoder' | 'unet' | 'vae', change: Record<string, unknown> = {}) {
  const specs =
    directory === 'text_encoder'
      ? planWeights('text_encoder', parseClipTextConfig('', { ...TEXT, ...change }, EOS))
      : directory === 'unet'
        ? planWeights('unet', parseUnetConfig('', { ...UNET, ...change }).config)
        : (['vae_encoder', 'vae_decoder'] as const).flatMap((name) =>
            planWeights(name, parseAutoencoderKlConfig('', { ...VAE, ...change })),
          );
  const names = specs.flatMap(({ parts, shape }) => {
    const [first = 0, ...rest] = shape;
    return parts.map((part) => [part, [first / parts.length, ...rest]] as const);
  });
  return randomTensors(names);
}

export function tokenizerFiles(): ByteSource[] {
  const vocab: Record<string, number> = Object.fromEntries(
    Array.from({ length: 4094 }, (_, id) => [`t${id}`, id]),
  );
  vocab['<|startoftext|>'] = BOS;
  vocab['<|endoftext|>'] = EOS;
  const merges = new TextEncoder().encode('#version: 0.2\na b\nab c\n');
  return [
    jsonSource('tokenizer/vocab.json', vocab),
    memorySource('tokenizer/merges.txt', merges),
    jsonSource('tokenizer/tokenizer_config.json', { pad_token: '<|endoftext|>' }),
  ];
}

export interface SyntheticOptions {
  /** Fields laid over a config file; undefined takes a field away. */
  readonly configs?: Partial<Record<ConfigPath, Record<string, unknown>>>;
  /** Changes the tensors of a component before they are written. */
  readonly tensors?: Partial<Record<'text_encoder' | 'unet' | 'vae', Change>>;
  /** Makes weights for the changed configuration, so that each component is in order by itself. */
  readonly fitWeights?: boolean;
  readonly without?: readonly string[];
  readonly extra?: readonly ByteSource[];
}

/** The folder's files. */
export function syntheticFolder({
  configs = {},
  tensors = {},
  fitWeights = false,
  without = [],
  extra = [],
}: SyntheticOptions = {}): ModelFiles {
  const files: ByteSource[] = [...tokenizerFiles(), ...extra];
  for (const [path, fields] of Object.entries(CONFIGS)) {
    files.push(jsonSource(path, { ...fields, ...configs[path as ConfigPath] }));
  }
  for (const directory of ['text_encoder', 'unet', 'vae'] as const) {
    const own = weights(directory, fitWeights ? configs[`${directory}/config.json`] : {});
    tensors[directory]?.(own);
    const stem = directory === 'text_encoder' ? 'model' : 'diffusion_pytorch_model';
    files.push(memorySource(`${directory}/${stem}.safetensors`, writeSafetensors(own)));
  }
  return { name: 'tiny', files: files.filter(({ path }) => !without.includes(path)) };
}
