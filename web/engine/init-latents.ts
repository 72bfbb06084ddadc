import { GenerationError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { DiffusionModel } from './diffusion-model.ts';
import { fitPixels, type ResizeMode } from './images/fit.ts';
import { fromPixels, type Pixels } from './images/pixels.ts';

/** Latents of img2img's pictures, [pictures, channels, height, width]; one picture stands for all. */
export interface InitLatents {
  readonly pictures: number;
  readonly values: Float32Array;
}

export interface InitOptions {
  readonly model: DiffusionModel;
  /** The job's real size in pixels. */
  readonly height: number;
  readonly width: number;
  readonly decodeImage: (base64: string, what: string) => Promise<Pixels>;
  readonly signal?: AbortSignal | undefined;
}

const RESIZE_MODES: readonly ResizeMode[] = ['stretch', 'crop', 'fill'];
/** A1111's "Just resize (latent upscale)". */
const LATENT_RESIZE = 3;

/**
 * Decodes, fits and encodes the pictures of an img2img job. A1111 draws a sample around what the VAE
 * encodes, with random numbers that no seed reaches; the mean is taken here, so that a job repeats.
 */
export async function encodeInitImages(
  params: GenerationParams,
  { model, height, width, decodeImage, signal }: InitOptions,
): Promise<InitLatents> {
  const { initImages, batchSize, resizeMode } = params;
  if (initImages.length === 0) {
    throw new GenerationError('invalid-request', 'img2img needs a picture to start from.');
  }
  if (initImages.length > batchSize) {
    throw new GenerationError(
      'invalid-request',
      `${initImages.length} pictures were sent for a batch of ${batchSize}: send one, or at most one for each picture.`,
    );
  }
  const encoded: Float32Array[] = [];
  for (const [index, image] of initImages.entries()) {
    signal?.throwIfAborted();
    const pixels = await decodeImage(image, `init image ${index + 1}`);
    encoded.push(
      resizeMode === LATENT_RESIZE
        ? await encodeAtOwnSize(model, pixels, height, width)
        : await model.encodeImage(
            fromPixels(fitPixels(pixels, width, height, RESIZE_MODES[resizeMode] ?? 'stretch')),
            height,
            width,
          ),
    );
  }
  const size = encoded[0]?.length ?? 0;
  const values = new Float32Array(encoded.length * size);
  for (const [index, latents] of encoded.entries()) values.set(latents, index * size);
  return { pictures: encoded.length, values };
}

async function encodeAtOwnSize(
  model: DiffusionModel,
  pixels: Pixels,
  height: number,
  width: number,
): Promise<Float32Array> {
  const { vaeFactor, latentChannels } = model.description;
  const rows = Math.floor(pixels.height / vaeFactor);
  const columns = Math.floor(pixels.width / vaeFactor);
  if (rows === 0 || columns === 0) {
    throw new GenerationError(
      'invalid-request',
      `The init image is ${pixels.width}×${pixels.height}; it needs at least ${vaeFactor} pixels a side.`,
    );
  }
  const cropped = cropTo(pixels, columns * vaeFactor, rows * vaeFactor);
  const latents = await model.encodeImage(fromPixels(cropped), cropped.height, cropped.width);
  return resizeLatents(
    latents,
    { channels: latentChannels, height: rows, width: columns },
    { height: height / vaeFactor, width: width / vaeFactor },
  );
}

function cropTo({ width, data }: Pixels, columns: number, rows: number): Pixels {
  const out = new Uint8Array(columns * rows * 3);
  for (let y = 0; y < rows; y++) {
    out.set(data.subarray(y * width * 3, (y * width + columns) * 3), y * columns * 3);
  }
  return { width: columns, height: rows, data: out };
}

/** Bilinear resize of one picture's latents, as torch's `interpolate` without antialiasing does it. */
export function resizeLatents(
  latents: Float32Array,
  from: { readonly channels: number; readonly height: number; readonly width: number },
  to: { readonly height: number; readonly width: number },
): Float32Array {
  const out = new Float32Array(from.channels * to.height * to.width);
  const rows = taps(from.height, to.height);
  const columns = taps(from.width, to.width);
  for (let channel = 0; channel < from.channels; channel++) {
    const plane = channel * from.height * from.width;
    const value = (y: number, x: number) => latents[plane + y * from.width + x] as number;
    for (const [y, row] of rows.entries()) {
      for (const [x, column] of columns.entries()) {
        const top = mix(value(row.low, column.low), value(row.low, column.high), column.weight);
        const bottom = mix(
          value(row.high, column.low),
          value(row.high, column.high),
          column.weight,
        );
        out[(channel * to.height + y) * to.width + x] = mix(top, bottom, row.weight);
      }
    }
  }
  return out;
}

const mix = (a: number, b: number, weight: number) => a * (1 - weight) + b * weight;

/** The two neighbours of every output sample and the weight of the second. */
function taps(from: number, to: number): { low: number; high: number; weight: number }[] {
  return Array.from({ length: to }, (_, i) => {
    const centre = Math.max(0, ((i + 0.5) * from) / to - 0.5);
    const low = Math.floor(centre);
    return { low, high: Math.min(low + 1, from - 1), weight: centre - low };
  });
}
