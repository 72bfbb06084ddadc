import type { LatentUpscaleMode } from '../../protocol/generation.ts';

/** Input samples that make one output sample along an axis. */
interface Taps {
  readonly places: readonly number[];
  readonly weights: readonly number[];
}

export interface LatentPlane {
  readonly height: number;
  readonly width: number;
}

/**
 * Resizes one picture's latents, [channels, height, width], as torch's `interpolate` does it in the given mode
 * (without aligned corners).
 */
export function resizeLatents(
  latents: Float32Array,
  from: LatentPlane & { readonly channels: number },
  to: LatentPlane,
  mode: LatentUpscaleMode = 'Latent',
): Float32Array {
  const rows = tapsOf(mode, from.height, to.height);
  const columns = tapsOf(mode, from.width, to.width);
  const out = new Float32Array(from.channels * to.height * to.width);
  const wide = new Float32Array(from.height * to.width);
  for (let channel = 0; channel < from.channels; channel++) {
    const plane = channel * from.height * from.width;
    for (let y = 0; y < from.height; y++) {
      for (const [x, taps] of columns.entries()) {
        wide[y * to.width + x] = sum(taps, (i) => latents[plane + y * from.width + i] as number);
      }
    }
    for (const [y, taps] of rows.entries()) {
      for (let x = 0; x < to.width; x++) {
        const value = sum(taps, (i) => wide[i * to.width + x] as number);
        out[(channel * to.height + y) * to.width + x] = value;
      }
    }
  }
  return out;
}

function sum({ places, weights }: Taps, value: (place: number) => number): number {
  let total = 0;
  for (let i = 0; i < places.length; i++)
    total += (weights[i] as number) * value(places[i] as number);
  return total;
}

function tapsOf(mode: LatentUpscaleMode, from: number, to: number): Taps[] {
  // Sizes are given, so the scale is their ratio, in float32.
  const scale = Math.fround(from / to);
  const tapsAt = (i: number): Taps => {
    const centre = (i + 0.5) * scale;
    switch (mode) {
      case 'Latent':
        return linearTaps(Math.max(0, centre - 0.5), from);
      case 'Latent (bicubic)':
        return cubicTaps(centre - 0.5, from);
      case 'Latent (antialiased)':
        return filterTaps(centre, from, Math.max(scale, 1), TRIANGLE);
      case 'Latent (bicubic antialiased)':
        return filterTaps(centre, from, Math.max(scale, 1), CUBIC);
      case 'Latent (nearest)':
        return single(Math.floor(Math.fround(i * scale)), from);
      case 'Latent (nearest-exact)':
        return single(Math.floor(Math.fround(centre)), from);
    }
  };
  return Array.from({ length: to }, (_, i) => tapsAt(i));
}

const single = (place: number, size: number): Taps => ({
  places: [Math.min(place, size - 1)],
  weights: [1],
});

function linearTaps(position: number, size: number): Taps {
  const low = Math.min(Math.floor(position), size - 1);
  const share = position - low;
  return { places: [low, Math.min(low + 1, size - 1)], weights: [1 - share, share] };
}

/** Keys' cubic convolution; torch takes a = -0.75 here and -0.5 where it antialiases. */
function cubic(a: number, x: number): number {
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? a * (((d - 5) * d + 8) * d - 4) : 0;
}

function cubicTaps(position: number, size: number): Taps {
  const low = Math.floor(position);
  const near = [low - 1, low, low + 1, low + 2];
  return {
    places: near.map((place) => Math.min(Math.max(place, 0), size - 1)),
    weights: near.map((place) => cubic(-0.75, position - place)),
  };
}

interface Filter {
  readonly support: number;
  weight(x: number): number;
}
const TRIANGLE: Filter = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };
const CUBIC: Filter = { support: 2, weight: (x) => cubic(-0.5, x) };

/** A filter as wide as the shrinking asks for; its weights add up to 1 at the edges too. */
function filterTaps(centre: number, size: number, scale: number, filter: Filter): Taps {
  const support = filter.support * scale;
  const start = Math.max(0, Math.trunc(centre - support + 0.5));
  const end = Math.min(size, Math.trunc(centre + support + 0.5));
  const places = Array.from({ length: end - start }, (_, k) => start + k);
  const weights = places.map((place) => filter.weight((place - centre + 0.5) / scale));
  const total = weights.reduce((all, weight) => all + weight, 0);
  return { places, weights: weights.map((weight) => weight / total) };
}
