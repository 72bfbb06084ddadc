import { randomInt } from 'node:crypto';
import { MAX_CONTROLS } from '../../protocol/control.ts';
import {
  GENERATION_LIMITS,
  type GenerationInput,
  type GenerationParams,
  generationParams,
  type InpaintParams,
  inpaintParams,
  MAX_RANDOM_SEED,
  type OutpaintParams,
  type PreviewMethod,
  type RefinerParams,
} from '../../protocol/generation.ts';
import { outpaintPlace } from '../../protocol/outpaint-size.ts';
import type { SamplerName } from '../../protocol/samplers.ts';
import { applyNamedStyles, type PromptStyle } from '../../protocol/styles.ts';
import { type CheckpointEntry, findCheckpoint } from './checkpoints.ts';
import type { ControlnetName } from './controlnet/names.ts';
import { stencilOf } from './controlnet/stencil.ts';
import { controlsOf, isControlnetScript } from './controlnet/units.ts';
import { ApiError } from './errors.ts';
import { inertFieldNotes } from './fields.ts';
import { outputFormatOf, qualityOf } from './file-options.ts';
import { hiresOf, passSizes, resizeUpscalerOf } from './hires.ts';
import { readImage } from './image-input.ts';
import { type Options, optionNumber } from './options.ts';
import { chooseSampler } from './sampler-choice.ts';
import { samplingOptionsOf } from './sampling-options.ts';
import type { Img2imgRequest, Txt2imgRequest } from './schemas.ts';
import { readOutpaintingMk2, readPoorMansOutpainting } from './scripts/outpainting.ts';
import { findScript } from './scripts/script-list.ts';

/** What a request is read against. */
export interface ConversionContext {
  /** Options with the request's overrides applied. */
  readonly options: Options;
  /** Name of the checkpoint to use, or null for the one in use. */
  readonly checkpoint: string | null;
  /** Substitutions already made. */
  readonly notes: readonly string[];
  readonly styles?: readonly PromptStyle[];
  /** Names of the upscalers that are files. */
  readonly upscalers?: readonly string[];
  /** Checkpoints that a second pass may name. */
  readonly checkpoints?: readonly CheckpointEntry[];
  /** ControlNets that units may name. */
  readonly controlnets?: readonly ControlnetName[];
  /** Draws a seed as A1111 does, 0 to 4294967293. */
  readonly drawSeed?: () => number;
}

/** As many notes as fit a job; a flood of unknown scripts is cut. */
const MAX_NOTES = 32;
const MAX_NOTE_LENGTH = 500;

/** Draws a seed as A1111 does. */
export function drawRandomSeed(): number {
  return randomInt(0, MAX_RANDOM_SEED + 1);
}

/** A1111's rule for the s_ parameters: an option that is not at its default wins over the request. */
function preferOption(options: Options, key: string, neutral: number, asked: number | null) {
  const option = optionNumber(options, key, neutral);
  return option !== neutral ? option : (asked ?? neutral);
}

const DDIM_SAMPLERS: readonly SamplerName[] = ['DDIM', 'DDIM CFG++'];

/** The request's eta, else the option's where it is not the default, else the sampler's own. */
function chooseEta(asked: number | null, sampler: SamplerName, options: Options): number | null {
  if (asked !== null) return asked;
  const isDdim = DDIM_SAMPLERS.includes(sampler);
  const neutral = isDdim ? 0 : 1;
  const option = optionNumber(options, isDdim ? 'eta_ddim' : 'eta_ancestral', neutral);
  return option === neutral ? null : option;
}

/** Clients that always override clip skip with 1 mean the top-level field when it is positive. */
function chooseClipSkip(asked: number | null, options: Options): number {
  const option = Math.trunc(optionNumber(options, 'CLIP_stop_at_last_layers', 1));
  const value = asked !== null && asked > 0 ? asked : option;
  return Math.min(12, Math.max(1, value));
}

/** Steps between two live previews; 0 is none. */
function previewEverySteps(options: Options): number {
  if (options.live_previews_enable === false) return 0;
  return Math.max(0, Math.trunc(optionNumber(options, 'show_progress_every_n_steps', 10)));
}

