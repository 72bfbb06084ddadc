import { type ComplexPlane, powerOfTwo, transformPlane } from './fourier.ts';
import type { Pixels } from './pixels.ts';
import type { GreyPixels } from './rgba.ts';

const CHANNELS = 3;
/** A mask above this is to be painted; at 0 a pixel is known. */
const PAINTED = 0;

export interface MatchedNoiseOptions {
  /** Power to which the picture's spectrum is raised. */
  readonly exponent: number;
  /** 0 is the same noise in all channels, 1 is independent. */
  readonly colorVariation: number;
  readonly seed: number;
}

/** Numbers from 0 to 1 (Mulberry32): which ones is of no matter here, only that a job repeats. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One channel on a plane of power-of-two sides; what is unknown is the known pixels' mean. */
function channelPlane(pixels: Pixels, mask: GreyPixels, channel: number): ComplexPlane {
  const { width, height, data } = pixels;
  let sum = 0;
  let count = 0;
  for (let i = 0; i < mask.data.length; i++) {
    if ((mask.data[i] as number) > PAINTED) continue;
    sum += data[i * CHANNELS + channel] as number;
    count++;
  }
  const mean = count === 0 ? 127.5 : sum / count;
  const plane = {
    width: powerOfTwo(width),
    height: powerOfTwo(height),
    re: new Float64Array(powerOfTwo(width) * powerOfTwo(height)),
    im: new Float64Array(powerOfTwo(width) * powerOfTwo(height)),
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if ((mask.data[i] as number) > PAINTED) continue;
      plane.re[y * plane.width + x] = (data[i * CHANNELS + channel] as number) - mean;
    }
  }
  return plane;
}

/** Noise times the picture's spectrum, with the picture's phases: the noise takes on its grain and directions. */
function shapeNoise(source: ComplexPlane, noise: ComplexPlane, exponent: number): void {
  transformPlane(source, -1);
  transformPlane(noise, -1);
  for (let i = 0; i < noise.re.length; i++) {
    const re = source.re[i] as number;
    const im = source.im[i] as number;
    const magnitude = Math.hypot(re, im);
    const power = (noise.re[i] as number) ** 2 + (noise.im[i] as number) ** 2;
    const gain = magnitude === 0 ? 0 : (power * magnitude ** exponent) / magnitude;
    noise.re[i] = re * gain;
    noise.im[i] = im * gain;
  }
  transformPlane(noise, 1);
}

/** Gives the painted pixels the known pixels' distribution: the n-th darkest of one becomes that of the other. */
function matchHistogram(
  values: ArrayLike<number>,
  painted: readonly number[],
  known: Uint8Array,
): Uint8Array {
  const order = [...painted.keys()].sort((a, b) => (values[a] as number) - (values[b] as number));
  const out = new Uint8Array(painted.length);
  for (const [rank, place] of order.entries()) {
    out[place] = known[Math.floor(((rank + 0.5) * known.length) / order.length)] as number;
  }
  return out;
}

/**
 * Paints what `mask` covers with noise that has the rest of the picture's spectrum and colours, so that a sampler that
 * keeps some of it goes on in the picture's manner. After the method of A1111's "Outpainting mk2": Fourier-shaped
 * noise, then a match of histograms. A picture without known pixels comes back as it is.
 */
export function paintMatchedNoise(
  pixels: Pixels,
  mask: GreyPixels,
  { exponent, colorVariation, seed }: MatchedNoiseOptions,
): Pixels {
  const { width, height } = pixels;
  const painted: number[] = [];
  const knownPlaces: number[] = [];
  for (let i = 0; i < mask.data.length; i++) {
    ((mask.data[i] as number) > PAINTED ? painted : knownPlaces).push(i);
  }
  const data = new Uint8Array(pixels.data);
  if (painted.length === 0 || knownPlaces.length === 0) return { width, height, data };

  const random = createRandom(seed);
  const cells = powerOfTwo(width) * powerOfTwo(height);
  const grey = Float64Array.from({ length: cells }, random);
  for (let channel = 0; channel < CHANNELS; channel++) {
    const source = channelPlane(pixels, mask, channel);
    const noise = {
      ...source,
      re: grey.map((value) => value * (1 - colorVariation) + random() * colorVariation - 0.5),
      im: new Float64Array(cells),
    };
    shapeNoise(source, noise, exponent);
    const known = Uint8Array.from(
      knownPlaces,
      (place) => pixels.data[place * CHANNELS + channel] as number,
    ).sort();
    const shaped = Float64Array.from(painted, (place) => {
      const y = Math.floor(place / width);
      return noise.re[y * noise.width + (place - y * width)] as number;
    });
    const matched = matchHistogram(shaped, painted, known);
    for (const [index, place] of painted.entries()) {
      data[place * CHANNELS + channel] = matched[index] as number;
    }
  }
  return { width, height, data };
}
