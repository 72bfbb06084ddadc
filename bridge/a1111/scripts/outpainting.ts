import { type OutpaintParams, outpaintParams } from '../../../protocol/generation.ts';
import { ApiError } from '../errors.ts';
import { readNumber } from '../lenient.ts';

const DIRECTIONS = ['left', 'right', 'up', 'down'] as const;

function number(value: unknown, fallback: number, min: number, max: number, what: string): number {
  if (value === undefined || value === null || value === '') return fallback;
  const read = readNumber(value);
  if (read !== undefined && read >= min && read <= max) return read;
  throw new ApiError(422, `Outpainting: ${what} has to be a number from ${min} to ${max}.`);
}

function readDirections(value: unknown, pixels: number) {
  const names = Array.isArray(value) ? value : value === undefined ? DIRECTIONS : [value];
  const chosen = DIRECTIONS.filter((name) => names.includes(name));
  if (chosen.length === 0) {
    const known = DIRECTIONS.join(', ');
    throw new ApiError(422, `Outpainting: name at least one direction of ${known}.`);
  }
  return Object.fromEntries(chosen.map((name) => [name, pixels]));
}

/** Arguments of A1111's "Outpainting mk2": a note, pixels, mask blur, directions, fall-off, colour variation. */
export function readOutpaintingMk2(args: readonly unknown[]): OutpaintParams {
  const [, pixelText, blurText, directions, exponent, variation] = args;
  const pixels = Math.trunc(number(pixelText, 128, 8, 1024, 'pixels'));
  const blur = Math.trunc(number(blurText, 8, 0, 64, 'mask blur'));
  return outpaintParams.parse({
    ...readDirections(directions, pixels),
    ...{ seam: blur, latentSeam: blur * 2, blur: blur * 4, fill: 1 },
    noise: {
      exponent: number(exponent, 1, 0, 4, 'fall-off exponent'),
      colorVariation: number(variation, 0.05, 0, 1, 'colour variation'),
    },
  });
}

const FILLS = ['fill', 'original', 'latent noise', 'latent nothing'];

/** Arguments of A1111's "Poor man's outpainting": pixels, mask blur, fill, directions. */
export function readPoorMansOutpainting(args: readonly unknown[]): OutpaintParams {
  const [pixelText, blurText, fillText, directions] = args;
  const pixels = Math.trunc(number(pixelText, 128, 8, 1024, 'pixels'));
  const blur = Math.trunc(number(blurText, 4, 0, 64, 'mask blur'));
  const named = typeof fillText === 'string' ? FILLS.indexOf(fillText.toLowerCase()) : -1;
  const fill = named >= 0 ? named : Math.trunc(number(fillText, 0, 0, 3, 'masked content'));
  return outpaintParams.parse({
    ...readDirections(directions, pixels),
    ...{ seam: blur * 2, latentSeam: Math.floor(blur / 2), blur: blur * 2, fill, noise: null },
  });
}
