/** Which part of a long grid is drawn. */
export interface GridWindow {
  readonly columns: number;
  /** Side of a square cell, in pixels. */
  readonly cellSize: number;
  readonly rowCount: number;
  /** Height of the whole grid, in pixels. */
  readonly height: number;
  /** First item and the one after the last. */
  readonly from: number;
  readonly to: number;
}

/** Where a cell lies in the whole grid, in pixels from its left upper corner. */
export function placeOf(
  index: number,
  { columns, cellSize }: Pick<GridWindow, 'columns' | 'cellSize'>,
  gap: number,
): { readonly left: number; readonly top: number } {
  const pitch = cellSize + gap;
  return { left: (index % columns) * pitch, top: Math.floor(index / columns) * pitch };
}

/** Whether two windows draw the same cells in the same places. */
export function isSameWindow(a: GridWindow, b: GridWindow): boolean {
  return a.from === b.from && a.to === b.to && a.columns === b.columns && a.cellSize === b.cellSize;
}

export interface GridMetrics {
  readonly itemCount: number;
  /** Width of the grid, in pixels. */
  readonly width: number;
  /** Top of the window minus top of the grid: how far the grid is scrolled away. */
  readonly scrolled: number;
  readonly windowHeight: number;
  readonly minCellSize: number;
  readonly gap: number;
  /** Rows drawn beyond each edge, so that fast scrolling finds them ready. */
  readonly overscan: number;
}

/** Only the cells in sight (and a few more) of a grid of square cells that fill the width. */
export function visibleWindow(metrics: GridMetrics): GridWindow {
  const { itemCount, width, scrolled, windowHeight, minCellSize, gap, overscan } = metrics;
  const columns = Math.max(1, Math.floor((width + gap) / (minCellSize + gap)));
  const cellSize = Math.max(1, (width - gap * (columns - 1)) / columns);
  const rowHeight = cellSize + gap;
  const rowCount = Math.ceil(itemCount / columns);
  const firstRow = Math.floor(scrolled / rowHeight) - overscan;
  const lastRow = Math.ceil((scrolled + windowHeight) / rowHeight) + overscan;
  const fromRow = Math.min(Math.max(0, firstRow), rowCount);
  const toRow = Math.min(Math.max(fromRow, lastRow), rowCount);
  return {
    columns,
    cellSize,
    rowCount,
    height: rowCount === 0 ? 0 : rowCount * rowHeight - gap,
    from: fromRow * columns,
    to: Math.min(toRow * columns, itemCount),
  };
}
