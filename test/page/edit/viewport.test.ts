import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fitInto,
  panBy,
  pinch,
  toPicture,
  toScreen,
  type Viewport,
  zoomAt,
} from '../../../web/page/edit/viewport.ts';

const coordinate = fc.double({ min: -2000, max: 2000, noNaN: true });
const point = fc.record({ x: coordinate, y: coordinate });
const view = fc.record({
  scale: fc.double({ min: 0.05, max: 20, noNaN: true }),
  x: coordinate,
  y: coordinate,
});

function expectNear(a: { x: number; y: number }, b: { x: number; y: number }): void {
  expect(a.x).toBeCloseTo(b.x, 4);
  expect(a.y).toBeCloseTo(b.y, 4);
}

describe('the viewport', () => {
  it('fits a picture into the middle of its room and never enlarges it', () => {
    const box = { width: 600, height: 400 };
    expect(fitInto({ width: 512, height: 512 }, box, 20)).toEqual({
      scale: 360 / 512,
      x: 120,
      y: 20,
    });
    expect(fitInto({ width: 100, height: 50 }, box, 20)).toEqual({ scale: 1, x: 250, y: 175 });
  });

  it('leads from the screen to the picture and back', () => {
    fc.assert(fc.property(view, point, (v, p) => expectNear(toScreen(v, toPicture(v, p)), p)));
  });

  it('keeps what lies under the pointer in its place while zooming', () => {
    fc.assert(
      fc.property(view, point, fc.double({ min: 0.1, max: 10, noNaN: true }), (v, p, factor) => {
        expectNear(toPicture(zoomAt(v, p, factor), p), toPicture(v, p));
      }),
    );
    const far: Viewport = { scale: 30, x: 0, y: 0 };
    expect(zoomAt(far, { x: 0, y: 0 }, 10).scale).toBe(32);
  });

  it('keeps the points under two fingers under them', () => {
    const before = [
      { x: 100, y: 100 },
      { x: 200, y: 100 },
    ] as const;
    const now = [
      { x: 50, y: 150 },
      { x: 250, y: 150 },
    ] as const;
    const start = { scale: 1, x: 10, y: 20 };
    const after = pinch(start, before, now);
    expect(after.scale).toBe(2);
    for (const finger of [0, 1] as const) {
      expectNear(toPicture(after, now[finger]), toPicture(start, before[finger]));
    }
    expect(pinch(start, [before[0], before[0]], now).scale).toBe(1);
  });

  it('pans by what the pointer moved', () => {
    expect(panBy({ scale: 2, x: 1, y: 2 }, { x: 3, y: -4 })).toEqual({ scale: 2, x: 4, y: -2 });
  });
});
