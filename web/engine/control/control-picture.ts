import type { ControlParams } from '../../../protocol/control.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import type { GenerationParams } from '../../../protocol/generation.ts';
import { cropPixels, type Region } from '../images/crop-region.ts';
import { fitPixels, type ResizeMode } from '../images/fit.ts';
import type { Pixels } from '../images/pixels.ts';
import { flatten, type RgbaPixels } from '../images/rgba.ts';
import type { DecodeImage } from '../init-latents.ts';
import { RESIZE_MODES } from '../inpaint.ts';
import type { PixelSize } from '../job-plan.ts';
import { resizeMap } from './map-resize.ts';
import { preprocess } from './preprocess.ts';

/** Part of an img2img picture that is redrawn alone, and the size of the mask that says so. */
export interface RedrawnPart {
  readonly region: Region;
  readonly maskSize: PixelSize;
}

export interface ControlPictureOptions {
  readonly params: GenerationParams;
  /** The job's size in pixels. */
  readonly size: PixelSize;
  readonly decodeImage: DecodeImage;
  /** "Only masked" of img2img; null for all of the picture. */
  readonly part: RedrawnPart | null;
}

/** A unit's map as its preprocessor made it, and how it meets a pass's size. */
export interface ControlMap {
  readonly map: Pixels;
  readonly resizeMode: ResizeMode;
}

/** A mask that is darker or brighter than this throughout says nothing. */
const [ALL_BLACK, ALL_WHITE] = [5, 250];

/** Decodes a unit's picture and makes its map. Rejects with `invalid-request` where there is no picture at all. */
export async function makeControlMap(
  unit: ControlParams,
  options: ControlPictureOptions,
): Promise<ControlMap> {
  const { params, size, part, decodeImage } = options;
  const { pixels, resizeMode, isDrawing } = await chooseInput(unit, params, decodeImage);
  const input = part ? cutOut(pixels, part, resizeMode, size) : pixels;
  const module = isDrawing ? 'none' : unit.module;
  const processorResolution = unit.isPixelPerfect
    ? pixelPerfectResolution(input, size, resizeMode)
    : unit.processorResolution;
  return { map: preprocess(input, { ...unit, module, processorResolution }), resizeMode };
}

async function chooseInput(
  { unit, image, mask, resizeMode }: ControlParams,
  { initImages, resizeMode: initMode }: GenerationParams,
  decodeImage: DecodeImage,
): Promise<{ pixels: Pixels; resizeMode: ResizeMode; isDrawing: boolean }> {
  if (image !== null) {
    const drawing =
      mask && drawingOf(await decodeImage(mask, `the mask of ControlNet unit ${unit}`));
    const decoded = drawing || (await decodeImage(image, `the picture of ControlNet unit ${unit}`));
    return { pixels: flatten(decoded, '#ffffff'), resizeMode, isDrawing: Boolean(drawing) };
  }
  const [first] = initImages;
  if (first === undefined) {
    throw new GenerationError(
      'invalid-request',
      `ControlNet unit ${unit} has no picture: send one as its "image", or use img2img.`,
    );
  }
  const decoded = await decodeImage(first, 'init image 1');
  const mode = initMode === 3 ? 'stretch' : (RESIZE_MODES[initMode] ?? 'stretch');
  return { pixels: flatten(decoded, '#ffffff'), resizeMode: mode, isDrawing: false };
}

/** A mask as a drawing, its red as grey; null where it says nothing. */
function drawingOf({ width, height, data }: RgbaPixels): RgbaPixels | null {
  const red = data.filter((_, i) => i % 4 === 0);
  if (red.every((value) => value <= ALL_BLACK) || red.every((value) => value >= ALL_WHITE)) {
    return null;
  }
  const grey = data.map((_, i) => (i % 4 === 3 ? 255 : (red[Math.floor(i / 4)] as number)));
  return { width, height, data: grey };
}

/** The part of the picture that is redrawn, at the job's size. */
function cutOut(
  pixels: Pixels,
  { region, maskSize }: RedrawnPart,
  resizeMode: ResizeMode,
  { width, height }: PixelSize,
): Pixels {
  const whole = fitPixels(pixels, maskSize.width, maskSize.height, resizeMode);
  return fitPixels(cropPixels(whole, region), width, height, 'fill');
}

/** The shorter side at which a preprocessor's map meets the job's size without another resize. */
export function pixelPerfectResolution(
  picture: PixelSize,
  { width, height }: PixelSize,
  resizeMode: ResizeMode,
): number {
  const scales = [width / picture.width, height / picture.height];
  const scale = resizeMode === 'fill' ? Math.min(...scales) : Math.max(...scales);
  return Math.max(1, Math.round(scale * Math.min(picture.width, picture.height)));
}

/** A map's pixels as its ControlNet reads them, f32 [3, height, width] in 0..1. */
export function controlTensor({ width, height, data }: Pixels): Float32Array {
  const plane = width * height;
  const out = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    for (let channel = 0; channel < 3; channel++) {
      out[channel * plane + i] = (data[i * 3 + channel] as number) / 255;
    }
  }
  return out;
}

/**
 * The map at a pass's size: stretched; or enlarged to cover and cut in the middle; or made to fit on its borders' colour.
 */
export function fitControlMap(
  { map, resizeMode }: ControlMap,
  { width, height }: PixelSize,
): Pixels {
  if (resizeMode === 'stretch') return resizeMap(map, width, height);
  const scales = [width / map.width, height / map.height];
  const scale = resizeMode === 'fill' ? Math.min(...scales) : Math.max(...scales);
  const resized = resizeMap(
    map,
    Math.max(1, Math.round(map.width * scale)),
    Math.max(1, Math.round(map.height * scale)),
  );
  // The odd pixel is at the right and the bottom, of margins as of what is cut.
  const across = Math.trunc((width - resized.width) / 2);
  const down = Math.trunc((height - resized.height) / 2);
  const out = plain(width, height, borderColour(map));
  for (let y = 0; y < height; y++) {
    const row = y - down;
    if (row < 0 || row >= resized.height) continue;
    for (let x = Math.max(0, across); x < Math.min(width, across + resized.width); x++) {
      const from = (row * resized.width + x - across) * 3;
      out.data.set(resized.data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return out;
}

function plain(width: number, height: number, colour: readonly number[]): Pixels {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => colour[i % 3] ?? 0);
  return { width, height, data };
}

/** The median of each colour over the first and last rows and columns. */
function borderColour({ width, height, data }: Pixels): number[] {
  const places: number[] = [];
  for (let x = 0; x < width; x++) places.push(x, (height - 1) * width + x);
  for (let y = 0; y < height; y++) places.push(y * width, y * width + width - 1);
  return [0, 1, 2].map((channel) => {
    const values = places.map((place) => data[place * 3 + channel] as number).sort((a, b) => a - b);
    const middle = values.length / 2;
    return Math.floor(((values[middle - 1] ?? 0) + (values[middle] ?? 0)) / 2);
  });
}
