import { fromLab, type LabPixels, toLab } from './lab.ts';
import type { Pixels } from './pixels.ts';

/** What a picture's colours are brought back to: those of the picture that it was made from. */
export type ColorTarget = LabPixels;

export function colorTarget(pixels: Pixels): ColorTarget {
  return toLab(pixels);
}

/**
 * A1111's colour correction: each channel of the picture's Lab gets the distribution of the target's, and of what comes
 * out the hue and saturation are taken; lightness stays the picture's own. Sizes may differ.
 */
export function correctColors(picture: Pixels, target: ColorTarget): Pixels {
  const lab = toLab(picture);
  const matched = new Uint8Array(lab.data.length);
  for (let channel = 0; channel < 3; channel++) {
    const table = matchingTable(counts(lab, channel), counts(target, channel));
    for (let i = channel; i < matched.length; i += 3) {
      matched[i] = table[lab.data[i] as number] as number;
    }
  }
  return withLuminosityOf(fromLab({ ...lab, data: matched }), picture);
}

function counts({ data }: Pixels, channel: number): Float64Array {
  const of = new Float64Array(256);
  for (let i = channel; i < data.length; i += 3)
    of[data[i] as number] = 1 + (of[data[i] as number] as number);
  return of;
}

/** For each value the one of the same quantile in the target, between the target's values by the straight line. */
function matchingTable(source: Float64Array, target: Float64Array): Uint8Array {
  const values: number[] = [];
  const quantiles: number[] = [];
  const [sourceSize, targetSize] = [source, target].map((of) => of.reduce((sum, n) => sum + n, 0));
  let below = 0;
  for (const [value, count] of target.entries()) {
    if (count === 0) continue;
    below += count;
    values.push(value);
    quantiles.push(below / (targetSize ?? 1));
  }
  const table = new Uint8Array(256);
  below = 0;
  let place = 0;
  for (const [value, count] of source.entries()) {
    below += count;
    const quantile = below / (sourceSize ?? 1);
    while (place < quantiles.length - 1 && (quantiles[place] as number) < quantile) place += 1;
    table[value] = Math.floor(interpolate(values, quantiles, place, quantile));
  }
  return table;
}

/** Between the entries before `place` and at it; the first value below the first quantile. */
function interpolate(
  values: readonly number[],
  quantiles: readonly number[],
  place: number,
  quantile: number,
): number {
  const [high = 0, end = 1] = [values[place], quantiles[place]];
  const [low, start] = [values[place - 1], quantiles[place - 1]];
  if (low === undefined || start === undefined || quantile >= end) return high;
  return ((high - low) / (end - start)) * (quantile - start) + low;
}

const luminosity = (r: number, g: number, b: number) => r * 0.299 + g * 0.587 + b * 0.114;

/** The blend mode "luminosity" of the W3C's compositing rules: colours of `base`, luminosity of `light`. */
function withLuminosityOf(base: Pixels, light: Pixels): Pixels {
  const out = new Uint8ClampedArray(base.data.length);
  const at = (data: Uint8Array, i: number) =>
    [0, 1, 2].map((channel) => (data[i + channel] as number) / 255) as [number, number, number];
  for (let i = 0; i < out.length; i += 3) {
    const wanted = luminosity(...at(light.data, i));
    const color = at(base.data, i);
    const shift = wanted - luminosity(...color);
    const moved = color.map((value) => value + shift);
    const low = Math.min(...moved);
    const high = Math.max(...moved);
    for (let channel = 0; channel < 3; channel++) {
      let value = moved[channel] as number;
      if (low < 0) value = wanted + ((value - wanted) * wanted) / (wanted - low);
      if (high > 1) value = wanted + ((value - wanted) * (1 - wanted)) / (high - wanted);
      out[i + channel] = value * 255;
    }
  }
  return { ...base, data: new Uint8Array(out) };
}
