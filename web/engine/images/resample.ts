import type { Pixels } from './pixels.ts';

/**
 * Pillow's antialiased resampling for 8-bit pictures, with its fixed-point arithmetic, so that an
 * img2img picture is resized to the same bytes as in A1111.
 */

const CHANNELS = 3;
/** Fraction bits of a coefficient: eight bits are the pixel's, two are room for overshoot. */
const PRECISION = 32 - 8 - 2;

/** A filter's curve and where it ends, in input samples at equal size. */
export interface Filter {
  readonly support: number;
  weight(x: number): number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

export const LANCZOS: Filter = {
  support: 3,
  weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0),
};

/** Keys' cubic with a = -0.5. */
export const BICUBIC: Filter = {
  support: 2,
  weight(x) {
    const d = Math.abs(x);
    if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
    return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
  },
};

/** A stretch of the input's rows or columns; it may be empty, which repeats the value at that place. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** For every output sample the first input sample and the fixed-point weights from there on. */
interface Kernel {
  readonly starts: Int32Array;
  readonly weights: readonly Int32Array[];
}

function createKernel(size: number, target: number, filter: Filter, span: Span): Kernel {
  const scale = (span.end - span.start) / target;
  const filterScale = Math.max(scale, 1);
  const support = filter.support * filterScale;
  const starts = new Int32Array(target);
  const weights: Int32Array[] = [];
  for (let i = 0; i < target; i++) {
    const centre = span.start + (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(size, Math.trunc(centre + support + 0.5));
    const row = Array.from({ length: end - start }, (_, k) =>
      filter.weight((k + start - centre + 0.5) / filterScale),
    );
    const sum = row.reduce((total, weight) => total + weight, 0);
    starts[i] = start;
    weights.push(
      Int32Array.from(row, (weight) => {
        const fixed = (sum === 0 ? weight : weight / sum) * 2 ** PRECISION;
        return Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
      }),
    );
  }
  return { starts, weights };
}

/** Resizes to exactly `width` × `height`: columns first, then rows, rounding in between as Pillow does. */
export function resize(pixels: Pixels, width: number, height: number, filter: Filter): Pixels {
  const wide = pixels.width === width ? pixels : resampleColumns(pixels, width, filter);
  return wide.height === height ? wide : resampleRows(wide, height, filter);
}

/** Makes `target` columns of the input's columns in `span`, all of them without it. */
export function resampleColumns(
  { width, height, data }: Pixels,
  target: number,
  filter: Filter,
  span: Span = { start: 0, end: width },
): Pixels {
  const { starts, weights } = createKernel(width, target, filter, span);
  const out = new Uint8Array(target * height * CHANNELS);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < target; x++) {
      const first = (y * width + (starts[x] as number)) * CHANNELS;
      sumInto(out, (y * target + x) * CHANNELS, data, first, CHANNELS, weights[x] as Int32Array);
    }
  }
  return { width: target, height, data: out };
}

/** Makes `target` rows of the input's rows in `span`, all of them without it. */
export function resampleRows(
  { width, height, data }: Pixels,
  target: number,
  filter: Filter,
  span: Span = { start: 0, end: height },
): Pixels {
  const { starts, weights } = createKernel(height, target, filter, span);
  const stride = width * CHANNELS;
  const out = new Uint8Array(target * stride);
  for (let y = 0; y < target; y++) {
    for (let x = 0; x < width; x++) {
      const first = (starts[y] as number) * stride + x * CHANNELS;
      sumInto(out, y * stride + x * CHANNELS, data, first, stride, weights[y] as Int32Array);
    }
  }
  return { width, height: target, data: out };
}

/** One output pixel: the weighted sum of input pixels `step` bytes apart. */
function sumInto(
  out: Uint8Array,
  at: number,
  data: Uint8Array,
  first: number,
  step: number,
  weights: Int32Array,
): void {
  for (let channel = 0; channel < CHANNELS; channel++) {
    let sum = 2 ** (PRECISION - 1);
    let from = first + channel;
    for (const weight of weights) {
      sum += (data[from] as number) * weight;
      from += step;
    }
    const value = Math.floor(sum / 2 ** PRECISION);
    out[at + channel] = value < 0 ? 0 : value > 255 ? 255 : value;
  }
}
