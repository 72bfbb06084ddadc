import { describe, expect, it } from 'vitest';
import {
  type GridMetrics,
  isSameWindow,
  placeOf,
  visibleWindow,
} from '../../web/page/visible-rows.ts';

const METRICS: GridMetrics = {
  itemCount: 10_000,
  width: 1000,
  scrolled: 0,
  windowHeight: 800,
  minCellSize: 150,
  gap: 10,
  overscan: 2,
};

describe('visibleWindow', () => {
  it('fills the width with whole columns', () => {
    const view = visibleWindow(METRICS);
    expect(view.columns).toBe(6);
    expect(view.cellSize * 6 + 10 * 5).toBeCloseTo(1000);
    expect(view.rowCount).toBe(1667);
  });

  it('draws every cell in sight and few others, wherever the grid is scrolled to', () => {
    const { cellSize, columns, height } = visibleWindow(METRICS);
    const rowHeight = cellSize + 10;
    for (let scrolled = -500; scrolled < height + 500; scrolled += 777) {
      const view = visibleWindow({ ...METRICS, scrolled });
      const firstSeen = Math.max(0, Math.floor(scrolled / rowHeight)) * columns;
      const lastRowSeen = Math.ceil((scrolled + 800) / rowHeight) - 1;
      const lastSeen = Math.min(10_000, (lastRowSeen + 1) * columns) - 1;
      if (firstSeen < 10_000) expect(view.from).toBeLessThanOrEqual(firstSeen);
      if (lastSeen >= 0) expect(view.to).toBeGreaterThan(lastSeen);
      expect(view.to - view.from).toBeLessThanOrEqual(columns * 11);
      expect(placeOf(view.from, view, 10).top).toBeCloseTo((view.from / columns) * rowHeight);
    }
  });

  it('puts cells side by side and below each other, the last one at the very edge', () => {
    const view = visibleWindow(METRICS);
    expect(placeOf(0, view, 10)).toEqual({ left: 0, top: 0 });
    expect(placeOf(5, view, 10).left + view.cellSize).toBeCloseTo(1000);
    expect(placeOf(9_999, view, 10).top + view.cellSize).toBeCloseTo(view.height);
  });

  it('is another one only where other cells are drawn, or elsewhere', () => {
    const view = visibleWindow({ ...METRICS, scrolled: 5_000 });
    expect(isSameWindow(view, visibleWindow({ ...METRICS, scrolled: 5_001 }))).toBe(true);
    expect(isSameWindow(view, visibleWindow({ ...METRICS, scrolled: 5_400 }))).toBe(false);
    expect(isSameWindow(view, visibleWindow({ ...METRICS, scrolled: 5_000, width: 990 }))).toBe(
      false,
    );
  });

  it('has room for a narrow window and for nothing at all', () => {
    expect(visibleWindow({ ...METRICS, width: 100 })).toMatchObject({ columns: 1, cellSize: 100 });
    expect(visibleWindow({ ...METRICS, itemCount: 0 })).toMatchObject({
      height: 0,
      from: 0,
      to: 0,
    });
  });
});
