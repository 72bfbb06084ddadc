import { GenerationError } from '../../../protocol/errors.ts';
import {
  GENERATION_LIMITS,
  type GenerationParams,
  inpaintParams,
  type OutpaintParams,
} from '../../../protocol/generation.ts';
import { outpaintPlace } from '../../../protocol/outpaint-size.ts';
import { toBase64 } from '../base64.ts';
import type { EngineAccess } from '../browser-access.ts';
import { paintMatchedNoise } from './matched-noise.ts';
import type { Pixels } from './pixels.ts';
import { flatten, type GreyPixels, greyToPixels } from './rgba.ts';

const CHANNELS = 3;

/** The picture on its larger canvas, and masks of it: 255 is redrawn. */
export interface Outpainting {
  readonly canvas: Pixels;
  /** The new part and a seam. */
  readonly mask: GreyPixels;
  /** The new part and the latent's seam. */
  readonly latentMask: GreyPixels;
}

/** Everything but a rectangle, whose edges on the sides that grow move inwards by `inset`. */
function maskAround(
  source: { readonly width: number; readonly height: number },
  place: ReturnType<typeof outpaintPlace>,
  inset: number,
): GreyPixels {
  const { width, height, left, up, right, down } = place;
  const data = new Uint8Array(width * height).fill(255);
  const fromX = left + (left > 0 ? inset : 0);
  const toX = left + source.width - (right > 0 ? inset : 0);
  const fromY = up + (up > 0 ? inset : 0);
  const toY = up + source.height - (down > 0 ? inset : 0);
  for (let y = fromY; y < toY && fromX < toX; y++) data.fill(0, y * width + fromX, y * width + toX);
  return { width, height, data };
}

/** Lays a picture on the canvas that `outpaint` asks for; `seed` decides its noise. */
export function outpaintPixels(
  source: Pixels,
  outpaint: OutpaintParams,
  seed: number,
): Outpainting {
  const place = outpaintPlace(source, outpaint);
  const { width, height, left, up } = place;
  const data = new Uint8Array(width * height * CHANNELS);
  const rowBytes = source.width * CHANNELS;
  for (let y = 0; y < source.height; y++) {
    const row = source.data.subarray(y * rowBytes, (y + 1) * rowBytes);
    data.set(row, ((y + up) * width + left) * CHANNELS);
  }
  const black = { width, height, data };
  const added = maskAround(source, place, 0);
  const canvas = outpaint.noise
    ? paintMatchedNoise(black, added, { ...outpaint.noise, seed })
    : black;
  return {
    canvas,
    mask: maskAround(source, place, outpaint.seam),
    latentMask: maskAround(source, place, outpaint.latentSeam),
  };
}

/**
 * A job that outpaints as the inpaint job that it comes to: canvas for picture, masks, size. Other jobs come back as
 * they are. Rejects with `invalid-request` where the canvas would be too large.
 */
export async function withOutpainting(
  params: GenerationParams,
  { decodeImage, encodeImage }: Pick<EngineAccess, 'decodeImage' | 'encodeImage'>,
): Promise<GenerationParams> {
  const { outpaint, initImages, backgroundColor, seed } = params;
  const [encoded] = initImages;
  if (!outpaint || params.mode !== 'img2img' || encoded === undefined) return params;
  const source = flatten(await decodeImage(encoded, 'The picture'), backgroundColor);
  const { width, height } = outpaintPlace(source, outpaint);
  const { maxSide } = GENERATION_LIMITS;
  if (width > maxSide || height > maxSide) {
    throw new GenerationError(
      'invalid-request',
      `The picture would become ${width}×${height}; at most ${maxSide} pixels a side are made.`,
    );
  }
  const { canvas, mask, latentMask } = outpaintPixels(source, outpaint, seed);
  const encode = async (pixels: Pixels) => toBase64(await encodeImage(pixels, 'png', ''));
  return {
    ...params,
    ...{ width, height, resizeMode: 0, outpaint: null },
    initImages: [await encode(canvas)],
    inpaint: inpaintParams.parse({
      mask: await encode(greyToPixels(mask)),
      latentMask: await encode(greyToPixels(latentMask)),
      blurX: outpaint.left + outpaint.right > 0 ? outpaint.blur : 0,
      blurY: outpaint.up + outpaint.down > 0 ? outpaint.blur : 0,
      fill: outpaint.fill,
    }),
  };
}
