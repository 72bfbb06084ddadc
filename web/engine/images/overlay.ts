import { boxGaussian } from './blur.ts';
import { fitPixels } from './fit.ts';
import type { Pixels } from './pixels.ts';
import { type GreyPixels, type RgbaPixels, scaleByte } from './rgba.ts';

/** Where a picture that was made of a region goes back to. */
export interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The picture with the masked area cut out: colours multiplied by alpha, alpha the mask's opposite. */
function cutOut({ width, height, data }: Pixels, mask: GreyPixels): RgbaPixels {
  const out = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const alpha = 255 - (mask.data[i] as number);
    for (let channel = 0; channel < 3; channel++) {
      out[i * 4 + channel] = scaleByte(data[i * 3 + channel] as number, alpha);
    }
    out[i * 4 + 3] = alpha;
  }
  return { width, height, data: out };
}

/** Divides colours by alpha, cutting off as Pillow does. */
function unmultiply({ width, height, data }: RgbaPixels): RgbaPixels {
  const out = data.slice();
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3] as number;
    if (alpha === 0 || alpha === 255) continue;
    for (let channel = i; channel < i + 3; channel++) {
      out[channel] = Math.min(255, Math.floor((255 * (data[channel] as number)) / alpha));
    }
  }
  return { width, height, data: out };
}

/** What is laid over a finished picture so that nothing outside the mask changes. Sizes are equal. */
export function maskOverlay(pixels: Pixels, mask: GreyPixels): RgbaPixels {
  return unmultiply(cutOut(pixels, mask));
}

/** The other half: what the mask covers, the rest transparent. Sizes are equal. */
export function maskComposite({ width, height, data }: RgbaPixels, mask: GreyPixels): RgbaPixels {
  const out = new Uint8Array(width * height * 4);
  for (let i = 0; i < out.length; i += 4) {
    const share = mask.data[i / 4] as number;
    const alpha = data[i + 3] as number;
    for (let channel = i; channel < i + 3; channel++) {
      out[channel] = scaleByte(scaleByte(data[channel] as number, alpha), share);
    }
    out[i + 3] = scaleByte(alpha, share);
  }
  return unmultiply({ width, height, data: out });
}

/** Lays `top` over `base`, in place (Porter and Duff's "over", rounded to 8 bits). */
function composite(base: Uint8Array, top: Uint8Array): void {
  for (let i = 0; i < base.length; i += 4) {
    const alpha = top[i + 3] as number;
    if (alpha === 0) continue;
    const below = (base[i + 3] as number) * (255 - alpha);
    const total = alpha * 255 + below;
    for (let channel = i; channel < i + 3; channel++) {
      const sum = (top[channel] as number) * alpha * 255 + (base[channel] as number) * below;
      base[channel] = Math.floor(sum / total + 0.5);
    }
    base[i + 3] = Math.floor(total / 255 + 0.5);
  }
}

/**
 * The finished picture under its overlay. With a `place` the picture is first brought there, to the overlay's size;
 * what neither covers is black.
 */
export function applyOverlay(pixels: Pixels, overlay: RgbaPixels, place: Place | null): Pixels {
  const base = uncrop(pixels, overlay, place ?? { x: 0, y: 0, ...sizeOf(overlay) });
  composite(base.data, overlay.data);
  const out = new Uint8Array(overlay.width * overlay.height * 3);
  for (let from = 0, to = 0; to < out.length; from += 4, to += 3) {
    out.set(base.data.subarray(from, from + 3), to);
  }
  return { ...sizeOf(overlay), data: out };
}

const sizeOf = ({ width, height }: { width: number; height: number }) => ({ width, height });

/** A picture at its place in a transparent one of `size`. */
export function uncrop(
  pixels: Pixels,
  { width, height }: { readonly width: number; readonly height: number },
  place: Place,
): RgbaPixels {
  const isFitting = pixels.width === place.width && pixels.height === place.height;
  const fitted = isFitting ? pixels : fitPixels(pixels, place.width, place.height, 'crop');
  const out = new Uint8Array(width * height * 4);
  for (let y = Math.max(0, -place.y); y < Math.min(place.height, height - place.y); y++) {
    for (let x = Math.max(0, -place.x); x < Math.min(place.width, width - place.x); x++) {
      const from = (y * place.width + x) * 3;
      const to = ((y + place.y) * width + x + place.x) * 4;
      out.set(fitted.data.subarray(from, from + 3), to);
      out[to + 3] = 255;
    }
  }
  return { width, height, data: out };
}

/** Radii in pixels, coarse to fine, and how often each blur is laid on. */
const FILL_LAYERS = [
  [256, 1],
  [64, 1],
  [16, 2],
  [4, 4],
  [2, 2],
  [0, 1],
] as const;

/** Fills the masked area with its surroundings' colours: ever finer blurs of the rest over one another. */
export function fillMasked(pixels: Pixels, mask: GreyPixels): Pixels {
  const { width, height } = pixels;
  const rest = cutOut(pixels, mask);
  const filled = new Uint8Array(width * height * 4);
  for (const [radius, repeats] of FILL_LAYERS) {
    const data = boxGaussian(rest.data, { width, height, channels: 4, radius });
    const layer = unmultiply({ width, height, data });
    for (let i = 0; i < repeats; i++) composite(filled, layer.data);
  }
  const out = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < out.length; from += 4, to += 3) {
    out.set(filled.subarray(from, from + 3), to);
  }
  return { width, height, data: out };
}
