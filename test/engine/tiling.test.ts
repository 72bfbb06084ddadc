import { describe, expect, test } from 'vitest';
import { cropPlanes, featherWeights, tileSide } from '../../web/engine/tiling.ts';

describe('a side in tiles', () => {
  test('that fits is one tile', () => {
    expect(tileSide(40, 64, 16)).toEqual({ starts: [0], tile: 40 });
    expect(tileSide(64, 64, 16).starts).toEqual([0]);
  });

  test.each([
    [65, 64, 16],
    [128, 64, 16],
    [97, 32, 8],
    [511, 32, 8],
    [33, 32, 31],
  ])(
    '%i in tiles of %i that share %i is covered, ends at the end, and shares enough',
    (length, tile, overlap) => {
      const { starts } = tileSide(length, tile, overlap);
      expect(starts[0]).toBe(0);
      expect(starts.at(-1)).toBe(length - tile);
      for (const [i, start] of starts.slice(1).entries()) {
        // Even spacing is rounded to whole units.
        expect(starts[i]! + tile - start).toBeGreaterThanOrEqual(overlap - 1);
        expect(start).toBeGreaterThan(starts[i]!);
      }
    },
  );

  test.each([1, 8])('has weights that are 1 in sum everywhere, at %i places a unit', (scale) => {
    for (const side of [tileSide(97, 32, 8), tileSide(33, 32, 31), tileSide(20, 32, 8)]) {
      const weights = featherWeights(side, scale);
      const sums = new Float64Array((side.starts.at(-1)! + side.tile) * scale);
      for (const [i, own] of weights.entries()) {
        for (const [at, weight] of own.entries()) {
          expect(weight).toBeGreaterThan(0);
          sums[side.starts[i]! * scale + at]! += weight;
        }
      }
      for (const sum of sums) expect(sum).toBeCloseTo(1, 6);
    }
  });
});

test('a part of every plane is cut out', () => {
  const values = Float32Array.from({ length: 2 * 3 * 4 }, (_, i) => i);
  const part = { top: 1, left: 2, height: 2, width: 2 };
  expect([...cropPlanes({ values, height: 3, width: 4 }, part)]).toEqual([
    6, 7, 10, 11, 18, 19, 22, 23,
  ]);
});
