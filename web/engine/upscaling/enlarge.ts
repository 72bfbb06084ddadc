import { GenerationError } from '../../../protocol/errors.ts';
import type { Pixels } from '../images/pixels.ts';
import { LANCZOS, resize } from '../images/resample.ts';

/** One pass of an upscaler: by its own scale where it has one, else to the factor that is asked for. */
export type UpscalePass = (pixels: Pixels, factor: number) => Promise<Pixels>;

/** One pass of the network of a name; null where there is none. */
export type FindNetwork = (name: string, signal?: AbortSignal) => UpscalePass | null;

/** A1111 gives an upscaler this many passes to reach the size. */
const MAX_PASSES = 3;

/**
 * Enlarges by `factor` as A1111 does: passes until the size is reached, then Lanczos to the exact size,
 * whose sides are multiples of 8.
 */
export async function enlarge(pixels: Pixels, factor: number, pass: UpscalePass): Promise<Pixels> {
  const width = Math.max(8, Math.floor((pixels.width * factor) / 8) * 8);
  const height = Math.max(8, Math.floor((pixels.height * factor) / 8) * 8);
  let current = pixels;
  for (let passes = 0; passes < MAX_PASSES; passes++) {
    const isReached = current.width >= width && current.height >= height;
    if (isReached && (passes > 0 || factor !== 1)) break;
    const before = current;
    current = await pass(current, factor);
    if (current.width === before.width && current.height === before.height) break;
  }
  return resize(current, width, height, LANCZOS);
}

/**
 * Brings a picture to a size with an upscaler by its name, as A1111's `resize_image` does: the upscaler makes it large
 * enough, Lanczos does the rest. `None` is Lanczos alone. Rejects with `invalid-request` for an unknown name.
 */
export async function enlargeTo(
  pixels: Pixels,
  target: { readonly width: number; readonly height: number },
  name: string,
  { find, signal }: { find?: FindNetwork | undefined; signal?: AbortSignal | undefined } = {},
): Promise<Pixels> {
  const factor = Math.max(target.width / pixels.width, target.height / pixels.height);
  if (name === 'None' || factor <= 1) return resize(pixels, target.width, target.height, LANCZOS);
  const pass = PLAIN_PASSES.get(name) ?? find?.(name, signal);
  if (!pass) {
    throw new GenerationError('invalid-request', `There is no upscaler named "${name}".`);
  }
  const large = await enlarge(pixels, factor, (current) => {
    signal?.throwIfAborted();
    return pass(current, factor);
  });
  return resize(large, target.width, target.height, LANCZOS);
}

/** The two filters that A1111 lists among its upscalers. */
export const PLAIN_PASSES: ReadonlyMap<string, UpscalePass> = new Map([
  ['Lanczos', filterPass((pixels, width, height) => resize(pixels, width, height, LANCZOS))],
  ['Nearest', filterPass(resizeNearest)],
]);

function filterPass(
  filter: (pixels: Pixels, width: number, height: number) => Pixels,
): UpscalePass {
  const side = (size: number, factor: number) => Math.max(1, Math.trunc(size * factor));
  return async (pixels, factor) =>
    filter(pixels, side(pixels.width, factor), side(pixels.height, factor));
}

/** Each pixel that the centre of an output pixel falls on, as Pillow's nearest neighbour. */
export function resizeNearest(
  { width, height, data }: Pixels,
  toWidth: number,
  toHeight: number,
): Pixels {
  const out = new Uint8Array(toWidth * toHeight * 3);
  for (let y = 0; y < toHeight; y++) {
    const row = Math.min(height - 1, Math.floor(((y + 0.5) * height) / toHeight));
    for (let x = 0; x < toWidth; x++) {
      const from =
        (row * width + Math.min(width - 1, Math.floor(((x + 0.5) * width) / toWidth))) * 3;
      out.set(data.subarray(from, from + 3), (y * toWidth + x) * 3);
    }
  }
  return { width: toWidth, height: toHeight, data: out };
}

/** The picture pasted on the middle of a black one of that size, as A1111 crops. */
export function cropMiddle(pixels: Pixels, width: number, height: number): Pixels {
  const out = new Uint8Array(width * height * 3);
  const left = Math.floor(width / 2) - Math.floor(pixels.width / 2);
  const top = Math.floor(height / 2) - Math.floor(pixels.height / 2);
  const [first, last] = [Math.max(0, left), Math.min(width, left + pixels.width)];
  for (let y = Math.max(0, top); y < Math.min(height, top + pixels.height); y++) {
    const from = ((y - top) * pixels.width + first - left) * 3;
    out.set(pixels.data.subarray(from, from + (last - first) * 3), (y * width + first) * 3);
  }
  return { width, height, data: out };
}

/** `first` with `share` of `second` over it, cut off to whole numbers as Pillow's `blend` does. */
export function blendPixels(first: Pixels, second: Pixels, share: number): Pixels {
  const data = first.data.map((value, at) =>
    Math.trunc(value + Math.fround(share) * ((second.data[at] as number) - value)),
  );
  return { ...first, data };
}
