import type { ControlParams } from '../../../protocol/control.ts';
import type { Pixels } from '../images/pixels.ts';
import { greyToPixels } from '../images/rgba.ts';
import { canny } from './canny.ts';
import { resizePicture } from './map-resize.ts';

/** What a preprocessor is told. */
export type Preprocessing = Pick<
  ControlParams,
  'module' | 'processorResolution' | 'thresholdA' | 'thresholdB'
>;

/** sd-webui-controlnet's defaults. */
export const CANNY_DEFAULTS = { resolution: 512, low: 100, high: 200 } as const;
/** Sides that preprocessors work at are brought to multiples of it, as there. */
const ALIGNMENT = 64;
const CHANNELS = 3;

/** The map that a preprocessor makes of a picture. */
export function preprocess(pixels: Pixels, settings: Preprocessing): Pixels {
  switch (settings.module) {
    case 'none':
      return pixels;
    case 'invert':
      return { ...pixels, data: pixels.data.map((value) => 255 - value) };
    case 'canny':
      return cannyMap(pixels, settings);
  }
}

function cannyMap(
  pixels: Pixels,
  { processorResolution, thresholdA, thresholdB }: Preprocessing,
): Pixels {
  const { width, height } = pixels;
  const side = processorResolution ?? CANNY_DEFAULTS.resolution;
  const scale = side / Math.min(width, height);
  const scaled = resizePicture(
    pixels,
    Math.max(1, Math.round(width * scale)),
    Math.max(1, Math.round(height * scale)),
  );
  const { low, high } = CANNY_DEFAULTS;
  const edges = canny(aligned(scaled), thresholdA ?? low, thresholdB ?? high);
  return topLeft(greyToPixels(edges), scaled.width, scaled.height);
}

/** The picture on whole blocks, its right and lower edge repeated. */
function aligned(pixels: Pixels): Pixels {
  const width = Math.ceil(pixels.width / ALIGNMENT) * ALIGNMENT;
  const height = Math.ceil(pixels.height / ALIGNMENT) * ALIGNMENT;
  const data = new Uint8Array(width * height * CHANNELS);
  for (let y = 0; y < height; y++) {
    const row = Math.min(y, pixels.height - 1) * pixels.width;
    for (let x = 0; x < width; x++) {
      const from = (row + Math.min(x, pixels.width - 1)) * CHANNELS;
      data.set(pixels.data.subarray(from, from + CHANNELS), (y * width + x) * CHANNELS);
    }
  }
  return { width, height, data };
}

function topLeft(pixels: Pixels, width: number, height: number): Pixels {
  const data = new Uint8Array(width * height * CHANNELS);
  for (let y = 0; y < height; y++) {
    const from = y * pixels.width * CHANNELS;
    data.set(pixels.data.subarray(from, from + width * CHANNELS), y * width * CHANNELS);
  }
  return { width, height, data };
}
