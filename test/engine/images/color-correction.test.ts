import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { colorTarget, correctColors } from '../../../web/engine/images/color-correction.ts';
import { fromLab, toLab } from '../../../web/engine/images/lab.ts';
import type { Pixels } from '../../../web/engine/images/pixels.ts';

/**
 * Made with OpenCV's 8-bit Lab, scikit-image's `match_histograms` and blendmodes' luminosity, the libraries that A1111
 * corrects colours with.
 */
const REFERENCE = JSON.parse(
  readFileSync(new URL('../../fixtures/color-correction.json', import.meta.url), 'utf8'),
) as {
  cube_lab: string;
  lab_cube_rgb: string;
  cases: {
    target: { width: number; height: number; data: string };
    picture: { width: number; height: number; data: string };
    target_lab: string;
    matched_lab: string;
    corrected: string;
  }[];
};

const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));
const pixels = ({ width, height, data }: { width: number; height: number; data: string }) => ({
  ...{ width, height, data: bytes(data) },
});

/** Every 17th value of each channel. */
function cube(): Pixels {
  const data: number[] = [];
  for (let a = 0; a < 256; a += 17) {
    for (let b = 0; b < 256; b += 17) for (let c = 0; c < 256; c += 17) data.push(a, b, c);
  }
  return { width: data.length / 3, height: 1, data: new Uint8Array(data) };
}

function distance(a: Uint8Array, b: Uint8Array) {
  const off = Array.from(a, (value, i) => Math.abs(value - b[i]!));
  return { most: Math.max(...off), mean: off.reduce((sum, value) => sum + value, 0) / off.length };
}

describe('Lab in 8 bits', () => {
  test('is OpenCV’s', () => {
    const off = distance(toLab(cube()).data, bytes(REFERENCE.cube_lab));
    expect(off.most).toBeLessThanOrEqual(1);
    expect(off.mean).toBeLessThan(0.001);
  });

  test('comes back as OpenCV brings it back, within two of 255', () => {
    const off = distance(fromLab(cube()).data, bytes(REFERENCE.lab_cube_rgb));
    expect(off.most).toBeLessThanOrEqual(2);
    expect(off.mean).toBeLessThan(0.05);
  });
});

describe('colour correction', () => {
  test.each(REFERENCE.cases)('matches A1111’s libraries, case %#', (given) => {
    const target = colorTarget(pixels(given.target));
    const picture = pixels(given.picture);
    const corrected = correctColors(picture, target);
    const off = distance(corrected.data, bytes(given.corrected));
    expect(off.most).toBeLessThanOrEqual(2);
    expect(off.mean).toBeLessThan(0.15);
    // The case does something.
    expect(distance(corrected.data, picture.data).mean).toBeGreaterThan(1);
  });

  test('by itself changes next to nothing', () => {
    const picture = pixels(REFERENCE.cases[0]!.picture);
    expect(
      distance(correctColors(picture, colorTarget(picture)).data, picture.data).mean,
    ).toBeLessThan(1);
  });
});
