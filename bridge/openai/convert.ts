import { randomInt } from 'node:crypto';
import {
  GENERATION_DEFAULTS,
  GENERATION_LIMITS,
  type GenerationInput,
  type GenerationParams,
  generationParams,
  type InpaintParams,
  inpaintParams,
  MAX_RANDOM_SEED,
} from '../../protocol/generation.ts';
import { type CheckpointEntry, findCheckpoint } from '../a1111/checkpoints.ts';
import { ApiError } from '../a1111/errors.ts';
import { readImage } from '../a1111/image-input.ts';
import type { OptionsView } from '../a1111/options.ts';
import { chooseSampler } from '../a1111/sampler-choice.ts';
import type { JobResult } from '../services.ts';
import type { ImageEditRequest, ImageGenerationRequest } from './schemas.ts';

/** What OpenAI's `quality` means for a local model: sampling steps. */
const STEPS_OF_QUALITY: ReadonlyMap<string, number> = new Map([
  ['low', 12],
  ['medium', 20],
  ['standard', 20],
  ['high', 30],
  ['hd', 30],
]);

const FORMATS: ReadonlyMap<string, GenerationParams['outputFormat']> = new Map([
  ['png', 'png'],
  ['jpeg', 'jpg'],
  ['jpg', 'jpg'],
  ['webp', 'webp'],
]);

function refuse(param: string, message: string): ApiError {
  return new ApiError(422, [{ loc: ['body', param], msg: message, type: 'value_error' }]);
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Width and height out of `512x768`; `auto` and nothing are `automatic`. */
function readSize(size: string | null, automatic: Size): Size {
  if (size === null || size === 'auto') return automatic;
  const [, w, h] = /^(\d{1,5})\s*[x×]\s*(\d{1,5})$/i.exec(size.trim()) ?? [];
  const { minSide, maxSide } = GENERATION_LIMITS;
  const sides = [Number(w), Number(h)];
  if (sides.some((side) => !(side >= minSide && side <= maxSide))) {
    throw refuse('size', `must be like 512x512, each side from ${minSide} to ${maxSide}`);
  }
  return { width: Number(w), height: Number(h) };
}

/** Longest side of a picture that is edited at its own size. */
const MAX_AUTO_SIDE = 1024;

/** The picture's own size, made smaller where it is a photograph's, in multiples of 8 pixels. */
function sizeOfPicture({ width, height }: Size): Size {
  const scale = Math.min(1, MAX_AUTO_SIDE / Math.max(width, height));
  const toSide = (side: number) =>
    Math.max(GENERATION_LIMITS.minSide, Math.floor((side * scale) / 8) * 8);
  return { width: toSide(width), height: toSide(height) };
}

/** OpenAI's mask: the transparent parts of a picture of the same shape are drawn anew. */
function readMask(text: string): InpaintParams {
  const mask = readImage(text);
  if (mask.format === 'jpeg') {
    throw refuse('mask', 'has to be a PNG whose transparent parts are to be redrawn');
  }
  return inpaintParams.parse({
    mask: mask.bytes.toString('base64'),
    maskFrom: 'transparency',
    fill: 1,
  });
}

/** What an edit adds to a job. A masked part is drawn anew unless the request says how strongly. */
function editParams(request: ImageEditRequest): GenerationInput {
  const [text, ...more] = request.image;
  if (text === undefined || more.length > 0)
    throw refuse('image', 'one picture can be edited at once');
  const image = readImage(text);
  const inpaint = request.mask === null ? null : readMask(request.mask);
  return {
    mode: 'img2img',
    initImages: [image.bytes.toString('base64')],
    ...readSize(request.size, sizeOfPicture(image)),
    denoisingStrength: request.denoising_strength ?? (inpaint ? 1 : DEFAULT_STRENGTH),
    inpaint,
    // OpenAI keeps what the picture shows; a stretched one would not.
    resizeMode: 1,
  };
}

/** As A1111's img2img. */
const DEFAULT_STRENGTH = 0.75;

const { width, height } = GENERATION_DEFAULTS;
const DEFAULT_SIZE: Size = { width, height };

const RESPONSE_FORMATS = [null, 'b64_json', 'url'];

/** The checkpoint named; front ends send the names of OpenAI's own models, which mean the current one. */
function chooseCheckpoint(
  model: string | null,
  { checkpoints, current }: OptionsView,
): { entry: CheckpointEntry; notes: string[] } {
  const entry = model === null ? null : findCheckpoint(checkpoints, model);
  if (entry || model === null) return { entry: entry ?? current, notes: [] };
  const note = `There is no checkpoint "${model.slice(0, 200)}"; ${current.title} was used.`;
  return { entry: current, notes: [note] };
}

/** A job's parameters out of a request; `n` pictures are made one after the other. */
export function toGenerationParams(
  request: ImageGenerationRequest | ImageEditRequest,
  view: OptionsView,
): GenerationParams {
  if (request.stream) throw refuse('stream', 'streaming is not supported: leave it out');
  const { entry, notes } = chooseCheckpoint(request.model, view);
  const names = chooseSampler(
    request.sampler_name ?? GENERATION_DEFAULTS.sampler,
    request.scheduler,
  );
  const quality = STEPS_OF_QUALITY.get(request.quality ?? '');
  if (!RESPONSE_FORMATS.includes(request.response_format)) {
    throw refuse('response_format', 'is b64_json or url');
  }
  return generationParams.parse({
    prompt: request.prompt,
    negativePrompt: request.negative_prompt,
    ...readSize(request.size, DEFAULT_SIZE),
    steps: request.steps ?? quality ?? GENERATION_DEFAULTS.steps,
    guidanceScale: request.cfg_scale ?? GENERATION_DEFAULTS.guidanceScale,
    sampler: names.sampler,
    scheduler: names.scheduler,
    seed: request.seed === -1 ? randomInt(0, MAX_RANDOM_SEED + 1) : request.seed,
    subseed: randomInt(0, MAX_RANDOM_SEED + 1),
    batchCount: request.n,
    checkpoint: entry.name,
    outputFormat: FORMATS.get(request.output_format ?? '') ?? 'png',
    notes: [...notes, ...names.notes],
    ...('image' in request ? editParams(request) : {}),
  });
}

/** OpenAI's reply: base64 unless `url` was asked for; `origin` is the bridge's own address. */
export function toImagesReply(
  request: ImageGenerationRequest | ImageEditRequest,
  { jobId, images }: JobResult,
  { origin, now }: { origin: string; now: number },
) {
  const data = images.map((image, index) =>
    request.response_format === 'url'
      ? { url: `${origin}/easel/v1/jobs/${jobId}/images/${index}` }
      : { b64_json: image.data },
  );
  return { created: Math.floor(now / 1000), data };
}
