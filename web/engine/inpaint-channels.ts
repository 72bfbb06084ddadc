import { GenerationError } from '../../protocol/errors.ts';
import type { ModelDescription } from '../compiler/model.ts';
import type { DiffusionModel } from './diffusion-model.ts';
import type { GreyPixels } from './images/rgba.ts';

/**
 * Whether a checkpoint's UNet is one made for inpainting, which sees a mask and a masked picture beside the latents.
 * Throws `unsupported` for UNets with channels of another meaning.
 */
export function isInpaintingModel({ unetInChannels, latentChannels }: ModelDescription): boolean {
  if (unetInChannels === latentChannels) return false;
  if (unetInChannels === 2 * latentChannels + 1) return true;
  throw new GenerationError(
    'unsupported',
    `This checkpoint's UNet takes ${unetInChannels} channels (as for instruct-pix2pix or depth), which Easel does not know. Choose another one.`,
  );
}

/** The pictures that an inpainting UNet is shown. */
export interface ShownPictures {
  /** f32 [3, height, width] in -1..1; one stands for all. None: nothing is known of the picture. */
  readonly images: readonly Float32Array[];
  /** null masks all of it. */
  readonly mask: GreyPixels | null;
  readonly isRounded: boolean;
  /** 1 hides the masked pixels, 0 shows them. */
  readonly weight: number;
}

/**
 * What an inpainting UNet sees behind its latents, [pictures, 1 + channels, h, w]: the mask (1 is redrawn), and the latents
 * of the picture whose masked pixels are mid-grey. Sizes are pixels.
 */
export async function inpaintChannels(
  model: DiffusionModel,
  shown: ShownPictures,
  { pictures, height, width }: { pictures: number; height: number; width: number },
): Promise<Float32Array> {
  const { vaeFactor } = model.description;
  const mask = pixelMask(shown, height * width);
  const images = shown.images.length > 0 ? shown.images : [new Float32Array(3 * height * width)];
  const encoded: Float32Array[] = [];
  for (const image of images) {
    const hidden = image.map((value, i) => {
      const share = shown.weight * (mask[i % mask.length] as number);
      return value * (1 - share);
    });
    encoded.push(await model.encodeImage(hidden, height, width));
  }
  const rows = height / vaeFactor;
  const columns = width / vaeFactor;
  const plane = Float32Array.from({ length: rows * columns }, (_, i) => {
    const y = Math.floor(i / columns) * vaeFactor;
    return mask[y * width + (i % columns) * vaeFactor] as number;
  });
  const size = plane.length + (encoded[0]?.length ?? 0);
  const out = new Float32Array(pictures * size);
  for (let picture = 0; picture < pictures; picture++) {
    out.set(plane, picture * size);
    out.set(encoded[picture % encoded.length] as Float32Array, picture * size + plane.length);
  }
  return out;
}

function pixelMask({ mask, isRounded }: ShownPictures, size: number): Float32Array {
  if (!mask) return new Float32Array(size).fill(1);
  return Float32Array.from(mask.data, (value) =>
    isRounded ? Math.round(value / 255) : value / 255,
  );
}
