import type { GridLabel, GridParams } from '../../../protocol/generation.ts';

/** Width in pixels of a text set in the grid's face at a size in pixels. */
export type MeasureText = (text: string, fontSize: number) => number;

/** One line of a label, broken to its width, with its place in the grid. */
export interface PlacedLine {
  readonly text: string;
  /** Middle of the line, in pixels. */
  readonly x: number;
  readonly y: number;
  readonly fontSize: number;
  readonly width: number;
  readonly isActive: boolean;
}

/** Where everything of a grid goes, in pixels. */
export interface GridLayout {
  readonly width: number;
  readonly height: number;
  /** Upper left corner of each cell, row by row. */
  readonly cells: readonly { readonly x: number; readonly y: number }[];
  readonly lines: readonly PlacedLine[];
}

interface WrappedLine {
  readonly text: string;
  readonly fontSize: number;
  readonly width: number;
  readonly isActive: boolean;
}

/** Words put into lines no wider than `allowed`; a word that is wider is set smaller instead. */
function wrap(
  { text, isActive }: GridLabel,
  fontSize: number,
  allowed: number,
  measure: MeasureText,
): WrappedLine[] {
  const lines: string[] = [''];
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) === '' || measure(longer, fontSize) <= allowed)
      lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.map((line) => {
    let size = fontSize;
    while (size > 1 && measure(line, size) > allowed) size -= 1;
    return { text: line, fontSize: size, width: measure(line, size), isActive };
  });
}

/**
 * Lays a grid of equal cells out as A1111 does: column labels above, row labels on the left in three quarters of a
 * cell's width, text of a 25th of a cell's width and height together.
 */
export function layOutGrid(
  { columns, rows, columnLabels, rowLabels, margin }: GridParams,
  cell: { readonly width: number; readonly height: number },
  measure: MeasureText,
): GridLayout {
  const fontSize = Math.max(1, Math.floor((cell.width + cell.height) / 25));
  const gap = Math.floor(fontSize / 2);
  const hasText = (labels: GridParams['rowLabels']) => labels.some((lines) => lines.some(isFilled));
  const left = hasText(rowLabels) ? Math.floor((cell.width * 3) / 4) : 0;
  const wrapAll = (labels: GridParams['rowLabels'], count: number, allowed: number) =>
    Array.from({ length: count }, (_, index) =>
      (labels[index] ?? [])
        .filter(isFilled)
        .flatMap((label) => wrap(label, fontSize, allowed, measure)),
    );
  const above = wrapAll(columnLabels, columns, cell.width);
  const beside = left === 0 ? [] : wrapAll(rowLabels, rows, left);
  const heightOf = (lines: readonly unknown[]) =>
    lines.length === 0 ? 0 : lines.length * (fontSize + gap) - gap;
  const top = hasText(columnLabels) ? Math.max(...above.map(heightOf)) + gap * 2 : 0;

  const xOf = (column: number) => left + (cell.width + margin) * column;
  const yOf = (row: number) => top + (cell.height + margin) * row;
  const place = (lines: readonly WrappedLine[], x: number, middle: number): PlacedLine[] => {
    const start = middle - heightOf(lines) / 2;
    return lines.map((line, index) => ({
      ...line,
      x,
      y: start + index * (fontSize + gap) + fontSize / 2,
    }));
  };
  return {
    width: xOf(columns - 1) + cell.width,
    height: yOf(rows - 1) + cell.height,
    cells: Array.from({ length: columns * rows }, (_, index) => ({
      x: xOf(index % columns),
      y: yOf(Math.floor(index / columns)),
    })),
    lines: [
      ...above.flatMap((lines, column) => place(lines, xOf(column) + cell.width / 2, top / 2)),
      ...beside.flatMap((lines, row) => place(lines, left / 2, yOf(row) + cell.height / 2)),
    ],
  };
}

function isFilled({ text }: GridLabel): boolean {
  return text.trim() !== '';
}
