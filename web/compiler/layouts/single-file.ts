import type { ModelKind } from '../../../protocol/model-kind.ts';
import type { Checkpoint, CheckpointComponent } from '../checkpoint.ts';
import { invalidModel, unsupportedModel } from '../errors.ts';
import { parseJsonObject } from '../json-file.ts';
import type { ByteSource, ModelDescription, ModelFamily, ModelFiles } from '../model.ts';
import { vaeFactor } from '../models/autoencoder-kl.ts';
import { readSafetensorsHeader, type SafetensorsHeader } from '../safetensors.ts';
import { checkWeights } from './check-weights.ts';
import { describeTextEncoder, textStates, unetInputs } from './describe.ts';
import { detectModel } from './detect.ts';
import { type KeyMap, renameTensors, type Tensors, withPrefix } from './ldm-keys.ts';
import { type LdmTextEncoder, readClipText, readOpenClipText } from './ldm-keys-text.ts';
import { readLdmUnet } from './ldm-keys-unet.ts';
import { readLdmVae } from './ldm-keys-vae.ts';
import { readTrainingFacts, V_PREDICTION_MARK, ZERO_SNR_MARK } from './single-file-prediction.ts';

const UNET = 'model.diffusion_model.';
const VAE = 'first_stage_model.';
const CLIP = 'cond_stage_model.transformer.';
const OPEN_CLIP = 'cond_stage_model.model.';
const XL_CLIP = 'conditioner.embedders.0.transformer.';
const XL_OPEN_CLIP = 'conditioner.embedders.1.model.';
/** The only text encoder of SDXL's refiner, which is the second one of SDXL, and of SD 2 models trained with SDXL's code (SD-Turbo). */
const ONLY_OPEN_CLIP = 'conditioner.embedders.0.model.';

/** Tensors that pictures do not depend on. Whatever else nothing asks for is an error. */
const IGNORED: readonly RegExp[] = [
  // The training schedule, which follows from its two ends.
  /^(betas|alphas_cumprod|alphas_cumprod_prev|(sqrt|log)_one_minus_alphas_cumprod)$/,
  /^(sqrt_alphas_cumprod|sqrt_recip_alphas_cumprod|sqrt_recipm1_alphas_cumprod)$/,
  /^(posterior_variance|posterior_log_variance_clipped|posterior_mean_coef[12])$/,
  /^(logvar|lvlb_weights|scale_factor|denoiser\.(sigmas|log_sigmas))$/,
  // Averages that training keeps beside the weights.
  /^model_ema\./,
  // What the VAE was trained against.
  /^first_stage_model\.(loss|model_ema)\./,
  // Positions 0, 1, 2 … and the causal mask, which follow from the length.
  /\.embeddings\.position_ids$/,
  /^(cond_stage_model|conditioner\.embedders\.\d)\.model\.attn_mask$/,
  // For comparing texts with pictures, which nothing here does.
  /\.logit_scale$/,
  /^(cond_stage_model|conditioner\.embedders\.0)\.(transformer\.)?text_projection(\.weight)?$/,
];
/** Empty tensors that say how a model was trained. */
const MARKS: ReadonlySet<string> = new Set([V_PREDICTION_MARK, ZERO_SNR_MARK]);

const CLIP_TOKENS = { bosId: 49406, eosId: 49407, vocabSize: 49408 };
/** CLIP's tokenizer pads with the end token, OpenCLIP's with 0. */
const PAD_IDS = { clip: CLIP_TOKENS.eosId, openClip: 0 };

const SCALING_FACTORS = { sd1: 0.18215, sd2: 0.18215, sdxl: 0.13025 };

/** What a file of another kind is, and where it belongs. */
const OTHER_KINDS: Readonly<Record<Exclude<ModelKind, 'checkpoint'>, string>> = {
  unet: 'holds a UNet alone: text encoder and VAE are missing. Load the complete checkpoint it was taken from.',
  'text-encoder': 'holds a text encoder alone. Load the complete checkpoint it belongs to.',
  vae: 'is a VAE, no checkpoint. Put it into the VAE folder.',
  taesd: 'is a TAESD autoencoder, no checkpoint. This version of Easel has no use for it yet.',
  controlnet: 'is a ControlNet, no checkpoint. This version of Easel has no use for it yet.',
  lora: 'is a LoRA, no checkpoint. Put it into the Lora folder.',
  embedding: 'is a textual inversion, no checkpoint. Put it into the embeddings folder.',
  upscaler: 'is an upscaler, no checkpoint. Put it into the ESRGAN folder.',
  unknown: 'holds no Stable Diffusion model that this version of Easel knows.',
};

const DIFFUSERS_UNET =
  'holds the UNet of a diffusers folder alone: text encoder and VAE are missing. Put it back as unet/diffusion_pytorch_model.safetensors into its folder with model_index.json, text_encoder, tokenizer and vae, and load that folder.';

