import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { canny } from '../../web/engine/control/canny.ts';
import { otsuThreshold, resizeMap, resizePicture } from '../../web/engine/control/map-resize.ts';
import type { Pixels } from '../../web/engine/images/pixels.ts';

interface Stored {
  width: number;
  height: number;
  image: string;
}

const reference = JSON.parse(
  readFileSync(new URL('../fixtures/control/canny.json', import.meta.url), 'utf8'),
) as {
  edges: (Stored & { low: number; high: number; edges: string })[];
  resize: { source: Stored; results: Stored[] };
  otsu: { grey: string; threshold: number };
};

const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));
const pixelsOf = ({ width, height, image }: Stored): Pixels => ({
  ...{ width, height, data: bytes(image) },
});

describe('Canny’s edges', () => {
  it.each(reference.edges.map((each) => [`${each.low} to ${each.high}`, each] as const))(
    'are OpenCV’s, thresholds %s',
    (_, stored) => {
      const found = canny(pixelsOf(stored), stored.low, stored.high);
      const expected = bytes(stored.edges).map((value) => value * 255);
      expect(found.data.filter((value) => value === 255).length).toBeGreaterThan(50);
      expect(found.data).toEqual(expected);
    },
  );

  it('of an even picture are none', () => {
    const even = { width: 9, height: 5, data: new Uint8Array(9 * 5 * 3).fill(80) };
    expect(canny(even, 0, 1).data.every((value) => value === 0)).toBe(true);
  });
});

describe('a picture at another size', () => {
  const source = pixelsOf(reference.resize.source);

  it.each(reference.resize.results.map((each) => [`${each.width}×${each.height}`, each] as const))(
    'is OpenCV’s, %s',
    (_, stored) => {
      const { data } = resizePicture(source, stored.width, stored.height);
      const expected = bytes(stored.image);
      const off = data.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0);
      // OpenCV's weights have eleven bits.
      expect(off).toBeLessThanOrEqual(1);
    },
  );
});

describe('a control map at another size', () => {
  const map = (width: number, height: number, colour: (x: number, y: number) => number[]) => ({
    ...{ width, height },
    data: Uint8Array.from(
      Array.from({ length: width * height }, (_, i) =>
        colour(i % width, Math.floor(i / width)),
      ).flat(),
    ),
  });
  const coloursOf = ({ data }: Pixels) =>
    new Set(
      Array.from({ length: data.length / 3 }, (_, i) => data.subarray(i * 3, i * 3 + 3).join()),
    );

  it('keeps the colours of labels', () => {
    const labels = map(9, 9, (x, y) => [x < 4 ? 10 : 200, y < 5 ? 30 : 90, 7]);
    expect([...coloursOf(resizeMap(labels, 31, 14))].sort()).toEqual([...coloursOf(labels)].sort());
  });

  it('keeps black and white, a line of one pixel too', () => {
    const line = map(40, 40, (x) => (x === 20 ? [255, 255, 255] : [0, 0, 0]));
    const half = resizeMap(line, 20, 20);
    expect(coloursOf(half)).toEqual(new Set(['0,0,0', '255,255,255']));
    expect(half.data[10 * 3]).toBe(255);
    expect(coloursOf(resizeMap(line, 90, 90)).size).toBe(2);
  });

  it('treats anything else as a picture', () => {
    const slope = map(20, 20, (x, y) => [x * 12, y * 12, 128]);
    expect(resizeMap(slope, 10, 10)).toEqual(resizePicture(slope, 10, 10));
  });

  it('parts dark from bright where OpenCV does', () => {
    expect(otsuThreshold(bytes(reference.otsu.grey))).toBe(reference.otsu.threshold);
  });
});
