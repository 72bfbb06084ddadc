import { correctColors } from '../images/color-correction.ts';
import { applyOverlay, maskComposite, uncrop } from '../images/overlay.ts';
import type { Pixels } from '../images/pixels.ts';
import { greyToPixels, type RgbaPixels } from '../images/rgba.ts';
import { fitEnlarged, type InitInpaint, type InitLatents } from '../init-latents.ts';
import { fitGrey } from '../inpaint.ts';
import type { ByproductPixels, PipelineJob } from './job.ts';

/** A decoded picture's surroundings. */
export interface PictureSource {
  /** Its place in the batch. */
  readonly place: number;
  readonly init: InitLatents | null;
  /** The picture that a second pass began with, where it is asked for. */
  readonly before: Pixels | undefined;
}

/**
 * What becomes of a decoded picture before it is written: the colours of what it was made from, and its place under what
 * the mask keeps; beside it the byproducts that the job asks for, in the order in which A1111 saves them.
 */
export async function completePicture(
  job: PipelineJob,
  decoded: Pixels,
  { place, init, before }: PictureSource,
): Promise<{ pixels: Pixels; byproducts: ByproductPixels[] }> {
  const asked = new Set(job.params.byproducts);
  const byproducts: ByproductPixels[] = [];
  const add = (kind: ByproductPixels['kind'], pixels: ByproductPixels['pixels']) => {
    if (asked.has(kind)) byproducts.push({ kind, module: '', pixels });
  };
  const inpaint = init?.inpaint ?? null;
  const colors = init?.colors[place % init.colors.length];
  if (before) add('before-highres-fix', before);
  if (colors && asked.has('before-color-correction')) {
    add('before-color-correction', (await layUnder(job, decoded, place, inpaint)).pixels);
  }
  const corrected = colors ? correctColors(decoded, colors) : decoded;
  const { pixels, redrawn } = await layUnder(job, corrected, place, inpaint);
  if (inpaint) {
    add('mask', greyToPixels(inpaint.overlayMask));
    const { width, height } = redrawn;
    const mask = fitGrey(inpaint.overlayMask, width, height, 'fill');
    add('mask-composite', maskComposite(redrawn, mask));
  }
  return { pixels, byproducts };
}

/** The picture under its overlay, and without it at its place; what lies outside that is transparent. */
async function layUnder(
  { params, findUpscaler, control }: PipelineJob,
  pixels: Pixels,
  picture: number,
  inpaint: InitInpaint | null,
): Promise<{ pixels: Pixels; redrawn: RgbaPixels }> {
  const { width, height } = pixels;
  const whole = { x: 0, y: 0, width, height };
  const overlay = inpaint?.overlays[picture % inpaint.overlays.length];
  if (!inpaint || !overlay || params.inpaint?.isOverlaid === false) {
    return { pixels, redrawn: uncrop(pixels, whole, whole) };
  }
  const { place } = inpaint;
  const options = { name: params.resizeUpscaler, findUpscaler, signal: control.signal };
  const placed = place ? await fitEnlarged(pixels, place, 'crop', options) : pixels;
  return {
    pixels: applyOverlay(placed, overlay, place),
    redrawn: uncrop(placed, overlay, place ?? { ...whole, ...sizeOf(overlay) }),
  };
}

const sizeOf = ({ width, height }: { width: number; height: number }) => ({ width, height });
