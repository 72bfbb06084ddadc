import { describe, expect, it } from 'vitest';
import { type GridMetrics, visibleWindow } from '../../web/page/visible-rows.ts';

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
      expect(view.offset).toBeCloseTo((view.from / columns) * rowHeight);
    }
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
