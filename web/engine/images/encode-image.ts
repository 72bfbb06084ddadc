import { GenerationError } from '../../../protocol/errors.ts';
import { writeExifText } from '../../../protocol/exif-text.ts';
import { writePngText } from '../../../protocol/png-text.ts';
import type { Pixels } from './pixels.ts';
import { channelsOf, encodePng } from './png.ts';
import type { RgbaPixels } from './rgba.ts';

export type ImageFormat = 'png' | 'jpg' | 'webp';

/** How a JPEG or a WebP is written; a PNG never loses anything. */
export interface LossyOptions {
  /** 1 to 100; A1111's default is 80. */
  readonly quality?: number;
  /** WebP alone. */
  readonly isLossless?: boolean;
}

/** At quality 1 Chromium's canvas writes a WebP without loss, so a lossy one stays below. */
const BEST_LOSSY_WEBP = 0.99;
/** What a JPEG's EXIF segment holds; a longer infotext is cut rather than the picture lost. */
const MAX_EXIF_CHARACTERS = 32_000;

/**
 * A whole picture file with the infotext where A1111 puts it: a PNG text chunk, or EXIF's user comment.
 * An empty one is left out. Only a PNG keeps transparency; the others get the colours alone, as in A1111.
 */
export async function encodeImage(
  pixels: Pixels | RgbaPixels,
  format: ImageFormat,
  infotext: string,
  options: LossyOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const texts = infotext === '' ? {} : { parameters: infotext };
  if (format === 'png') return writePngText(await encodePng(pixels), texts);
  const type = format === 'jpg' ? 'image/jpeg' : 'image/webp';
  const bytes = await encodeLossy(pixels, type, canvasQuality(format, options));
  return infotext === '' ? bytes : writeExifText(bytes, infotext.slice(0, MAX_EXIF_CHARACTERS));
}

function canvasQuality(
  format: 'jpg' | 'webp',
  { quality = 80, isLossless = false }: LossyOptions,
): number {
  if (format === 'jpg') return quality / 100;
  return isLossless ? 1 : Math.min(quality / 100, BEST_LOSSY_WEBP);
}

async function encodeLossy(
  pixels: Pixels | RgbaPixels,
  type: string,
  quality: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height, data } = pixels;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) throw new GenerationError('internal', 'This browser gives the worker no canvas.');
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  const channels = channelsOf(pixels);
  for (let from = 0, to = 0; from < data.length; from += channels, to += 4) {
    rgba[to] = data[from] as number;
    rgba[to + 1] = data[from + 1] as number;
    rgba[to + 2] = data[from + 2] as number;
  }
  context.putImageData(new ImageData(rgba, width, height), 0, 0);
  const blob = await canvas.convertToBlob({ type, quality });
  // A browser without the encoder quietly makes a PNG.
  if (blob.type !== type) {
    throw new GenerationError('unsupported', `This browser writes no ${type}; ask for PNG.`);
  }
  return new Uint8Array(await blob.arrayBuffer());
}
