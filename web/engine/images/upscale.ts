import { GenerationError } from '../../../protocol/errors.ts';
import type { Pixels } from './pixels.ts';
import { LANCZOS, resize } from './resample.ts';

/** Enlarges pictures by a factor of its own choice: a network, or a plain filter. */
export interface Upscaler {
  readonly name: string;
  /** One pass over a picture; `factor` is what is still wanted, networks have their own. */
  upscale(pixels: Pixels, factor: number, signal: AbortSignal | undefined): Promise<Pixels>;
}

/** The upscaler of a name, or null where there is none. */
export type FindUpscaler = (name: string) => Promise<Upscaler | null>;

/** A1111 runs a network again while the picture is too small, so often at most. */
const MAX_PASSES = 3;
/** Upscaled sides are multiples of it before the last resize. */
const SIDE_STEP = 8;

const scaled = (side: number, factor: number) => Math.trunc(side * factor);

const LANCZOS_UPSCALER: Upscaler = {
  name: 'Lanczos',
  upscale: async (pixels, factor) =>
    resize(pixels, scaled(pixels.width, factor), scaled(pixels.height, factor), LANCZOS),
};

const NEAREST_UPSCALER: Upscaler = {
  name: 'Nearest',
  upscale: async (pixels, factor) =>
    resizeNearest(pixels, scaled(pixels.width, factor), scaled(pixels.height, factor)),
};

/** The two filters that A1111 lists among its upscalers. */
export const PLAIN_UPSCALERS: readonly Upscaler[] = [LANCZOS_UPSCALER, NEAREST_UPSCALER];

export interface UpscaleTarget {
  readonly width: number;
  readonly height: number;
}

/**
 * Brings a picture to a size with an upscaler by its name, as A1111's `resize_image` does: the network makes it large
 * enough, Lanczos does the rest. `None` is Lanczos alone. Rejects with `invalid-request` for an unknown name.
 */
export async function upscaleTo(
  pixels: Pixels,
  target: UpscaleTarget,
  name: string,
  { find, signal }: { find?: FindUpscaler | undefined; signal?: AbortSignal | undefined } = {},
): Promise<Pixels> {
  const factor = Math.max(target.width / pixels.width, target.height / pixels.height);
  let large = pixels;
  if (name !== 'None' && factor > 1) {
    const upscaler = PLAIN_UPSCALERS.find((plain) => plain.name === name) ?? (await find?.(name));
    if (!upscaler) {
      throw new GenerationError('invalid-request', `There is no upscaler named "${name}".`);
    }
    large = await upscaleBy(pixels, factor, upscaler, signal);
  }
  return resize(large, target.width, target.height, LANCZOS);
}

/** A picture `factor` times as large, its sides cut to multiples of 8. */
export async function upscaleBy(
  pixels: Pixels,
  factor: number,
  upscaler: Upscaler,
  signal: AbortSignal | undefined,
): Promise<Pixels> {
  const side = (size: number) => Math.floor((size * factor) / SIDE_STEP) * SIDE_STEP;
  const [width, height] = [side(pixels.width), side(pixels.height)];
  let large = pixels;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    if (large.width >= width && large.height >= height) break;
    signal?.throwIfAborted();
    const before = large;
    large = await upscaler.upscale(before, factor, signal);
    if (large.width === before.width && large.height === before.height) break;
  }
  return resize(large, width, height, LANCZOS);
}

/** Each output pixel is the input pixel that its middle falls into. */
export function resizeNearest(
  { width, height, data }: Pixels,
  columns: number,
  rows: number,
): Pixels {
  const out = new Uint8Array(columns * rows * 3);
  for (let y = 0; y < rows; y++) {
    const from = Math.floor(((y + 0.5) * height) / rows) * width;
    for (let x = 0; x < columns; x++) {
      const at = (from + Math.floor(((x + 0.5) * width) / columns)) * 3;
      out.set(data.subarray(at, at + 3), (y * columns + x) * 3);
    }
  }
  return { width: columns, height: rows, data: out };
}