/** Of every VAE that Stable Diffusion was trained with; one that is chosen later says its own. */
const USUAL_VAE_FACTOR = 8;

/**
 * Opens a checkpoint of one `.safetensors` file in the layout of LDM, A1111 and Civitai. Its structure
 * is read off names and shapes; a `.yaml` beside it may say what those do not.
 */
export async function openSingleFile(
  { name }: ModelFiles,
  file: ByteSource,
  { sidecar, signal }: { sidecar?: ByteSource | undefined; signal?: AbortSignal | undefined } = {},
): Promise<Checkpoint> {
  const header = await readSafetensorsHeader(file, signal ? { signal } : {});
  const reader = new SingleFile(file.path, header);
  const training = await readTrainingFacts({
    ...{ file: file.path, header, family: reader.family, sidecar, signal },
  });
  const { scalingFactor, ...schedule } = training;
  const texts = reader.textEncoders();
  const unet = reader.unet(texts.at(-1)?.config.projection?.size ?? null);
  const ownScaling = scalingFactor ?? SCALING_FACTORS[reader.family];
  const vae = reader.vae(ownScaling);
  reader.checkAllUsed();
  const width = texts.reduce((sum, { config }) => sum + config.hiddenSize, 0);
  if (unet.config.contextSize !== width) {
    throw invalidModel(
      file.path,
      `the UNet reads text states of width ${unet.config.contextSize}, but the text encoder gives ${width}.`,
    );
  }
  const embeds = unet.config.textTime?.textEmbedsSize ?? null;
  if (embeds !== (texts.at(-1)?.config.projection?.size ?? null)) {
    throw invalidModel(
      file.path,
      `the UNet takes ${embeds ?? 'no'} pooled text features, which do not fit the text encoders.`,
    );
  }
  if (vae && unet.config.outChannels !== vae.config.latentChannels) {
    throw invalidModel(
      file.path,
      `the UNet makes latents of ${unet.config.outChannels} channels, but the VAE reads ${vae.config.latentChannels}.`,
    );
  }
  return {
    name,
    description: {
      family: reader.family,
      ...schedule,
      latentChannels: unet.config.outChannels,
      vaeFactor: vae ? vaeFactor(vae.config) : USUAL_VAE_FACTOR,
      scalingFactor: ownScaling,
      shiftFactor: vae?.config.shiftFactor ?? 0,
      unetInChannels: unet.config.inChannels,
      unetInputs: unetInputs(unet.config),
      nativeResolution: nativeResolution(header, reader.family, schedule.predictionType),
      textEncoders: texts.map(({ description }) => description),
    },
    components: [...texts.map(({ component }) => component), unet, ...(vae?.components ?? [])],
    sources: sidecar ? [file, sidecar] : [file],
  };
}

/** One file whose tensors are handed out to the components. */
class SingleFile {
  readonly family: ModelFamily;
  readonly #file: string;
  readonly #header: SafetensorsHeader;
  readonly #tensors: Tensors;
  readonly #used: string[] = [];

  constructor(file: string, header: SafetensorsHeader) {
    const { kind, family, layout } = detectModel(header);
    if (kind === 'unet' && layout === 'diffusers') throw unsupportedModel(file, DIFFUSERS_UNET);
    if (kind !== 'checkpoint') throw unsupportedModel(file, OTHER_KINDS[kind]);
    if (family === null)
      throw unsupportedModel(file, 'holds a UNet without attention to the text.');
    this.family = family;
    this.#file = file;
    this.#header = header;
    const isIgnored = (name: string) =>
      MARKS.has(name) || IGNORED.some((pattern) => pattern.test(name));
    this.#tensors = new Map([...header.tensors].filter(([name]) => !isIgnored(name)));
  }

