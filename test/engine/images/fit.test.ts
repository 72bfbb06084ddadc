import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fitPixels, type ResizeMode } from '../../../web/engine/images/fit.ts';
import { fromPixels, toPixels } from '../../../web/engine/images/pixels.ts';

interface StoredPixels {
  mode: string;
  width: number;
  height: number;
  data: string;
}

const vectors = JSON.parse(
  readFileSync(new URL('../../fixtures/vectors/masks.json', import.meta.url), 'utf8'),
) as {
  resize_pixels: {
    mode: number;
    source: StoredPixels;
    target: [number, number];
    result: StoredPixels;
  }[];
};

const MODES: readonly ResizeMode[] = ['stretch', 'crop', 'fill'];

/** Grey pictures become RGB, as every init image does before it is resized. */
function load({ mode, width, height, data }: StoredPixels) {
  const bytes = [...Buffer.from(data, 'base64')];
  return {
    width,
    height,
    data: Uint8Array.from(mode === 'L' ? bytes.flatMap((value) => [value, value, value]) : bytes),
  };
}

test.each(vectors.resize_pixels.map((vector, index) => [index, vector] as const))(
  'resizes picture %i to the bytes of A1111',
  (_, { mode, source, target: [width, height], result }) => {
    const fitted = fitPixels(load(source), width, height, MODES[mode]!);
    expect(fitted.width).toBe(width);
    expect(fitted.height).toBe(height);
    expect([...fitted.data]).toEqual([...load(result).data]);
  },
);

test('pixels go to -1..1 and come back unchanged', () => {
  const data = Uint8Array.from({ length: 256 * 3 }, (_, i) => Math.floor(i / 3));
  const pixels = { width: 16, height: 16, data };
  const values = fromPixels(pixels);
  expect(values[0]).toBe(-1);
  expect(values[255]).toBe(1);
  // Half a level up, as cutting off would take rounding errors for the level below.
  const lifted = values.map((value) => value + 1 / 255);
  expect([...toPixels(lifted, 16, 16).data]).toEqual([...data]);
});

test('a decoded picture is clamped and cut off', () => {
  const image = new Float32Array([-1.5, 1.5, 0, 0, 0.999, 0, -1, 1, 0.5, 0, 0, Number.NaN]);
  const { data } = toPixels(image, 2, 2);
  expect(data[0]).toBe(0);
  expect(data[3]).toBe(255);
  expect(data[6]).toBe(127);
});
