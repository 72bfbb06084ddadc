import type { GreyPixels } from './rgba.ts';

/** Index that lies behind an edge, mirrored around the edge's own sample. */
function mirrored(index: number, size: number): number {
  if (size === 1) return 0;
  const period = 2 * (size - 1);
  const at = ((index % period) + period) % period;
  return at < size ? at : period - at;
}

/** OpenCV's weights for 8-bit pictures are whole 256ths. */
const KERNEL_ONE = 256;

/**
 * Weights, in 256ths, of a Gaussian of `2 × int(2.5 sigma + 0.5) + 1` samples, as A1111 asks OpenCV for it: rounded from
 * the ends inward, each rounding error passed on to the next weight; the middle one takes what is left.
 */
function gaussianKernel(sigma: number): number[] {
  const radius = Math.trunc(2.5 * sigma + 0.5);
  const exact = Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2)),
  );
  const total = exact.reduce((sum, weight) => sum + weight, 0);
  let error = 0;
  const half = exact.slice(0, radius).map((weight) => {
    const wanted = (weight / total) * KERNEL_ONE + error;
    const rounded = Math.round(wanted);
    error = wanted - rounded;
    return rounded;
  });
  const middle = KERNEL_ONE - 2 * half.reduce((sum, weight) => sum + weight, 0);
  return [...half, middle, ...half.toReversed()];
}

/** Softens a mask along its rows, then its columns, each by its own standard deviation in pixels; 0 leaves it. */
export function blurMask(mask: GreyPixels, sigmaX: number, sigmaY: number): GreyPixels {
  const { width, height } = mask;
  let { data } = mask;
  if (sigmaX > 0) {
    data = convolve(data, gaussianKernel(sigmaX), {
      lines: height,
      length: width,
      across: width,
      along: 1,
    });
  }
  if (sigmaY > 0) {
    data = convolve(data, gaussianKernel(sigmaY), {
      lines: width,
      length: height,
      across: 1,
      along: width,
    });
  }
  return { width, height, data };
}

/** Parallel lines of samples in one array: steps from line to line and from sample to sample. */
interface Lines {
  readonly lines: number;
  readonly length: number;
  readonly across: number;
  readonly along: number;
}

function convolve(
  data: Uint8Array<ArrayBuffer>,
  kernel: readonly number[],
  { lines, length, across, along }: Lines,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(data.length);
  const radius = (kernel.length - 1) / 2;
  const places = Array.from({ length: length + 2 * radius }, (_, i) =>
    mirrored(i - radius, length),
  );
  for (let line = 0; line < lines; line++) {
    const start = line * across;
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (let k = 0; k < kernel.length; k++) {
        sum += (kernel[k] as number) * (data[start + (places[i + k] as number) * along] as number);
      }
      out[start + i * along] = Math.floor(sum / KERNEL_ONE + 0.5);
    }
  }
  return out;
}

const PASSES = 3;
const ONE = 2 ** 24;

/**
 * Pillow's Gaussian: three passes of an extended box along each axis (Gwosdek et al., "Theoretical Foundations of
 * Gaussian Convolution by Extended Box Filtering", 2011), edges repeated. `data` is height × width × channels bytes.
 */
export function boxGaussian(
  data: Uint8Array<ArrayBuffer>,
  {
    width,
    height,
    channels,
    radius,
  }: { width: number; height: number; channels: number; radius: number },
): Uint8Array<ArrayBuffer> {
  if (radius === 0) return data.slice();
  const box = boxRadius(radius);
  let from = data;
  for (const [lines, length, across, along] of [
    [height, width, width * channels, channels],
    [width, height, channels, width * channels],
  ] as const) {
    for (let pass = 0; pass < PASSES; pass++) {
      const to = new Uint8Array(from.length);
      for (let channel = 0; channel < channels; channel++) {
        for (let line = 0; line < lines; line++) {
          boxLine(from, to, line * across + channel, { length, along, box });
        }
      }
      from = to;
    }
  }
  return from;
}

/** Radius of the box, with a fraction, whose passes have the Gaussian's variance (equations 7, 11 and 14). */
function boxRadius(sigma: number): number {
  const variance = sigma ** 2 / PASSES;
  const whole = Math.floor((Math.sqrt(12 * variance + 1) - 1) / 2);
  const share = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  return whole + share / (6 * (variance - (whole + 1) ** 2));
}

function boxLine(
  from: Uint8Array,
  to: Uint8Array,
  start: number,
  { length, along, box }: { length: number; along: number; box: number },
): void {
  const radius = Math.trunc(box);
  const weight = Math.trunc(ONE / (box * 2 + 1));
  const edgeWeight = Math.trunc((ONE - (radius * 2 + 1) * weight) / 2);
  const last = length - 1;
  const value = (i: number) => from[start + Math.min(Math.max(i, 0), last) * along] as number;
  let sum = 0;
  for (let i = -radius; i <= radius; i++) sum += value(i);
  for (let i = 0; i < length; i++) {
    const edges = value(i - radius - 1) + value(i + radius + 1);
    to[start + i * along] = Math.floor((sum * weight + edges * edgeWeight + ONE / 2) / ONE);
    sum += value(i + radius + 1) - value(i - radius);
  }
}
