import { GenerationError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { DiffusionModel } from './diffusion-model.ts';
import { type ColorTarget, colorTarget } from './images/color-correction.ts';
import { cropPixels } from './images/crop-region.ts';
import { fitPixels, frame, type ResizeMode, scaledSize } from './images/fit.ts';
import { fillMasked, type Place } from './images/overlay.ts';
import { fromPixels, type Pixels } from './images/pixels.ts';
import {
  flatten,
  type GreyPixels,
  greyToPixels,
  pixelsToGrey,
  type RgbaPixels,
} from './images/rgba.ts';
import {
  latentMask,
  type MaskPlan,
  type MaskReading,
  overlayOf,
  placeOf,
  RESIZE_MODES,
  readInpaintMask,
} from './inpaint.ts';
import { resizeLatents } from './latent-resize.ts';
import { enlargeTo, type FindNetwork } from './upscaling/enlarge.ts';

export type DecodeImage = (base64: string, what: string) => Promise<RgbaPixels>;

/** What an img2img job starts from. */
export interface InitLatents {
  readonly pictures: number;
  /** [pictures, channels, height, width]; one picture stands for all. */
  readonly values: Float32Array;
  /** The pictures that were encoded, f32 [3, height, width] in -1..1. */
  readonly images: readonly Float32Array[];
  /** Colours that the finished pictures are brought back to, one for each init picture; empty where they are not. */
  readonly colors: readonly ColorTarget[];
  /** null without a mask. */
  readonly inpaint: InitInpaint | null;
  readonly infotext: MaskReading['infotext'];
  readonly notes: readonly string[];
}

/** A mask over the latents, and what makes the finished pictures whole. */
export interface InitInpaint {
  /** [height, width] over the latent; 1 is redrawn. */
  readonly latentMask: Float32Array;
  readonly mask: GreyPixels;
  /** Cuts the redrawn part out of the overlays' pictures. */
  readonly overlayMask: GreyPixels;
  /** One for each init picture. */
  readonly overlays: readonly RgbaPixels[];
  readonly place: Place | null;
}

export interface InitOptions {
  readonly model: DiffusionModel;
  /** The job's real size in pixels. */
  readonly height: number;
  readonly width: number;
  readonly decodeImage: DecodeImage;
  /** Networks that enlarge pictures that are too small; the plain filters need none. */
  readonly findUpscaler?: FindNetwork | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A1111's "Just resize (latent upscale)". */
const LATENT_RESIZE = 3;
/** `inpainting_fill` that keeps the picture under the mask. */
const FILL_ORIGINAL = 1;

/**
 * Decodes, fits, masks and encodes the pictures of an img2img job. A1111 draws a sample around what the VAE
 * encodes, with random numbers that no seed reaches; the mean is taken here, so that a job repeats.
 */
export async function encodeInitImages(
  params: GenerationParams,
  options: InitOptions,
): Promise<InitLatents> {
  assertImages(params);
  const { infotext, notes, plan } = await readMaskOf(params, options);
  const encoded: Float32Array[] = [];
  const images: Float32Array[] = [];
  const overlays: RgbaPixels[] = [];
  const colors: ColorTarget[] = [];
  for (const [index, image] of params.initImages.entries()) {
    options.signal?.throwIfAborted();
    const decoded = await options.decodeImage(image, `init image ${index + 1}`);
    const whole = flatten(decoded, params.backgroundColor);
    const fitted = await fitImage(whole, params, plan, options);
    if (plan) overlays.push(overlayOf(plan.region ? whole : fitted, plan, params.resizeMode));
    const isLatentResize = params.resizeMode === LATENT_RESIZE && !plan?.region;
    const source = isLatentResize ? whole : fitted;
    const pixels = plan && params.inpaint?.fill !== FILL_ORIGINAL ? fill(source, plan) : source;
    if (params.correctsColors) colors.push(colorTarget(pixels));
    images.push(fromPixels(isLatentResize ? stretch(pixels, options) : pixels));
    encoded.push(
      isLatentResize
        ? await encodeAtOwnSize(pixels, options)
        : await options.model.encodeImage(fromPixels(pixels), options.height, options.width),
    );
  }
  const size = encoded[0]?.length ?? 0;
  const values = new Float32Array(encoded.length * size);
  for (const [index, latents] of encoded.entries()) values.set(latents, index * size);
  const inpaint = plan && {
    latentMask: latentMaskOf(plan, params, options),
    mask: plan.mask,
    overlayMask: plan.overlayMask,
    overlays,
    place: placeOf(plan),
  };
  return { pictures: encoded.length, values, images, colors, inpaint, infotext, notes };
}

function assertImages({ initImages, batchSize }: GenerationParams): void {
  if (initImages.length === 0) {
    throw new GenerationError('invalid-request', 'img2img needs a picture to start from.');
  }
  if (initImages.length > batchSize) {
    throw new GenerationError(
      'invalid-request',
      `${initImages.length} pictures were sent for a batch of ${batchSize}: send one, or at most one for each picture.`,
    );
  }
}

async function readMaskOf(
  { inpaint, resizeMode }: GenerationParams,
  { height, width, decodeImage }: InitOptions,
): Promise<MaskReading> {
  if (!inpaint) return { plan: null, infotext: {}, notes: [] };
  const mask = await decodeImage(inpaint.mask, 'the mask');
  const latentMask = inpaint.latentMask && (await decodeImage(inpaint.latentMask, 'latent_mask'));
  return readInpaintMask(
    inpaint,
    { mask, latentMask: latentMask || null },
    { width, height, resizeMode },
  );
}

const stretch = (pixels: Pixels, { width, height }: InitOptions) =>
  fitPixels(pixels, width, height, 'stretch');

/** A picture, or the part of it that is redrawn, at the job's size. */
function fitImage(
  whole: Pixels,
  params: GenerationParams,
  plan: MaskPlan | null,
  options: InitOptions,
): Promise<Pixels> {
  const { width, height } = options;
  const fitted = (pixels: Pixels, mode: ResizeMode) =>
    fitEnlarged(pixels, { width, height }, mode, { ...options, name: params.resizeUpscaler });
  if (plan?.region) return fitted(cropPixels(whole, plan.region), 'fill');
  if (params.resizeMode === LATENT_RESIZE) return Promise.resolve(stretch(whole, options));
  return fitted(whole, RESIZE_MODES[params.resizeMode] ?? 'stretch');
}

/** `fitPixels`, where a picture that is too small is enlarged by an upscaler first (A1111's `upscaler_for_img2img`). */
export async function fitEnlarged(
  pixels: Pixels,
  size: { readonly width: number; readonly height: number },
  mode: ResizeMode,
  {
    name,
    findUpscaler,
    signal,
  }: Pick<InitOptions, 'findUpscaler' | 'signal'> & { readonly name: string | null },
): Promise<Pixels> {
  if (name === null) return fitPixels(pixels, size.width, size.height, mode);
  const to = scaledSize(pixels, size, mode);
  return frame(await enlargeTo(pixels, to, name, { find: findUpscaler, signal }), size, mode);
}

function fill(pixels: Pixels, { latentMask: mask }: MaskPlan): Pixels {
  const { width, height } = pixels;
  if (mask.width === width && mask.height === height) return fillMasked(pixels, mask);
  return fillMasked(pixels, pixelsToGrey(fitPixels(greyToPixels(mask), width, height, 'stretch')));
}

function latentMaskOf(
  plan: MaskPlan,
  { inpaint }: GenerationParams,
  { model, width, height }: InitOptions,
): Float32Array {
  const { vaeFactor } = model.description;
  const size = { width: width / vaeFactor, height: height / vaeFactor };
  return latentMask(plan.latentMask, size, inpaint?.isRounded ?? true);
}

async function encodeAtOwnSize(
  pixels: Pixels,
  { model, height, width }: InitOptions,
): Promise<Float32Array> {
  const { vaeFactor, latentChannels } = model.description;
  const rows = Math.floor(pixels.height / vaeFactor);
  const columns = Math.floor(pixels.width / vaeFactor);
  if (rows === 0 || columns === 0) {
    throw new GenerationError(
      'invalid-request',
      `The init image is ${pixels.width}×${pixels.height}; it needs at least ${vaeFactor} pixels a side.`,
    );
  }
  return resizeLatents(
    await encodeWholeLatents(model, pixels),
    { channels: latentChannels, height: rows, width: columns },
    { height: height / vaeFactor, width: width / vaeFactor },
  );
}

/** A picture of any size as latents; pixels that make no whole latent are cut at the right and the bottom. */
export function encodeWholeLatents(model: DiffusionModel, pixels: Pixels): Promise<Float32Array> {
  const { vaeFactor } = model.description;
  const right = pixels.width - (pixels.width % vaeFactor);
  const bottom = pixels.height - (pixels.height % vaeFactor);
  const cropped = cropPixels(pixels, { left: 0, top: 0, right, bottom });
  return model.encodeImage(fromPixels(cropped), bottom, right);
}
