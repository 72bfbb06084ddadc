import type { PreviewMethod } from '../../protocol/generation.ts';
import type { ModelDescription } from '../compiler/model.ts';
import type { LatentSpace } from './diffusion-model.ts';
import { type Pixels, toPixels } from './images/pixels.ts';
import { LANCZOS, resize } from './images/resample.ts';

/** Red, green and blue of a latent's channels, −1..1: a row a channel. */
type LatentColours = readonly (readonly [number, number, number])[];

/** Linear fits of pictures to latents, as published with ComfyUI; SD 2 has SD 1's latents. */
const SD1: LatentColours = [
  [0.3512, 0.2297, 0.3227],
  [0.325, 0.4974, 0.235],
  [-0.2829, 0.1762, 0.2721],
  [-0.212, -0.2616, -0.7177],
];
const SDXL: LatentColours = [
  [0.392, 0.4054, 0.4549],
  [-0.2634, -0.0196, 0.0653],
  [0.0568, 0.1687, -0.0755],
  [-0.3112, -0.2359, -0.2076],
];

/** Longest side of a preview, pixels. */
export const MAX_PREVIEW_SIDE = 256;
/** Share of a job's time that networks may take for previews. */
const NETWORK_SHARE = 0.1;

/** Makes the preview of a batch's first picture. */
export interface Previewer {
  /** Of clean latents as far as they are known; null where it would cost too much just now. */
  make<T>(space: LatentSpace<T>, denoised: T): Promise<Pixels | null>;
}

export interface PreviewOptions {
  readonly size: { readonly width: number; readonly height: number };
  readonly method: PreviewMethod;
  /** Milliseconds. */
  readonly now?: () => number;
}

type Latents = Pick<ModelDescription, 'family' | 'latentChannels' | 'vaeFactor'>;

/**
 * Previews of latents: by a TAESD, by the checkpoint's own decoder, or as a sum of four channels. A network takes
 * a tenth of the time at most; in between, and where there is no TAESD, the sum stands in. Latents of other models
 * have no sum: the checkpoint's decoder does it, as often as it may.
 */
export function createPreviewer(latents: Latents, options: PreviewOptions): Previewer {
  const { size, method, now = () => performance.now() } = options;
  const hasSum = latents.latentChannels === 4 && latents.vaeFactor === 8;
  const startedAt = now();
  let spentMs = 0;
  const mayTake = () => spentMs <= NETWORK_SHARE * (now() - startedAt);

  async function decoded<T>(space: LatentSpace<T>, denoised: T): Promise<Pixels> {
    const before = now();
    const pixels = toPixels(await space.decode(denoised, 0), size.height, size.width);
    spentMs += now() - before;
    return reduced(pixels);
  }

  return {
    async make(space, denoised) {
      if (mayTake()) {
        if (method === 'full') return decoded(space, denoised);
        if (method === 'taesd' && space.sketch) {
          const { image, height, width, milliseconds } = await space.sketch(denoised);
          spentMs += milliseconds;
          return reduced(toPixels(image, height, width));
        }
        if (!hasSum) return decoded(space, denoised);
      }
      if (!hasSum) return null;
      return enlarged(summed(await space.math.toArray(denoised), latents, size));
    },
  };
}

function summed(
  values: Float32Array,
  { family, vaeFactor }: Latents,
  size: PreviewOptions['size'],
): Pixels {
  const colours = family === 'sdxl' ? SDXL : SD1;
  return mixChannels(values, size.width / vaeFactor, size.height / vaeFactor, colours);
}

/** The first picture of a batch's latents as small pixels, one a latent. */
function mixChannels(
  latents: Float32Array,
  width: number,
  height: number,
  colours: LatentColours,
): Pixels {
  const plane = width * height;
  const image = new Float32Array(plane * 3);
  for (let colour = 0; colour < 3; colour++) {
    for (let at = 0; at < plane; at++) {
      let sum = 0;
      colours.forEach((factor, channel) => {
        sum += (latents[channel * plane + at] ?? 0) * (factor[colour] ?? 0);
      });
      image[colour * plane + at] = sum;
    }
  }
  return toPixels(image, height, width);
}

function enlarged(pixels: Pixels): Pixels {
  return fitted(
    pixels,
    Math.max(1, Math.floor(MAX_PREVIEW_SIDE / Math.max(pixels.width, pixels.height))),
  );
}

function reduced(pixels: Pixels): Pixels {
  return fitted(pixels, Math.min(1, MAX_PREVIEW_SIDE / Math.max(pixels.width, pixels.height)));
}

function fitted(pixels: Pixels, factor: number): Pixels {
  const side = (length: number) => Math.max(1, Math.round(length * factor));
  return resize(pixels, side(pixels.width), side(pixels.height), LANCZOS);
}
