import { GenerationError } from '../../../protocol/errors.ts';
import type { Pixels } from './pixels.ts';

/** A picture with transparency: 8-bit rows of red, green, blue and alpha, colours not multiplied by alpha. */
export interface RgbaPixels {
  readonly width: number;
  readonly height: number;
  /** height × width × 4. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** A picture of one channel; in a mask 255 is what changes. */
export interface GreyPixels {
  readonly width: number;
  readonly height: number;
  /** height × width. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** The sixteen basic colours of CSS. */
const COLORS: Readonly<Record<string, string>> = {
  black: '#000000',
  silver: '#c0c0c0',
  gray: '#808080',
  white: '#ffffff',
  maroon: '#800000',
  red: '#ff0000',
  purple: '#800080',
  fuchsia: '#ff00ff',
  green: '#008000',
  lime: '#00ff00',
  olive: '#808000',
  yellow: '#ffff00',
  navy: '#000080',
  blue: '#0000ff',
  teal: '#008080',
  aqua: '#00ffff',
};

/** Red, green and blue of `#rgb`, `#rrggbb` or a basic colour's name; null for anything else. */
export function parseColor(text: string): readonly [number, number, number] | null {
  const name = text.trim().toLowerCase();
  const short = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/.exec(name);
  const hex = short
    ? `#${short
        .slice(1)
        .map((digit) => digit + digit)
        .join('')}`
    : name;
  const digits = /^#([0-9a-f]{6})$/.exec(COLORS[hex] ?? hex)?.[1];
  if (digits === undefined) return null;
  const value = Number.parseInt(digits, 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** `a` × `b` / 255, rounded. */
export function scaleByte(a: number, b: number): number {
  return Math.floor((a * b) / 255 + 0.5);
}

/** The picture laid on a colour; white where the colour's text says none. */
export function flatten({ width, height, data }: RgbaPixels, color: string): Pixels {
  const background = parseColor(color) ?? [255, 255, 255];
  const out = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const alpha = data[from + 3] as number;
    for (let channel = 0; channel < 3; channel++) {
      const below = (background[channel] as number) * (255 - alpha);
      out[to + channel] = Math.floor(
        ((data[from + channel] as number) * alpha + below) / 255 + 0.5,
      );
    }
  }
  return { width, height, data: out };
}

/** The colours of a picture without its transparency, as Pillow's `convert("RGB")` leaves them. */
export function dropAlpha({ width, height, data }: RgbaPixels): Pixels {
  const out = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    out[to] = data[from] as number;
    out[to + 1] = data[from + 1] as number;
    out[to + 2] = data[from + 2] as number;
  }
  return { width, height, data: out };
}

/** Rec. 601 luma in the fixed point that Pillow uses. */
function luma(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/**
 * A client's picture as a mask, as A1111 reads it: where anything is transparent the alpha is the mask (above 128 all,
 * with `isRounded`), else the luminance.
 */
export function readMask({ width, height, data }: RgbaPixels, isRounded: boolean): GreyPixels {
  const out = new Uint8Array(width * height);
  const hasAlpha = data.some((value, i) => i % 4 === 3 && value !== 255);
  for (let i = 0; i < out.length; i++) {
    const [red, green, blue, alpha] = data.subarray(i * 4, i * 4 + 4) as unknown as number[];
    if (!hasAlpha) out[i] = luma(red as number, green as number, blue as number);
    else if (isRounded) out[i] = (alpha as number) > 128 ? 255 : 0;
    else out[i] = alpha as number;
  }
  return { width, height, data: out };
}

/** What a picture's transparency shows, 255 where it is clear. Throws `invalid-request` for a picture without any. */
export function transparencyMask({ width, height, data }: RgbaPixels): GreyPixels {
  const out = new Uint8Array(width * height);
  for (let i = 0; i < out.length; i++) out[i] = 255 - (data[i * 4 + 3] as number);
  if (out.some((value) => value > 0)) return { width, height, data: out };
  throw new GenerationError(
    'invalid-request',
    'The mask has no transparent area: make transparent what is to be redrawn.',
  );
}

export function invert({ width, height, data }: GreyPixels): GreyPixels {
  return { width, height, data: data.map((value) => 255 - value) };
}

/** Grey as three equal channels, for the code that resizes pictures. */
export function greyToPixels({ width, height, data }: GreyPixels): Pixels {
  const out = new Uint8Array(data.length * 3);
  for (let i = 0; i < out.length; i++) out[i] = data[Math.floor(i / 3)] as number;
  return { width, height, data: out };
}

/** The first channel. */
export function pixelsToGrey({ width, height, data }: Pixels): GreyPixels {
  return {
    width,
    height,
    data: Uint8Array.from({ length: width * height }, (_, i) => data[i * 3] as number),
  };
}
