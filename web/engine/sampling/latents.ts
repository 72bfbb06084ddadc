import type { LatentShape } from './rng/image-rng.ts';

/**
 * Shape of one picture's latents. Sizes that are no multiple of the VAE's factor are rounded down, as A1111 does.
 *
 * @param height and width in pixels
 * @param channels latent channels of the VAE
 * @param vaeFactor pixels a latent
 */
export function latentShape({
  height,
  width,
  channels,
  vaeFactor,
}: {
  height: number;
  width: number;
  channels: number;
  vaeFactor: number;
}): LatentShape {
  return [channels, Math.floor(height / vaeFactor), Math.floor(width / vaeFactor)];
}

/** Values of one picture's latents. */
export function latentSize([channels, height, width]: LatentShape): number {
  return channels * height * width;
}

/** How the latents a run starts from are mixed: `signal` times the encoded picture plus `noise` times the noise. */
export interface StartMix {
  /** 0 in txt2img. */
  readonly signal: number;
  readonly noise: number;
}

/**
 * The latents that a run starts from.
 *
 * @param noise of the whole batch
 * @param initLatents img2img: the encoded picture, for the whole batch or, shorter, repeated for each picture of it
 */
export function startLatents(
  mix: StartMix,
  noise: Float32Array,
  initLatents: Float32Array | null = null,
): Float32Array {
  if (initLatents === null) return noise.map((value) => value * mix.noise);
  if (initLatents.length === 0 || noise.length % initLatents.length !== 0) {
    throw new RangeError(
      `${initLatents.length} values of a picture don't fit ${noise.length} values of noise`,
    );
  }
  return noise.map(
    (value, i) => mix.signal * (initLatents[i % initLatents.length] as number) + mix.noise * value,
  );
}
