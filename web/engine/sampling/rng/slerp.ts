import type { LatentShape } from './image-rng.ts';

/** Above this mean cosine the two noises are as good as parallel and the mix is linear. */
const PARALLEL = 0.9995;

/**
 * Spherical interpolation between two noises of one image, as A1111 mixes a subseed in: one angle for each
 * channel and column, taken over the rows. Where the noises are parallel the mix is linear with the weights
 * the other way round (strength times `low`); that is A1111's formula, kept for equal pictures.
 */
export function slerp(
  strength: number,
  low: Float32Array,
  high: Float32Array,
  [channels, height, width]: LatentShape,
): Float32Array {
  const cosines = columnCosines(low, high, [channels, height, width]);
  let sum = 0;
  for (const cosine of cosines) sum += cosine;
  if (sum / cosines.length > PARALLEL) {
    return low.map((value, i) => value * strength + (high[i] as number) * (1 - strength));
  }
  const mixed = new Float32Array(low.length);
  for (let channel = 0; channel < channels; channel++) {
    for (let x = 0; x < width; x++) {
      const omega = Math.acos(cosines[channel * width + x] as number);
      const sine = Math.sin(omega);
      const lowWeight = Math.sin((1 - strength) * omega) / sine;
      const highWeight = Math.sin(strength * omega) / sine;
      for (let y = 0; y < height; y++) {
        const i = (channel * height + y) * width + x;
        mixed[i] = lowWeight * (low[i] as number) + highWeight * (high[i] as number);
      }
    }
  }
  return mixed;
}

function columnCosines(
  low: Float32Array,
  high: Float32Array,
  [channels, height, width]: LatentShape,
): Float64Array {
  const cosines = new Float64Array(channels * width);
  for (let channel = 0; channel < channels; channel++) {
    for (let x = 0; x < width; x++) {
      let [dot, lowSquares, highSquares] = [0, 0, 0];
      for (let y = 0; y < height; y++) {
        const i = (channel * height + y) * width + x;
        const [a, b] = [low[i] as number, high[i] as number];
        dot += a * b;
        lowSquares += a * a;
        highSquares += b * b;
      }
      cosines[channel * width + x] = dot / Math.sqrt(lowSquares * highSquares);
    }
  }
  return cosines;
}
