import { createNormalGenerator, type RandnSource } from './normal-generator.ts';
import { slerp } from './slerp.ts';

/** Channels, height and width of one image's latents. */
export type LatentShape = readonly [channels: number, height: number, width: number];

export interface ImageRngOptions {
  readonly shape: LatentShape;
  /** One a picture of the batch. */
  readonly seeds: readonly number[];
  /** null leaves subseeds out; one that is missing in the list counts as 0. */
  readonly subseeds?: readonly number[] | null;
  /** 0 is the seed's noise alone, 1 the subseed's. */
  readonly subseedStrength?: number;
  /** Height and width in pixels at which the start noise is made; either at 0 switches it off. */
  readonly seedResizeFromHeight?: number;
  readonly seedResizeFromWidth?: number;
  readonly source?: RandnSource;
  /** Added to the seeds for all noise after the start noise; 0 is off. */
  readonly etaNoiseSeedDelta?: number;
  /** Pixels a latent, for the seed resize. */
  readonly vaeFactor?: number;
}

/** The noise of one batch: the start noise first, then the noise of each ancestral step. */
export interface ImageRng {
  /** Start noise, shape [batch, channels, height, width] flattened. */
  first(): Float32Array;
  /** Noise of the next step, of the same shape; before `first` it is `first`. */
  next(): Float32Array;
}

/**
 * The noise that A1111 hands to a job's samplers: one generator an image, subseed variation, seed resize and
 * eta noise seed delta ("ENSD").
 */
export function createImageRng({
  shape,
  seeds,
  subseeds = null,
  subseedStrength = 0,
  seedResizeFromHeight = 0,
  seedResizeFromWidth = 0,
  source = 'gpu',
  etaNoiseSeedDelta = 0,
  vaeFactor = 8,
}: ImageRngOptions): ImageRng {
  const [channels, height, width] = shape;
  const size = channels * height * width;
  const isResized = seedResizeFromHeight > 0 && seedResizeFromWidth > 0;
  const noiseShape: LatentShape = isResized
    ? [
        channels,
        Math.floor(seedResizeFromHeight / vaeFactor),
        Math.floor(seedResizeFromWidth / vaeFactor),
      ]
    : shape;
  const isPasted = noiseShape[1] !== height || noiseShape[2] !== width;
  const noiseSize = channels * noiseShape[1] * noiseShape[2];
  let generators = seeds.map((seed) => createNormalGenerator(source, seed));
  let isStarted = false;

  function startNoise(seed: number, index: number): Float32Array {
    const own = generators[index] ?? createNormalGenerator(source, seed);
    let noise = isPasted
      ? createNormalGenerator(source, seed).randn(noiseSize)
      : own.randn(noiseSize);
    if (subseeds !== null && subseedStrength !== 0) {
      const subnoise = createNormalGenerator(source, subseeds[index] ?? 0).randn(noiseSize);
      noise = slerp(subseedStrength, noise, subnoise, noiseShape);
    }
    if (!isPasted) return noise;
    const canvas = own.randn(size);
    pasteCentred(canvas, shape, noise, noiseShape);
    return canvas;
  }

  function first(): Float32Array {
    const batch = concat(seeds.map(startNoise), size);
    isStarted = true;
    if (etaNoiseSeedDelta !== 0) {
      generators = seeds.map((seed) => createNormalGenerator(source, seed + etaNoiseSeedDelta));
    }
    return batch;
  }

  return {
    first,
    next: () =>
      isStarted
        ? concat(
            generators.map((generator) => generator.randn(size)),
            size,
          )
        : first(),
  };
}

function concat(parts: readonly Float32Array[], size: number): Float32Array {
  const whole = new Float32Array(parts.length * size);
  for (const [index, part] of parts.entries()) whole.set(part, index * size);
  return whole;
}

/**
 * Pastes `source` into the middle of `target`, its edges cut where it is larger. With an odd difference the
 * offset is rounded down and a cut takes twice the offset, as A1111 does.
 */
function pasteCentred(
  target: Float32Array,
  [channels, height, width]: LatentShape,
  source: Float32Array,
  [, sourceHeight, sourceWidth]: LatentShape,
): void {
  const dx = Math.floor((width - sourceWidth) / 2);
  const dy = Math.floor((height - sourceHeight) / 2);
  const copyWidth = sourceWidth + 2 * Math.min(dx, 0);
  const copyHeight = sourceHeight + 2 * Math.min(dy, 0);
  const [targetX, targetY] = [Math.max(dx, 0), Math.max(dy, 0)];
  const [sourceX, sourceY] = [Math.max(-dx, 0), Math.max(-dy, 0)];
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < copyHeight; y++) {
      const from = (channel * sourceHeight + sourceY + y) * sourceWidth + sourceX;
      const to = (channel * height + targetY + y) * width + targetX;
      target.set(source.subarray(from, from + copyWidth), to);
    }
  }
}
