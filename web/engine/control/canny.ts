import type { Pixels } from '../images/pixels.ts';
import type { GreyPixels } from '../images/rgba.ts';

/** tan 22.5° in the fixed point in which directions are compared. */
const TANGENT_BITS = 15;
const TANGENT = Math.round(0.4142135623730951 * 2 ** TANGENT_BITS);

const [NO_EDGE, WEAK, STRONG] = [0, 1, 2];

/** Slopes at every pixel, and their size |dx| + |dy|. */
interface Gradient {
  readonly dx: Int16Array;
  readonly dy: Int16Array;
  /** One pixel of zeros all around. */
  readonly size: Int32Array;
}

/**
 * Canny's edges (IEEE PAMI 8(6), 1986) as OpenCV draws them with a 3×3 Sobel operator: 255 on an edge, else 0. Of the
 * three colours the one with the steepest slope counts. Slopes above `high` start an edge, those above `low` go on with it.
 */
export function canny(pixels: Pixels, low: number, high: number): GreyPixels {
  const { width, height } = pixels;
  const [lower, upper] = [Math.floor(Math.min(low, high)), Math.floor(Math.max(low, high))];
  const gradient = steepest(pixels);
  const marks = suppress(gradient, width, height, lower, upper);
  const data = follow(marks, width, height);
  return { width, height, data };
}

/** The picture's own edge repeats beyond it. */
function steepest({ width, height, data }: Pixels): Gradient {
  const dx = new Int16Array(width * height);
  const dy = new Int16Array(width * height);
  const stride = width + 2;
  const size = new Int32Array(stride * (height + 2));
  for (let y = 0; y < height; y++) {
    const rows = [Math.max(0, y - 1), y, Math.min(height - 1, y + 1)].map((row) => row * width * 3);
    const [above = 0, at = 0, below = 0] = rows;
    for (let x = 0; x < width; x++) {
      const [left, here, right] = [Math.max(0, x - 1) * 3, x * 3, Math.min(width - 1, x + 1) * 3];
      for (let channel = 0; channel < 3; channel++) {
        const value = (row: number, column: number) => data[row + column + channel] as number;
        const [upLeft, upRight] = [value(above, left), value(above, right)];
        const [downLeft, downRight] = [value(below, left), value(below, right)];
        const slopeX =
          upRight + 2 * value(at, right) + downRight - upLeft - 2 * value(at, left) - downLeft;
        const slopeY =
          downLeft + 2 * value(below, here) + downRight - upLeft - 2 * value(above, here) - upRight;
        const steepness = Math.abs(slopeX) + Math.abs(slopeY);
        const place = (y + 1) * stride + x + 1;
        if (channel > 0 && steepness <= (size[place] as number)) continue;
        size[place] = steepness;
        dx[y * width + x] = slopeX;
        dy[y * width + x] = slopeY;
      }
    }
  }
  return { dx, dy, size };
}

/** Keeps what is steepest along its own slope; the marks have a frame of one pixel. */
function suppress(
  { dx, dy, size }: Gradient,
  width: number,
  height: number,
  low: number,
  high: number,
): Uint8Array {
  const stride = width + 2;
  const marks = new Uint8Array(size.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y + 1) * stride + x + 1;
      const steepness = size[at] as number;
      if (steepness <= low) continue;
      const [slopeX, slopeY] = [dx[y * width + x] as number, dy[y * width + x] as number];
      const flat = Math.abs(slopeX) * TANGENT;
      const steep = flat + Math.abs(slopeX) * 2 ** (TANGENT_BITS + 1);
      const rise = Math.abs(slopeY) * 2 ** TANGENT_BITS;
      const isDiagonal = rise >= flat && rise <= steep;
      const step =
        rise < flat ? 1 : rise > steep ? stride : slopeX * slopeY < 0 ? stride - 1 : stride + 1;
      const [before, after] = [size[at - step] as number, size[at + step] as number];
      // Of two equal neighbours the second one stays; on diagonals neither does.
      const isRidge = steepness > before && (isDiagonal ? steepness > after : steepness >= after);
      if (isRidge) marks[at] = steepness > high ? STRONG : WEAK;
    }
  }
  return marks;
}

/** Strong edges, and weak ones that hang on them. */
function follow(marks: Uint8Array, width: number, height: number): Uint8Array<ArrayBuffer> {
  const stride = width + 2;
  const open: number[] = [];
  for (const [at, mark] of marks.entries()) if (mark === STRONG) open.push(at);
  const around = [-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const step of around) {
      if (marks[at + step] !== WEAK) continue;
      marks[at + step] = STRONG;
      open.push(at + step);
    }
  }
  const out = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const mark = marks[(y + 1) * stride + x + 1] ?? NO_EDGE;
      if (mark === STRONG) out[y * width + x] = 255;
    }
  }
  return out;
}
