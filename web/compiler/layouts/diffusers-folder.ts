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
import { describeTextEncoder, textStates, unetInputs } from './describe.ts';
import { ModelFolder } from './folder.ts';
import { readTokenizer } from './tokenizer.ts';
import { currentVaeName } from './vae-file.ts';

/** Pipelines made of the three components below; what differs is how they are driven. */
const PIPELINES = new Set([
  'StableDiffusionPipeline',
  'StableDiffusionImg2ImgPipeline',
  'StableDiffusionInpaintPipeline',
  'LatentConsistencyModelPipeline',
  'LatentConsistencyModelImg2ImgPipeline',
]);

/** The same with SDXL's second text encoder. */
const XL_PIPELINES = new Set([
  'StableDiffusionXLPipeline',
  'StableDiffusionXLImg2ImgPipeline',
  'StableDiffusionXLInpaintPipeline',
]);

const CLASSES = {
  text_encoder: 'CLIPTextModel',
  unet: 'UNet2DConditionModel',
  vae: 'AutoencoderKL',
} as const;
const XL_CLASSES = { ...CLASSES, text_encoder_2: 'CLIPTextModelWithProjection' } as const;

/** Tensors that hold no weights: positions 0, 1, 2 …, which old transformers versions saved. */
const TEXT_ENCODER_IGNORED = new Set(['text_model.embeddings.position_ids']);

/** What a checkpoint without a VAE was trained with, as far as no VAE says it. */
const USUAL_VAE = { factor: 8, scaling: { xl: 0.13025, other: 0.18215 } } as const;