  textEncoders() {
    if (this.family !== 'sdxl') return [this.#onlyTextEncoder()];
    if (this.#part(ONLY_OPEN_CLIP).size > 0) {
      return [this.#textEncoder('text_encoder_2', ONLY_OPEN_CLIP, 'openClip')];
    }
    const first = this.#textEncoder('text_encoder', XL_CLIP, 'clip');
    return [first, this.#textEncoder('text_encoder_2', XL_OPEN_CLIP, 'openClip')];
  }

  /** SD 1's or SD 2's: a UNet of either may come with either, so the names decide. */
  #onlyTextEncoder() {
    const openClip = [OPEN_CLIP, ONLY_OPEN_CLIP].find((prefix) => this.#part(prefix).size > 0);
    return openClip === undefined
      ? this.#textEncoder('text_encoder', CLIP, 'clip')
      : this.#textEncoder('text_encoder', openClip, 'openClip');
  }

  #textEncoder(
    component: 'text_encoder' | 'text_encoder_2',
    prefix: string,
    kind: keyof typeof PAD_IDS,
  ) {
    const source = this.#take(prefix, `no ${TEXT_ENCODERS[component]}`);
    const facts = { heads: this.#headsOf(component), eosId: CLIP_TOKENS.eosId };
    const isPenultimate = this.family !== 'sdxl';
    const place = { file: this.#file, prefix };
    const read: LdmTextEncoder =
      kind === 'clip'
        ? readClipText(place, source, facts)
        : readOpenClipText(place, source, { ...facts, isPenultimate });
    const { config, tensors, keys } = read;
    if (config.vocabSize !== CLIP_TOKENS.vocabSize) {
      throw unsupportedModel(
        this.#file,
        `its text encoder has ${config.vocabSize} tokens; a single file carries no vocabulary, so only CLIP's ${CLIP_TOKENS.vocabSize} can be used.`,
      );
    }
    const part: CheckpointComponent = { name: component, config, tensors };
    this.#check(prefix, keys, [part]);
    const { bosId, eosId } = CLIP_TOKENS;
    const tokens = { bosId, eosId, padId: PAD_IDS[kind], tokenizer: null };
    const states = textStates(this.family);
    const description = describeTextEncoder(component, config, tokens, states);
    return { config, component: part, description };
  }

  unet(pooledSize: number | null) {
    const source = this.#take(UNET, 'no UNet');
    const { config, keys } = readLdmUnet({ file: this.#file, prefix: UNET }, source, pooledSize);
    // SD 2's attention scores leave float16's range; published configurations say so.
    const upcast = { ...config, upcastAttention: this.family === 'sd2' };
    const part = { name: 'unet', config: upcast, tensors: renameTensors(source, keys) } as const;
    this.#check(UNET, keys, [part]);
    return part;
  }

  /** Null where the file has none: then another VAE is to take its place. */
  vae(scalingFactor: number) {
    if (this.#part(VAE).size === 0) return null;
    const source = this.#take(VAE, 'no VAE');
    const { config, keys } = readLdmVae({ file: this.#file, prefix: VAE }, source, scalingFactor);
    const tensors = renameTensors(source, keys);
    const components: readonly CheckpointComponent[] = [
      { name: 'vae_encoder', config, tensors },
      { name: 'vae_decoder', config, tensors },
    ];
    this.#check(VAE, keys, components);
    return { config, components };
  }

  /** Refuses what belongs to no part: it would change the pictures in a way that nobody sees. */
  checkAllUsed(): void {
    for (const name of this.#tensors.keys()) {
      if (this.#used.some((prefix) => name.startsWith(prefix))) continue;
      throw unsupportedModel(
        this.#file,
        `holds the tensor "${name}", which this version of Easel does not know.`,
      );
    }
  }

  #part(prefix: string): Tensors {
    return withPrefix(this.#tensors, prefix);
  }

  #take(prefix: string, absence: string): Tensors {
    const found = this.#part(prefix);
    if (found.size === 0) {
      throw unsupportedModel(
        this.#file,
        `is incomplete: it holds ${absence} (no tensor "${prefix}…"). Load the complete checkpoint it was taken from.`,
      );
    }
    this.#used.push(prefix);
    return found;
  }

  #check(prefix: string, keys: KeyMap, parts: readonly CheckpointComponent[]): void {
    const tensors = parts[0]?.tensors ?? new Map();
    checkWeights(this.#file, tensors, parts, {
      nameOf: (name) => tensors.get(name)?.name ?? `${prefix}${keys.toLdm(name) ?? name}`,
      basis: 'to fit the others',
      leftOver: 'which this version of Easel does not know',
    });
  }

  /** Of models whose heads do not have 64 channels; no published one is such. */
  #headsOf(component: string): number | null {
    const text = this.#header.metadata.num_attention_heads;
    if (text === undefined) return null;
    const place = `${this.#file} (metadata "num_attention_heads")`;
    const heads = parseJsonObject(place, text)[component];
    if (heads === undefined) return null;
    if (Number.isInteger(heads) && Number(heads) >= 1) return Number(heads);
    throw invalidModel(place, `gives the ${component} ${JSON.stringify(heads)} heads.`);
  }
}

const TEXT_ENCODERS = {
  text_encoder: 'text encoder',
  text_encoder_2: 'second text encoder',
} as const;

/** The metadata's where it says one, else the family's. */
function nativeResolution(
  { metadata }: SafetensorsHeader,
  family: ModelFamily,
  predictionType: ModelDescription['predictionType'],
): number {
  const stated = /^(\d{2,4})x\d{2,4}$/.exec(metadata['modelspec.resolution'] ?? '')?.[1];
  if (stated !== undefined) return Number(stated);
  const sd2 = predictionType === 'v_prediction' ? 768 : 512;
  return { sd1: 512, sd2, sdxl: 1024 }[family];
}