const PREVIEW_METHOD_BY_NAME: ReadonlyMap<unknown, PreviewMethod> = new Map([
  ['Full', 'full'],
  ['Approx cheap', 'cheap'],
]);

/** What draws previews, and whether a TAESD takes the VAE's place. */
function autoencoders(options: Options) {
  return {
    previewMethod: PREVIEW_METHOD_BY_NAME.get(options.show_progress_type) ?? 'taesd',
    vaeDecoder: options.sd_vae_decode_method === 'TAESD' ? 'taesd' : 'full',
    vaeEncoder: options.sd_vae_encode_method === 'TAESD' ? 'taesd' : 'full',
  } satisfies GenerationInput;
}

/** Options that leave a key out of infotexts when they are off. */
const KEY_OPTIONS = [
  ['add_model_name_to_info', 'Model'],
  ['add_model_hash_to_info', 'Model hash'],
  ['add_vae_name_to_info', 'VAE'],
  ['add_vae_hash_to_info', 'VAE hash'],
  ['lora_add_hashes_to_infotext', 'Lora hashes'],
  ['textual_inversion_add_hashes_to_infotext', 'TI hashes'],
  ['add_version_to_infotext', 'Version'],
] as const;

function hiddenInfotextKeys(options: Options) {
  return KEY_OPTIONS.filter(([option]) => options[option] === false).map(([, key]) => key);
}

const NOISE_SOURCES: ReadonlyMap<unknown, GenerationParams['randnSource']> = new Map([
  ['CPU', 'cpu'],
  ['NV', 'nv'],
]);

function styleNotes(
  { styles: names }: Txt2imgRequest | Img2imgRequest,
  styles: readonly PromptStyle[],
): string[] {
  const unknown = (names ?? []).filter((name) => !styles.some((style) => style.name === name));
  // Clients send "None" for no style.
  return unknown
    .filter((name) => name !== 'None')
    .map((name) => `There is no style "${name.slice(0, 60)}"; it was left out.`);
}

function scriptNotes(request: Txt2imgRequest | Img2imgRequest): string[] {
  return Object.keys(request.alwayson_scripts)
    .filter((name) => !isControlnetScript(name))
    .slice(0, MAX_NOTES)
    .map((name) => `The script "${name.slice(0, 60)}" is not available here and had no effect.`);
}

/** A1111's rule for `sd_lora`: its tag follows every prompt that does not name that LoRA. */
function withOptionLora(prompt: string, options: Options): string {
  const name = options.sd_lora;
  if (typeof name !== 'string' || name === '' || name === 'None') return prompt;
  const named = [...prompt.matchAll(/<lora:([^:>]+)/g)].some(([, other]) => other === name);
  const strength = optionNumber(options, 'extra_networks_default_multiplier', 1);
  return named ? prompt : `${prompt}<lora:${name}:${strength}>`;
}

const REFINER_PASSES: ReadonlyMap<unknown, RefinerParams['passes']> = new Map([
  ['first pass', 'first'],
  ['both passes', 'both'],
]);

/** The refiner of a request; throws a 422 in A1111's words for a checkpoint that is not there. */
function refinerOf(
  { refiner_checkpoint: asked, refiner_switch_at: switchAt }: Txt2imgRequest | Img2imgRequest,
  options: Options,
  checkpoints: readonly CheckpointEntry[],
): RefinerParams | null {
  if (asked === null || asked.toLowerCase() === 'none') return null;
  const found = findCheckpoint(checkpoints, asked);
  if (!found) throw new ApiError(422, `Could not find checkpoint with name ${asked.slice(0, 200)}`);
  return {
    checkpoint: found.name,
    switchAt: Math.min(1, Math.max(0, switchAt ?? 0)),
    isBySteps: options.refiner_switch_by_sample_steps === true,
    passes: REFINER_PASSES.get(options.hires_fix_refiner_pass) ?? 'second',
  };
}

