import type { Pixels } from '../images/pixels.ts';

const CHANNELS = 3;

/** For one output sample: input samples and what each counts. */
type Taps = readonly (readonly [index: number, weight: number])[];

/** Means of what each output sample covers (OpenCV's INTER_AREA); for an axis that grows, a straight line. */
function areaTaps(size: number, target: number): Taps[] {
  const scale = size / target;
  if (scale < 1) return linearTaps(size, target);
  return Array.from({ length: target }, (_, i) => {
    const [start, end] = [i * scale, Math.min(size, (i + 1) * scale)];
    const taps: [number, number][] = [];
    for (let index = Math.floor(start); index < end; index++) {
      const covered = Math.min(end, index + 1) - Math.max(start, index);
      if (covered > 1e-6) taps.push([index, covered / (end - start)]);
    }
    return taps;
  });
}

function linearTaps(size: number, target: number): Taps[] {
  return spread(size, target, [0, 1], (x) => 1 - Math.abs(x));
}

/** Keys' cubic with a = -0.75, edges repeated (OpenCV's INTER_CUBIC). */
function cubicTaps(size: number, target: number): Taps[] {
  const a = -0.75;
  return spread(size, target, [-1, 0, 1, 2], (x) => {
    const d = Math.abs(x);
    return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  });
}

function spread(
  size: number,
  target: number,
  offsets: readonly number[],
  weight: (distance: number) => number,
): Taps[] {
  return Array.from({ length: target }, (_, i) => {
    const centre = ((i + 0.5) * size) / target - 0.5;
    const first = Math.floor(centre);
    return offsets.map((offset) => {
      const index = first + offset;
      return [Math.min(size - 1, Math.max(0, index)), weight(centre - index)] as const;
    });
  });
}

function nearestTaps(size: number, target: number): Taps[] {
  return Array.from({ length: target }, (_, i) => [
    [Math.min(size - 1, Math.floor((i * size) / target)), 1],
  ]);
}

function resample(
  { width, data }: Pixels,
  columns: readonly Taps[],
  rows: readonly Taps[],
): Pixels {
  const out = new Uint8Array(columns.length * rows.length * CHANNELS);
  for (const [y, rowTaps] of rows.entries()) {
    for (const [x, columnTaps] of columns.entries()) {
      for (let channel = 0; channel < CHANNELS; channel++) {
        let sum = 0;
        for (const [row, rowWeight] of rowTaps) {
          let line = 0;
          for (const [column, weight] of columnTaps) {
            line += weight * (data[(row * width + column) * CHANNELS + channel] as number);
          }
          sum += rowWeight * line;
        }
        out[(y * columns.length + x) * CHANNELS + channel] = clampByte(Math.round(sum));
      }
    }
  }
  return { width: columns.length, height: rows.length, data: out };
}

function clampByte(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** A picture on its way to a preprocessor: means where it gets smaller, cubic where it grows. */
export function resizePicture(pixels: Pixels, width: number, height: number): Pixels {
  if (pixels.width === width && pixels.height === height) return pixels;
  const isSmaller = width * height < pixels.width * pixels.height;
  const taps = isSmaller ? areaTaps : cubicTaps;
  return resample(pixels, taps(pixels.width, width), taps(pixels.height, height));
}

/** Maps of more colours are pictures. */
const MOST_LABELS = 200;

/**
 * A control map at another size, by what it is (as sd-webui-controlnet tells them apart): labels of a few colours keep
 * them, black and white stays black and white, and everything else is a picture.
 */
export function resizeMap(map: Pixels, width: number, height: number): Pixels {
  if (map.width === width && map.height === height) return map;
  const colours = countColours(map, MOST_LABELS);
  if (colours > 2 && colours < MOST_LABELS) {
    return resample(map, nearestTaps(map.width, width), nearestTaps(map.height, height));
  }
  const resized = resizePicture(map, width, height);
  return colours === 2 && isBlackAndWhite(map) ? blackAndWhite(resized) : resized;
}

/** Different colours of a map, counted up to `limit`. */
function countColours({ data }: Pixels, limit: number): number {
  const seen = new Set<number>();
  for (let at = 0; at < data.length && seen.size < limit; at += CHANNELS) {
    const [red = 0, green = 0, blue = 0] = data.subarray(at, at + CHANNELS);
    seen.add((red << 16) | (green << 8) | blue);
  }
  return seen.size;
}

function isBlackAndWhite({ data }: Pixels): boolean {
  let [darkest, brightest] = [255, 0];
  for (const value of data) {
    darkest = Math.min(darkest, value);
    brightest = Math.max(brightest, value);
  }
  return darkest < 16 && brightest > 240;
}

function blackAndWhite({ width, height, data }: Pixels): Pixels {
  const grey = Uint8Array.from({ length: width * height }, (_, i) => {
    const [red = 0, green = 0, blue = 0] = data.subarray(i * CHANNELS, (i + 1) * CHANNELS);
    return Math.floor((red + green + blue) / CHANNELS);
  });
  const threshold = otsuThreshold(grey);
  const out = data.map((_, i) =>
    (grey[Math.floor(i / CHANNELS)] as number) > threshold ? 255 : 0,
  );
  return { width, height, data: out };
}

/** The value that parts dark from bright with the largest variance between them (Otsu, IEEE SMC 9(1), 1979). */
export function otsuThreshold(grey: Uint8Array): number {
  const histogram = new Array<number>(256).fill(0);
  for (const value of grey) histogram[value] = (histogram[value] ?? 0) + 1;
  const mean = grey.reduce((sum, value) => sum + value, 0) / grey.length;
  let best = { threshold: 0, variance: 0 };
  let [darkShare, darkMean] = [0, 0];
  for (const [threshold, count] of histogram.entries()) {
    const share = count / grey.length;
    darkMean *= darkShare;
    darkShare += share;
    const brightShare = 1 - darkShare;
    if (Math.min(darkShare, brightShare) < 1e-7) continue;
    darkMean = (darkMean + threshold * share) / darkShare;
    const brightMean = (mean - darkShare * darkMean) / brightShare;
    const variance = darkShare * brightShare * (darkMean - brightMean) ** 2;
    if (variance > best.variance) best = { threshold, variance };
  }
  return best.threshold;
}
