import type { Checkpoint, CheckpointComponent } from '../checkpoint.ts';
import { parseAutoencoderKlConfig } from '../config/autoencoder-kl-config.ts';
import { parseClipTextConfig } from '../config/clip-text-config.ts';
import { parseSchedulerConfig } from '../config/scheduler-config.ts';
import { parseUnetConfig } from '../config/unet-config.ts';
import { invalidModel, unsupportedModel } from '../errors.ts';
import type { ModelFiles } from '../model.ts';
import { type AutoencoderKlConfig, vaeFactor } from '../models/autoencoder-kl.ts';
import type { ClipTextConfig } from '../models/clip-text.ts';
import type { UnetConfig } from '../models/unet.ts';
import type { SourceTensor } from '../safetensors.ts';
import { checkWeights } from './check-weights.ts';
import { ModelFolder } from './folder.ts';
import { readTokenizer } from './tokenizer.ts';

/** Pipelines made of the three components below; what differs is how they are driven. */
const PIPELINES = new Set([
  'StableDiffusionPipeline',
  'StableDiffusionImg2ImgPipeline',
  'StableDiffusionInpaintPipeline',
  'LatentConsistencyModelPipeline',
]);

const CLASSES = {
  text_encoder: 'CLIPTextModel',
  unet: 'UNet2DConditionModel',
  vae: 'AutoencoderKL',
} as const;

/** Tensors that hold no weights: positions 0, 1, 2 …, which old transformers versions saved. */
const TEXT_ENCODER_IGNORED = new Set(['text_model.embeddings.position_ids']);

/** Opens a Stable Diffusion 1.x checkpoint in the diffusers folder layout. */
export async function openDiffusersFolder(
  files: ModelFiles,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Checkpoint> {
  const folder = new ModelFolder(files, signal);
  checkModelIndex(folder, await folder.json('model_index.json'));
  const text = await openTextEncoder(folder);
  const unet = await openUnet(folder);
  const vae = await openVae(folder);
  checkSizes(folder, text.config, unet.config, vae.config);
  const scheduler = 'scheduler/scheduler_config.json';
  const factor = vaeFactor(vae.config);
  return {
    name: files.name,
    description: {
      family: text.config.activation === 'gelu' ? 'sd2' : 'sd1',
      ...parseSchedulerConfig(`${folder.name}/${scheduler}`, await folder.json(scheduler)),
      latentChannels: vae.config.latentChannels,
      vaeFactor: factor,
      scalingFactor: vae.config.scalingFactor,
      shiftFactor: vae.config.shiftFactor,
      unetInChannels: unet.config.inChannels,
      nativeResolution: unet.sampleSize * factor,
      textEncoders: [text.description],
    },
    components: [text.component, unet.component, ...vae.components],
    sources: folder.used(),
  };
}

function checkModelIndex(folder: ModelFolder, index: Readonly<Record<string, unknown>>): void {
  const file = `${folder.name}/model_index.json`;
  const pipeline = index._class_name;
  if (typeof pipeline !== 'string' || !PIPELINES.has(pipeline)) {
    throw unsupportedModel(
      file,
      `the field "_class_name" is ${JSON.stringify(pipeline)}; this version of Easel knows ${[...PIPELINES].join(', ')}.`,
    );
  }
  for (const [component, known] of Object.entries(CLASSES)) {
    const entry = index[component];
    const name = Array.isArray(entry) ? entry[1] : undefined;
    if (name !== known) {
      throw unsupportedModel(
        file,
        `the field "${component}" is ${JSON.stringify(entry)}; this version of Easel knows ${known}.`,
      );
    }
  }
}

async function openTextEncoder(folder: ModelFolder) {
  const path = 'text_encoder/config.json';
  const fields = await folder.json(path);
  const file = `${folder.name}/${path}`;
  const { vocabSize } = parseClipTextConfig(file, fields, 0);
  const tokens = await readTokenizer(folder, 'tokenizer', vocabSize);
  const config = parseClipTextConfig(file, fields, tokens.eosId);
  const tensors = renamed(await folder.tensors('text_encoder'), textEncoderName);
  for (const name of TEXT_ENCODER_IGNORED) tensors.delete(name);
  const component = { name: 'text_encoder', config, tensors } as const;
  checkWeights(`${folder.name}/text_encoder`, tensors, [component]);
  const description = {
    component: 'text_encoder',
    layers: config.layers,
    hiddenSize: config.hiddenSize,
    contextLength: config.contextLength,
    vocabSize,
    ...tokens,
  } as const;
  return { config, component, description };
}

async function openUnet(folder: ModelFolder) {
  const path = 'unet/config.json';
  const { config, sampleSize } = parseUnetConfig(`${folder.name}/${path}`, await folder.json(path));
  const component = { name: 'unet', config, tensors: await folder.tensors('unet') } as const;
  checkWeights(`${folder.name}/unet`, component.tensors, [component]);
  return { config, sampleSize, component };
}

async function openVae(folder: ModelFolder) {
  const path = 'vae/config.json';
  const config = parseAutoencoderKlConfig(`${folder.name}/${path}`, await folder.json(path));
  const tensors = renamed(await folder.tensors('vae'), vaeName);
  const components: readonly CheckpointComponent[] = [
    { name: 'vae_encoder', config, tensors },
    { name: 'vae_decoder', config, tensors },
  ];
  checkWeights(`${folder.name}/vae`, tensors, components);
  return { config, components };
}

/** transformers from 5.6 on saves without the prefix that all older files have. */
function textEncoderName(name: string): string {
  return name.startsWith('text_model.') ? name : `text_model.${name}`;
}

const OLD_ATTENTION_NAMES: Readonly<Record<string, string>> = {
  query: 'to_q',
  key: 'to_k',
  value: 'to_v',
  proj_attn: 'to_out.0',
};

/** The VAE's attention had other names until diffusers 0.14; most published files still do. */
function vaeName(name: string): string {
  return name.replace(
    /(\.attentions\.0\.)(query|key|value|proj_attn)\./,
    (_, path: string, old: string) => `${path}${OLD_ATTENTION_NAMES[old]}.`,
  );
}

function renamed(
  tensors: ReadonlyMap<string, SourceTensor>,
  rename: (name: string) => string,
): Map<string, SourceTensor> {
  const result = new Map<string, SourceTensor>();
  for (const [name, tensor] of tensors) {
    const current = rename(name);
    if (result.has(current)) {
      throw invalidModel(tensor.file.path, `holds "${current}" under two names.`);
    }
    result.set(current, tensor);
  }
  return result;
}

/** Each component may be in order and yet not fit the others. */
function checkSizes(
  folder: ModelFolder,
  text: ClipTextConfig,
  unet: UnetConfig,
  vae: AutoencoderKlConfig,
): void {
  if (unet.contextSize !== text.hiddenSize) {
    throw invalidModel(
      `${folder.name}/unet/config.json`,
      `the field "cross_attention_dim" is ${unet.contextSize}, but the text encoder's hidden_size is ${text.hiddenSize}.`,
    );
  }
  if (unet.outChannels !== vae.latentChannels) {
    throw invalidModel(
      `${folder.name}/unet/config.json`,
      `the field "out_channels" is ${unet.outChannels}, but the VAE's latent_channels is ${vae.latentChannels}.`,
    );
  }
}