function commonParams(
  request: Txt2imgRequest | Img2imgRequest,
  {
    options,
    checkpoint,
    checkpoints = [],
    styles = [],
    drawSeed = drawRandomSeed,
  }: ConversionContext,
) {
  const { sampler, scheduler, notes } = chooseSampler(
    request.sampler_name ?? request.sampler ?? (request.sampler_index.trim() || 'Euler'),
    request.scheduler,
  );
  const prompts = applyNamedStyles(
    { prompt: request.prompt, negativePrompt: request.negative_prompt },
    request.styles ?? [],
    styles,
  );
  const params = {
    ...prompts,
    prompt: withOptionLora(prompts.prompt, options),
    width: request.width,
    height: request.height,
    steps: request.steps,
    guidanceScale: request.cfg_scale,
    sampler,
    scheduler,
    seed: request.seed === -1 ? drawSeed() : request.seed,
    subseed: request.subseed === -1 ? drawSeed() : request.subseed,
    subseedStrength: request.subseed_strength,
    seedResizeFromWidth: Math.max(0, request.seed_resize_from_w),
    seedResizeFromHeight: Math.max(0, request.seed_resize_from_h),
    batchSize: request.batch_size,
    batchCount: request.n_iter,
    clipSkip: chooseClipSkip(request.clip_skip, options),
    eta: chooseEta(request.eta, sampler, options),
    // Options of the same names win where they are not at their defaults; both are told apart in infotexts.
    sChurn: preferOption(options, 's_churn', 0, request.s_churn),
    sTmin: preferOption(options, 's_tmin', 0, request.s_tmin),
    sTmax: preferOption(options, 's_tmax', 0, request.s_tmax),
    sNoise: preferOption(options, 's_noise', 1, request.s_noise),
    ...samplingOptionsOf(options),
    sMinUncond: request.s_min_uncond ?? optionNumber(options, 's_min_uncond', 0),
    etaNoiseSeedDelta: Math.trunc(optionNumber(options, 'eta_noise_seed_delta', 0)),
    randnSource: NOISE_SOURCES.get(options.randn_source) ?? 'gpu',
    isTiling: request.tiling ?? options.tiling === true,
    usesNetworks: !request.disable_extra_networks,
    refiner: refinerOf(request, options, checkpoints),
    checkpoint,
    vae: typeof options.sd_vae === 'string' ? options.sd_vae.slice(0, 1000) : null,
    previewEverySteps: previewEverySteps(options),
    ...autoencoders(options),
    outputFormat: outputFormatOf(options),
    ...qualityOf(options),
    embedsInfotext: options.enable_pnginfo !== false,
    hiddenInfotextKeys: hiddenInfotextKeys(options),
  } satisfies GenerationInput;
  return { params, notes: [...notes, ...styleNotes(request, styles), ...scriptNotes(request)] };
}

function finish(
  params: GenerationInput,
  route: 'txt2img' | 'img2img',
  request: Txt2imgRequest | Img2imgRequest,
  notes: readonly string[],
): GenerationParams {
  const all = [...new Set([...notes, ...inertFieldNotes(request, route)])]
    .slice(0, MAX_NOTES)
    .map((note) => note.slice(0, MAX_NOTE_LENGTH));
  const parsed = generationParams.safeParse({ ...params, mode: route, notes: all });
  if (parsed.success) return parsed.data;
  // Fields are within their limits by now, but what options and styles add may not be.
  const details = parsed.error.issues.map(({ path, message }) => ({
    ...{ loc: ['body', ...path.map(String)], msg: message, type: 'value_error' },
  }));
  throw new ApiError(422, details);
}

/** Turns a parsed txt2img request into a job's parameters. Throws `ApiError` for what is refused. */
export function fromTxt2img(request: Txt2imgRequest, context: ConversionContext): GenerationParams {
  findScript(request.script_name, 'txt2img');
  const { params, notes } = commonParams(request, context);
  const { styles = [], upscalers = [], checkpoints = [] } = context;
  const withLora = (prompt: string) => withOptionLora(prompt, context.options);
  const usesFirstTexts = context.options.hires_fix_use_firstpass_conds === true;
  const first = { ...params, styles, upscalers, checkpoints, withLora, usesFirstTexts };
  const { hires, notes: hiresNotes } = hiresOf(request, first);
  const { controlnets = [] } = context;
  const units = controlsOf(request, { controlnets, hasInitImage: false });
  const input = {
    ...{ ...params, ...passSizes(request, context.options, hires) },
    controls: units.controls,
  };
  const all = [...context.notes, ...notes, ...hiresNotes, ...units.notes];
  return finish(input, 'txt2img', request, all);
}