/** Opens a Stable Diffusion 1, 2 or XL checkpoint in the diffusers folder layout. */
export async function openDiffusersFolder(
  files: ModelFiles,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Checkpoint> {
  const folder = new ModelFolder(files, signal);
  const index = await folder.json('model_index.json');
  const isXl = checkModelIndex(folder, index);
  const texts = [];
  // SDXL's refiner has the second one alone.
  if (!isXl || !isAbsent(index.text_encoder)) {
    texts.push(await openTextEncoder(folder, { isXl, isSecond: false }));
  }
  if (isXl) texts.push(await openTextEncoder(folder, { isXl, isSecond: true }));
  const unet = await openUnet(folder, texts.at(-1)?.config.projection?.size ?? null);
  const vae = isAbsent(index.vae) ? null : await openVae(folder);
  checkSizes(
    folder,
    texts.map(({ config }) => config),
    unet.config,
    vae?.config ?? null,
  );
  const scheduler = 'scheduler/scheduler_config.json';
  const factor = vae ? vaeFactor(vae.config) : USUAL_VAE.factor;
  return {
    name: files.name,
    description: {
      family: isXl ? 'sdxl' : texts[0]?.config.activation === 'gelu' ? 'sd2' : 'sd1',
      ...parseSchedulerConfig(`${folder.name}/${scheduler}`, await folder.json(scheduler)),
      isPredictionAssumed: false,
      latentChannels: unet.config.outChannels,
      vaeFactor: factor,
      scalingFactor: vae?.config.scalingFactor ?? USUAL_VAE.scaling[isXl ? 'xl' : 'other'],
      shiftFactor: vae?.config.shiftFactor ?? 0,
      unetInChannels: unet.config.inChannels,
      unetInputs: unetInputs(unet.config),
      nativeResolution: unet.sampleSize * factor,
      textEncoders: texts.map(({ description }) => description),
      notes: [],
    },
    components: [
      ...texts.map(({ component }) => component),
      unet.component,
      ...(vae?.components ?? []),
    ],
    sources: folder.used(),
  };
}

/** Whether the pipeline is SDXL's; refuses one that is not made of components we know. */
function checkModelIndex(folder: ModelFolder, index: Readonly<Record<string, unknown>>): boolean {
  const file = `${folder.name}/model_index.json`;
  const pipeline = index._class_name;
  const isXl = typeof pipeline === 'string' && XL_PIPELINES.has(pipeline);
  if (typeof pipeline !== 'string' || !(isXl || PIPELINES.has(pipeline))) {
    throw unsupportedModel(
      file,
      `the field "_class_name" is ${JSON.stringify(pipeline)}; this version of Easel knows ${[...PIPELINES, ...XL_PIPELINES].join(', ')}.`,
    );
  }
  for (const [component, known] of Object.entries(isXl ? XL_CLASSES : CLASSES)) {
    const entry = index[component];
    const name = Array.isArray(entry) ? entry[1] : undefined;
    // Another VAE may take its place; SDXL's refiner has the second text encoder alone.
    if ((component === 'vae' || (isXl && component === 'text_encoder')) && isAbsent(entry))
      continue;
    if (name !== known) {
      throw unsupportedModel(
        file,
        `the field "${component}" is ${JSON.stringify(entry)}; this version of Easel knows ${known}.`,
      );
    }
  }
  return isXl;
}

/** diffusers writes `[null, null]` for a component that was left out. */
function isAbsent(entry: unknown): boolean {
  return entry === undefined || (Array.isArray(entry) && entry[1] === null);
}

async function openTextEncoder(
  folder: ModelFolder,
  { isXl, isSecond }: { isXl: boolean; isSecond: boolean },
) {
  const name = isSecond ? 'text_encoder_2' : 'text_encoder';
  const fields = await folder.json(`${name}/config.json`);
  const file = `${folder.name}/${name}/config.json`;
  const { vocabSize } = parseClipTextConfig(file, fields, 0);
  const tokens = await readTokenizer(folder, isSecond ? 'tokenizer_2' : 'tokenizer', vocabSize);
  const config = parseClipTextConfig(file, fields, tokens.eosId, { hasProjection: isSecond });
  const tensors = renamed(await folder.tensors(name), textEncoderName);
  for (const ignored of TEXT_ENCODER_IGNORED) tensors.delete(ignored);
  const component = { name, config, tensors } as const;
  checkWeights(`${folder.name}/${name}`, tensors, [component]);
  const followsClipSkip = config.activation === 'quick_gelu';
  const states = textStates(isXl ? 'sdxl' : followsClipSkip ? 'sd1' : 'sd2');
  return { config, component, description: describeTextEncoder(name, config, tokens, states) };
}

async function openUnet(folder: ModelFolder, pooledSize: number | null) {
  const path = 'unet/config.json';
  const fields = await folder.json(path);
  const { config, sampleSize } = parseUnetConfig(`${folder.name}/${path}`, fields, pooledSize);
  const component = { name: 'unet', config, tensors: await folder.tensors('unet') } as const;
  checkWeights(`${folder.name}/unet`, component.tensors, [component]);
  return { config, sampleSize, component };
}

async function openVae(folder: ModelFolder) {
  const path = 'vae/config.json';
  const config = parseAutoencoderKlConfig(`${folder.name}/${path}`, await folder.json(path));
  const tensors = renamed(await folder.tensors('vae'), currentVaeName);
  const components: readonly CheckpointComponent[] = [
    { name: 'vae_encoder', config, tensors },
    { name: 'vae_decoder', config, tensors },
  ];
  checkWeights(`${folder.name}/vae`, tensors, components);
  return { config, components };
}

/** transformers from 5.6 on saves without the prefix that all older files have. */
function textEncoderName(name: string): string {
  return /^text_(model|projection)\./.test(name) ? name : `text_model.${name}`;
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
  texts: readonly ClipTextConfig[],
  unet: UnetConfig,
  vae: AutoencoderKlConfig | null,
): void {
  const unetFile = `${folder.name}/unet/config.json`;
  const sizes = texts.map(({ hiddenSize }) => hiddenSize);
  if (unet.contextSize !== sizes.reduce((sum, size) => sum + size, 0)) {
    throw invalidModel(
      unetFile,
      `the field "cross_attention_dim" is ${unet.contextSize}, but the text encoder's hidden_size is ${sizes.join(' + ')}.`,
    );
  }
  const embeds = unet.textTime?.textEmbedsSize ?? null;
  const projection = texts.at(-1)?.projection?.size ?? null;
  if (embeds !== projection) {
    throw invalidModel(
      unetFile,
      `the fields for SDXL's conditions leave room for ${embeds ?? 'no'} text features, but the text encoders' projection_dim is ${projection ?? 'not used'}.`,
    );
  }
  if (vae && unet.outChannels !== vae.latentChannels) {
    throw invalidModel(
      `${folder.name}/unet/config.json`,
      `the field "out_channels" is ${unet.outChannels}, but the VAE's latent_channels is ${vae.latentChannels}.`,
    );
  }
}
