import type { Pixels } from './pixels.ts';

/**
 * CIE L*a*b* in 8 bits as OpenCV has it: L times 2.55, a and b plus 128, sRGB's curve, its primaries, white D65.
 * To Lab in the same whole numbers as OpenCV's; back by the formulas, which is off by two at most.
 */

/** Three bytes a pixel: L, a, b. */
export type LabPixels = Pixels;

/** Linear RGB to XYZ (Rec. 709 primaries, D65), row-major. */
const TO_XYZ = [
  0.412453, 0.35758, 0.180423, 0.212671, 0.71516, 0.072169, 0.019334, 0.119193, 0.950227,
] as const;
const TO_RGB = [
  3.240479, -1.53715, -0.498535, -0.969256, 1.875991, 0.041556, 0.055648, -0.204043, 1.057311,
] as const;
const WHITE = [0.950456, 1, 1.088754] as const;
/** Below this the cube root gives way to a line (CIE 15). */
const LINEAR_BELOW = 0.008856;
const SLOPE = 7.787;
const OFFSET = 16 / 116;
/** Binary places of the tables. */
const GAMMA_PLACES = 3;
const MATRIX_PLACES = 12;
const ROOT_PLACES = 15;

const GAMMA = Int32Array.from({ length: 256 }, (_, byte) =>
  Math.round(linear(byte / 255) * 255 * 2 ** GAMMA_PLACES),
);
const ROOTS = Int32Array.from({ length: 384 * 2 ** GAMMA_PLACES }, (_, index) =>
  Math.round(root(index / (255 * 2 ** GAMMA_PLACES)) * 2 ** ROOT_PLACES),
);
const MATRIX = TO_XYZ.map((value, index) =>
  Math.round((value / (WHITE[Math.floor(index / 3)] ?? 1)) * 2 ** MATRIX_PLACES),
);
const L_SCALE = Math.floor((116 * 255 + 50) / 100);
const L_SHIFT = -Math.floor((16 * 255 * 2 ** ROOT_PLACES + 50) / 100);
const MIDDLE = 128 * 2 ** ROOT_PLACES;

function linear(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function root(value: number): number {
  return value < LINEAR_BELOW ? value * SLOPE + OFFSET : Math.cbrt(value);
}

/** Divides by 2 to the `places`, halves up. */
function descale(value: number, places: number): number {
  return Math.floor((value + 2 ** (places - 1)) / 2 ** places);
}

export function toLab({ width, height, data }: Pixels): LabPixels {
  const out = new Uint8ClampedArray(data.length);
  for (let i = 0; i < data.length; i += 3) {
    const rgb = [0, 1, 2].map((channel) => GAMMA[data[i + channel] as number] as number);
    const [x = 0, y = 0, z = 0] = [0, 3, 6].map((row) => {
      let sum = 0;
      for (let k = 0; k < 3; k++) sum += (MATRIX[row + k] as number) * (rgb[k] as number);
      return ROOTS[descale(sum, MATRIX_PLACES)] as number;
    });
    out[i] = descale(L_SCALE * y + L_SHIFT, ROOT_PLACES);
    out[i + 1] = descale(500 * (x - y) + MIDDLE, ROOT_PLACES);
    out[i + 2] = descale(200 * (y - z) + MIDDLE, ROOT_PLACES);
  }
  return { width, height, data: new Uint8Array(out) };
}

export function fromLab({ width, height, data }: LabPixels): Pixels {
  const out = new Uint8ClampedArray(data.length);
  const edge = SLOPE * LINEAR_BELOW + OFFSET;
  const cube = (t: number) => (t <= edge ? (t - OFFSET) / SLOPE : t ** 3);
  for (let i = 0; i < data.length; i += 3) {
    const light = ((data[i] as number) * 100) / 255;
    const isDark = light <= 8;
    const fy = isDark ? SLOPE * (light / 903.3) + OFFSET : (light + 16) / 116;
    const xyz = [
      cube(fy + ((data[i + 1] as number) - 128) / 500) * WHITE[0],
      isDark ? light / 903.3 : fy ** 3,
      cube(fy - ((data[i + 2] as number) - 128) / 200) * WHITE[2],
    ];
    for (let channel = 0; channel < 3; channel++) {
      let sum = 0;
      for (let k = 0; k < 3; k++) sum += (TO_RGB[channel * 3 + k] as number) * (xyz[k] as number);
      const value = Math.min(1, Math.max(0, sum));
      const curved = value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055;
      out[i + channel] = curved * 255;
    }
  }
  return { width, height, data: new Uint8Array(out) };
}