/**
 * A1111's rules for init images: none is 404; one serves the whole batch; several set the batch size and may not be
 * more than was asked for.
 */
function readInitImages(request: Img2imgRequest): { initImages: string[]; batchSize: number } {
  const sent = request.init_images ?? [];
  if (sent.length === 0) throw new ApiError(404, 'Init image not found');
  if (sent.length > Math.max(1, request.batch_size)) {
    throw new ApiError(
      422,
      `bad number of images passed: ${sent.length}; expecting ${request.batch_size} or less`,
    );
  }
  const initImages = sent.map((text) => readImage(text).bytes.toString('base64'));
  return { initImages, batchSize: sent.length === 1 ? request.batch_size : sent.length };
}

/** The mask of a request; null without one. */
function inpaintOf(request: Img2imgRequest, options: Options): InpaintParams | null {
  if (!request.mask) return null;
  const encoded = (text: string) => readImage(text).bytes.toString('base64');
  return inpaintParams.parse({
    mask: encoded(request.mask),
    latentMask: request.latent_mask ? encoded(request.latent_mask) : null,
    blurX: request.mask_blur ?? request.mask_blur_x,
    blurY: request.mask_blur ?? request.mask_blur_y,
    isRounded: request.mask_round,
    isInverted: request.inpainting_mask_invert === 1,
    fill: request.inpainting_fill,
    isOnlyMasked: request.inpaint_full_res,
    padding: request.inpaint_full_res_padding,
    isOverlaid: options.overlay_inpaint !== false,
  });
}

/** What an outpainting script asks for; null without one. */
function outpaintOf({ script_name, script_args }: Img2imgRequest): OutpaintParams | null {
  const script = findScript(script_name, 'img2img');
  if (script?.name === 'outpainting mk2') return readOutpaintingMk2(script_args);
  if (script?.name === "poor man's outpainting") return readPoorMansOutpainting(script_args);
  return null;
}

/** An outpainting job's size and mask are those of the canvas; of a request's own mask A1111 takes no notice either. */
function outpaintInput(request: Img2imgRequest, options: Options) {
  const outpaint = outpaintOf(request);
  const [first] = request.init_images ?? [];
  if (outpaint === null || first === undefined) return { inpaint: inpaintOf(request, options) };
  const { width, height } = outpaintPlace(readImage(first), outpaint);
  const { minSide, maxSide } = GENERATION_LIMITS;
  if ([width, height].some((side) => side < minSide || side > maxSide)) {
    const size = `${width}×${height}`;
    const text = `The picture would become ${size}; sides are from ${minSide} to ${maxSide} pixels.`;
    throw new ApiError(422, text);
  }
  return { outpaint, width, height, resizeMode: 0 };
}

/** Turns a parsed img2img request into a job's parameters. Throws `ApiError` for what is refused. */
export function fromImg2img(sent: Img2imgRequest, context: ConversionContext): GenerationParams {
  const { controlnets = [] } = context;
  const stencil = stencilOf(sent.use_stencil, sent.init_images ?? [], controlnets);
  // A second picture is the stencil's map.
  const request = stencil ? { ...sent, init_images: (sent.init_images ?? []).slice(0, 1) } : sent;
  const { params, notes } = commonParams(request, context);
  const units = controlsOf(request, { controlnets, hasInitImage: true });
  const resize = resizeUpscalerOf(context.options, context.upscalers ?? []);
  const input = {
    ...params,
    ...readInitImages(request),
    controls: [...(stencil ? [stencil] : []), ...units.controls].slice(0, MAX_CONTROLS),
    denoisingStrength: request.denoising_strength,
    resizeMode: request.resize_mode,
    resizeUpscaler: resize.resizeUpscaler,
    initialNoiseMultiplier:
      request.initial_noise_multiplier ??
      optionNumber(context.options, 'initial_noise_multiplier', 1),
    inpaintingMaskWeight: optionNumber(context.options, 'inpainting_mask_weight', 1),
    backgroundColor: String(context.options.img2img_background_color ?? '#ffffff').slice(0, 32),
    ...outpaintInput(request, context.options),
  };
  return finish(input, 'img2img', request, [
    ...[...context.notes, ...notes, ...units.notes, ...resize.notes],
  ]);
}
