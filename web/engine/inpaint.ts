import type { GenerationParams, InpaintParams } from '../../protocol/generation.ts';
import type { InfotextInput } from '../../protocol/infotext-values.ts';
import { blurMask } from './images/blur.ts';
import { cropPixels, expandRegion, maskRegion, type Region } from './images/crop-region.ts';
import { fitPixels, type ResizeMode } from './images/fit.ts';
import { maskOverlay, type Place } from './images/overlay.ts';
import type { Pixels } from './images/pixels.ts';
import { BICUBIC, resize } from './images/resample.ts';
import {
  type GreyPixels,
  greyToPixels,
  invert,
  pixelsToGrey,
  type RgbaPixels,
  readMask,
  transparencyMask,
} from './images/rgba.ts';
import type { LatentPlane } from './latent-resize.ts';

/** A1111's modes by number; 3, the latent one, fits masks like 2. */
export const RESIZE_MODES: readonly ResizeMode[] = ['stretch', 'crop', 'fill', 'fill'];

/** A job's mask at the job's size, and where its result goes. */
export interface MaskPlan {
  /** Of the pixels that are made. */
  readonly mask: GreyPixels;
  /** Decides where pixels are filled and latents change: the job's own latent mask, or `mask`. */
  readonly latentMask: GreyPixels;
  /** Part of each picture that is redrawn; null for all of it. */
  readonly region: Region | null;
  /** Cuts the redrawn area out of a picture that was fitted, or in "only masked" out of the whole one. */
  readonly overlayMask: GreyPixels;
}

/** `plan` is null where nothing is masked: the whole picture is redrawn then, and `notes` says so. */
export interface MaskReading {
  readonly plan: MaskPlan | null;
  readonly infotext: Readonly<Record<string, InfotextInput>>;
  readonly notes: readonly string[];
}

const EMPTY_MASK =
  'The mask is empty, so "only masked" had nothing to redraw: the whole picture was redrawn.';
const FILL_NAMES = ['fill', null, 'latent noise', 'latent nothing'] as const;

/** Softens and fits the mask of an img2img job the way A1111 does. */
export function readInpaintMask(
  inpaint: InpaintParams,
  pictures: { readonly mask: RgbaPixels; readonly latentMask: RgbaPixels | null },
  { width, height, resizeMode }: Pick<GenerationParams, 'width' | 'height' | 'resizeMode'>,
): MaskReading {
  const { blurX, blurY, isOnlyMasked, padding } = inpaint;
  const infotext: Record<string, InfotextInput> = {};
  let mask =
    inpaint.maskFrom === 'transparency'
      ? transparencyMask(pictures.mask)
      : readMask(pictures.mask, inpaint.isRounded);
  if (inpaint.isInverted) {
    mask = invert(mask);
    infotext['Mask mode'] = 'Inpaint not masked';
  }
  mask = blurMask(mask, blurX, blurY);
  if (blurX > 0 || blurY > 0) infotext['Mask blur'] = blurX === blurY ? blurX : null;

  const region = isOnlyMasked ? maskRegion(mask, padding) : null;
  if (isOnlyMasked && !region) return { plan: null, infotext, notes: [EMPTY_MASK] };
  const mode = RESIZE_MODES[resizeMode] ?? 'stretch';
  const whole = region && expandRegion(region, { width, height }, mask);
  const fitted = whole
    ? fitGrey(pixelsToGrey(cropPixels(greyToPixels(mask), whole)), width, height, 'fill')
    : fitGrey(mask, width, height, mode);
  if (whole) {
    infotext['Inpaint area'] = 'Only masked';
    infotext['Masked area padding'] = padding;
  }
  const fillName = FILL_NAMES[inpaint.fill] ?? null;
  if (fillName !== null) infotext['Masked content'] = fillName;
  const latentMask =
    pictures.latentMask && fitGrey(readMask(pictures.latentMask, false), width, height, mode);
  return {
    plan: {
      mask: fitted,
      latentMask: latentMask ?? fitted,
      region: whole,
      overlayMask: whole ? mask : doubled(fitted),
    },
    infotext,
    notes: [],
  };
}

/** A softened edge counts twice where the result is laid under the picture. */
function doubled({ width, height, data }: GreyPixels): GreyPixels {
  return { width, height, data: data.map((value) => Math.min(255, value * 2)) };
}

/** A mask at another size, as A1111 fits pictures. */
export function fitGrey(
  grey: GreyPixels,
  width: number,
  height: number,
  mode: ResizeMode,
): GreyPixels {
  return pixelsToGrey(fitPixels(greyToPixels(grey), width, height, mode));
}

/** What is laid over the results that were made of `picture`, a picture of the overlay's size. */
export function overlayOf(picture: Pixels, { overlayMask }: MaskPlan, resizeMode: number) {
  const { width, height } = picture;
  const isFitting = overlayMask.width === width && overlayMask.height === height;
  const mode = RESIZE_MODES[resizeMode] ?? 'stretch';
  const mask = isFitting ? overlayMask : fitGrey(overlayMask, width, height, mode);
  return maskOverlay(picture, mask);
}

export function placeOf({ region }: MaskPlan): Place | null {
  if (!region) return null;
  const { left, top, right, bottom } = region;
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** The mask over the latent, [height, width]: 1 is redrawn. Rounded, a value is 0 or 1. */
export function latentMask(
  mask: GreyPixels,
  { width, height }: LatentPlane,
  isRounded: boolean,
): Float32Array {
  const { data } = pixelsToGrey(resize(greyToPixels(mask), width, height, BICUBIC));
  return Float32Array.from(data, (value) => (isRounded ? Math.round(value / 255) : value / 255));
}
