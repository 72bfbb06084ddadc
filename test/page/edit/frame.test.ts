import { describe, expect, it } from 'vitest';
import { grownSize, growthAt, marginsOf, nextGrowth } from '../../../web/page/edit/frame.ts';

const SQUARE = { width: 512, height: 512 };

describe('a frame that grows', () => {
  it('becomes the multiple of 64 that is nearest to where the edge is let go', () => {
    expect(growthAt(SQUARE, 'right', 31)).toBe(0);
    expect(growthAt(SQUARE, 'right', 33)).toBe(64);
    expect(growthAt({ width: 500, height: 300 }, 'left', 70)).toBe(76);
    expect(growthAt({ width: 500, height: 300 }, 'up', 10)).toBe(20);
  });

  it('never shrinks, nor outgrows the largest job', () => {
    expect(growthAt(SQUARE, 'down', -200)).toBe(0);
    expect(growthAt(SQUARE, 'down', 99_999)).toBe(4096 - 512);
    expect(nextGrowth({ width: 4096, height: 64 }, 'left')).toBe(0);
  });

  it('takes the next multiple of 64 at a press', () => {
    expect(nextGrowth(SQUARE, 'left')).toBe(64);
    expect(nextGrowth({ width: 500, height: 512 }, 'right')).toBe(12);
  });

  it('is larger by its margins', () => {
    expect(grownSize(SQUARE, marginsOf('up', 64))).toEqual({ width: 512, height: 576 });
    expect(grownSize(SQUARE, marginsOf('left', 128))).toEqual({ width: 640, height: 512 });
  });
});
