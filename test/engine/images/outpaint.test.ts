import { describe, expect, it } from 'vitest';
import { outpaintParams } from '../../../protocol/generation.ts';
import { outpaintPlace } from '../../../protocol/outpaint-size.ts';
import { transformPlane } from '../../../web/engine/images/fourier.ts';
import { paintMatchedNoise } from '../../../web/engine/images/matched-noise.ts';
import { outpaintPixels } from '../../../web/engine/images/outpaint.ts';
import type { Pixels } from '../../../web/engine/images/pixels.ts';
import { transparencyMask } from '../../../web/engine/images/rgba.ts';

const sides = (left: number, right: number, up: number, down: number) => ({
  left,
  right,
  up,
  down,
});

describe('outpaintPlace', () => {
  it('rounds grown sides up to 64 and leaves others alone', () => {
    const place = outpaintPlace({ width: 500, height: 333 }, sides(100, 0, 0, 0));
    expect(place).toEqual({ width: 640, height: 333, ...sides(140, 0, 0, 0) });
  });

  it('shares what rounding adds in the proportion that was asked for', () => {
    const place = outpaintPlace({ width: 512, height: 512 }, sides(128, 64, 100, 100));
    expect(place).toEqual({ width: 704, height: 768, ...sides(128, 64, 128, 128) });
  });
});

/** A picture whose pixels tell their place. */
function picture(width: number, height: number): Pixels {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set([i % width, Math.floor(i / width), 90], i * 3);
  return { width, height, data };
}

describe('outpaintPixels', () => {
  it('keeps the picture where it was put, byte for byte', () => {
    const source = picture(64, 64);
    const asked = { ...sides(64, 0, 0, 64), noise: {} };
    const { canvas } = outpaintPixels(source, outpaintParams.parse(asked), 1);
    expect([canvas.width, canvas.height]).toEqual([128, 128]);
    for (const [x, y] of [
      [0, 0],
      [63, 0],
      [5, 63],
    ] as const) {
      const at = (y * 128 + x + 64) * 3;
      expect([...canvas.data.subarray(at, at + 3)]).toEqual([x, y, 90]);
    }
  });

  it('masks what is new and the seam of the sides that grew alone', () => {
    const asked = outpaintParams.parse({ ...sides(64, 0, 0, 0), seam: 8, latentSeam: 2 });
    const { mask, latentMask } = outpaintPixels(picture(64, 64), asked, 1);
    const row = (data: Uint8Array) => [...data.subarray(0, 128)];
    const expected = (seam: number) =>
      Array.from({ length: 128 }, (_, x) => (x < 64 + seam ? 255 : 0));
    expect(row(mask.data)).toEqual(expected(8));
    expect(row(latentMask.data)).toEqual(expected(2));
    expect([...mask.data.subarray(63 * 128)]).toEqual(expected(8));
  });

  it('leaves the new part black where the fill is to decide', () => {
    const asked = outpaintParams.parse(sides(64, 0, 0, 0));
    const { canvas } = outpaintPixels(picture(64, 64), asked, 1);
    expect([...canvas.data.subarray(0, 64 * 3)].every((value) => value === 0)).toBe(true);
  });
});

describe('paintMatchedNoise', () => {
  const source = picture(64, 64);
  const mask = {
    width: 64,
    height: 64,
    data: Uint8Array.from({ length: 64 * 64 }, (_, i) => (i % 64 < 32 ? 255 : 0)),
  };
  const options = { exponent: 1, colorVariation: 0.05, seed: 7 };
  const channel = (pixels: Pixels, index: number, isPainted: boolean) =>
    [...mask.data.keys()]
      .filter((i) => mask.data[i]! > 0 === isPainted)
      .map((i) => pixels.data[i * 3 + index]!)
      .sort((a, b) => a - b);

  it('gives the painted part the colours of the rest, channel by channel', () => {
    const painted = paintMatchedNoise(source, mask, options);
    for (const index of [0, 1, 2]) {
      expect(channel(painted, index, true)).toEqual(channel(source, index, false));
    }
  });

  it('leaves what is known untouched and repeats for a seed', () => {
    const painted = paintMatchedNoise(source, mask, options);
    expect(channel(painted, 0, false)).toEqual(channel(source, 0, false));
    expect(paintMatchedNoise(source, mask, options).data).toEqual(painted.data);
    expect(paintMatchedNoise(source, mask, { ...options, seed: 8 }).data).not.toEqual(painted.data);
  });

  it('is smoother for a higher exponent', () => {
    const roughness = (exponent: number) => {
      const { data } = paintMatchedNoise(source, mask, { ...options, exponent });
      let sum = 0;
      for (let y = 0; y < 64; y++) {
        for (let x = 1; x < 32; x++) {
          sum += Math.abs(data[(y * 64 + x) * 3 + 1]! - data[(y * 64 + x - 1) * 3 + 1]!);
        }
      }
      return sum;
    };
    expect(roughness(2)).toBeLessThan(roughness(0.2));
  });
});

describe('transformPlane', () => {
  it('is the Fourier sum, and its inverse brings the numbers back', () => {
    const re = Float64Array.from({ length: 32 }, (_, i) => Math.sin(i * i));
    const plane = { width: 8, height: 4, re: re.slice(), im: new Float64Array(32) };
    transformPlane(plane, -1);
    const [u, v] = [3, 2];
    let [sumRe, sumIm] = [0, 0];
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 8; x++) {
        const angle = -2 * Math.PI * ((u * x) / 8 + (v * y) / 4);
        sumRe += re[y * 8 + x]! * Math.cos(angle);
        sumIm += re[y * 8 + x]! * Math.sin(angle);
      }
    }
    expect(plane.re[v * 8 + u]).toBeCloseTo(sumRe, 9);
    expect(plane.im[v * 8 + u]).toBeCloseTo(sumIm, 9);
    transformPlane(plane, 1);
    for (let i = 0; i < 32; i++) expect(plane.re[i]! / 32).toBeCloseTo(re[i]!, 12);
  });
});

describe('transparencyMask', () => {
  const rgba = (alphas: readonly number[]) => ({
    width: alphas.length,
    height: 1,
    data: Uint8Array.from(alphas.flatMap((alpha) => [255, 255, 255, alpha])),
  });

  it('redraws what is clear, whatever its colour', () => {
    expect([...transparencyMask(rgba([0, 255, 100])).data]).toEqual([255, 0, 155]);
  });

  it('refuses a mask without any', () => {
    expect(() => transparencyMask(rgba([255, 255]))).toThrow(/no transparent area/);
  });
});
