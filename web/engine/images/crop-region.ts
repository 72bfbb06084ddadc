import type { Pixels } from './pixels.ts';
import type { GreyPixels } from './rgba.ts';

/** A rectangle of pixels; `right` and `bottom` are the first ones outside. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The smallest region that holds all of a mask, `padding` pixels wider on each side; null for an empty mask. */
export function maskRegion({ width, height, data }: GreyPixels, padding: number): Region | null {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[y * width + x] === 0) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = y + 1;
    }
  }
  if (right === 0) return null;
  return {
    left: Math.max(left - padding, 0),
    top: Math.max(top - padding, 0),
    right: Math.min(right + padding, width),
    bottom: Math.min(bottom + padding, height),
  };
}

/** Widens a region to the shape of the picture that is made of it, as far as the whole picture has room. */
export function expandRegion(
  region: Region,
  made: { readonly width: number; readonly height: number },
  whole: { readonly width: number; readonly height: number },
): Region {
  const { left, top, right, bottom } = region;
  const ratio = made.width / made.height;
  if ((right - left) / (bottom - top) > ratio) {
    const [start, end] = grow(top, bottom, (right - left) / ratio, whole.height);
    return { left, right, top: start, bottom: end };
  }
  const [start, end] = grow(left, right, (bottom - top) * ratio, whole.width);
  return { left: start, right: end, top, bottom };
}

/** Makes a span `wanted` long around its middle; what lies outside 0..limit is pushed inside, then cut. */
function grow(start: number, end: number, wanted: number, limit: number): [number, number] {
  const more = Math.trunc(wanted - (end - start));
  let from = start - Math.floor(more / 2);
  let to = end + more - Math.floor(more / 2);
  if (to >= limit) {
    from -= to - limit;
    to = limit;
  }
  if (from < 0) {
    to -= from;
    from = 0;
  }
  return [from, Math.min(to, limit)];
}

/** The pixels of a region; black where it lies outside the picture. */
export function cropPixels({ width, height, data }: Pixels, region: Region): Pixels {
  const columns = region.right - region.left;
  const rows = region.bottom - region.top;
  const out = new Uint8Array(columns * rows * 3);
  const right = Math.min(region.right, width);
  for (let y = region.top; y < Math.min(region.bottom, height) && right > region.left; y++) {
    const row = data.subarray((y * width + region.left) * 3, (y * width + right) * 3);
    out.set(row, (y - region.top) * columns * 3);
  }
  return { width: columns, height: rows, data: out };
}
