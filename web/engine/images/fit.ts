import type { Pixels } from './pixels.ts';
import { BICUBIC, LANCZOS, resampleColumns, resampleRows, resize } from './resample.ts';

/** How an img2img picture meets the job's size; A1111's `resize_mode` without the latent one. */
export type ResizeMode = 'stretch' | 'crop' | 'fill';

const CHANNELS = 3;

/** Brings a picture to `width` × `height` the way A1111's `resize_image` does. */
export function fitPixels(pixels: Pixels, width: number, height: number, mode: ResizeMode): Pixels {
  const to = scaledSize(pixels, { width, height }, mode);
  return frame(resize(pixels, to.width, to.height, LANCZOS), { width, height }, mode);
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The size that a picture is scaled to before `frame` cuts it or fills what is left. */
export function scaledSize(from: Size, { width, height }: Size, mode: ResizeMode): Size {
  if (mode === 'stretch') return { width, height };
  const isWider = width / height > from.width / from.height;
  const isNarrower = width / height < from.width / from.height;
  // Cropping covers the target, filling stays inside it.
  const takesWidth = mode === 'crop' ? isWider : isNarrower;
  const takesHeight = mode === 'crop' ? !isWider : !isNarrower;
  return {
    width: takesWidth ? width : Math.trunc((from.width * height) / from.height),
    height: takesHeight ? height : Math.trunc((from.height * width) / from.width),
  };
}

/** A picture that was scaled, on the middle of the target; `fill` goes on with its edges. */
export function frame(scaled: Pixels, { width, height }: Size, mode: ResizeMode): Pixels {
  if (mode === 'stretch') return scaled;
  const canvas = { width, height, data: new Uint8Array(width * height * CHANNELS) };
  const x = half(width) - half(scaled.width);
  const y = half(height) - half(scaled.height);
  paste(canvas, scaled, x, y);
  if (mode === 'fill' && scaled.width >= width && y > 0) {
    paste(canvas, edgeRows(scaled, y, 0), 0, 0);
    paste(canvas, edgeRows(scaled, y, scaled.height), 0, y + scaled.height);
  } else if (mode === 'fill' && x > 0) {
    paste(canvas, edgeColumns(scaled, x, 0), 0, 0);
    paste(canvas, edgeColumns(scaled, x, scaled.width), x + scaled.width, 0);
  }
  return canvas;
}

const half = (value: number) => Math.floor(value / 2);

/** `count` rows of what lies at row `at`, an empty span of the picture. */
function edgeRows(pixels: Pixels, count: number, at: number): Pixels {
  return resampleRows(pixels, count, BICUBIC, { start: at, end: at });
}

function edgeColumns(pixels: Pixels, count: number, at: number): Pixels {
  return resampleColumns(pixels, count, BICUBIC, { start: at, end: at });
}

/** Copies `source` to a place that may lie partly outside `target`. */
function paste(target: Pixels, source: Pixels, x: number, y: number): void {
  const left = Math.max(0, -x);
  const right = Math.min(source.width, target.width - x);
  if (right <= left) return;
  for (let row = Math.max(0, -y); row < Math.min(source.height, target.height - y); row++) {
    const from = (row * source.width + left) * CHANNELS;
    const to = ((row + y) * target.width + left + x) * CHANNELS;
    target.data.set(source.data.subarray(from, from + (right - left) * CHANNELS), to);
  }
}
