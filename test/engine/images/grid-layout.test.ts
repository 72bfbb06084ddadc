import { describe, expect, it } from 'vitest';
import { gridParams } from '../../../protocol/generation.ts';
import { layOutGrid } from '../../../web/engine/images/grid-layout.ts';

/** Every letter is half as wide as it is high. */
const measure = (text: string, size: number) => text.length * size * 0.5;
const cell = { width: 100, height: 50 };
const label = (text: string, isActive = true) => ({ text, isActive });

function layOut(input: object) {
  const cells = [0, 1, 2, 3];
  return layOutGrid(
    gridParams.parse({ columns: 2, rows: 2, cells, cellWidth: 1, cellHeight: 1, ...input }),
    cell,
    measure,
  );
}

describe('layOutGrid', () => {
  it('puts cells side by side with the margin between them and none around', () => {
    const layout = layOut({ margin: 10 });
    expect(layout).toMatchObject({ width: 210, height: 110, lines: [] });
    expect(layout.cells).toEqual([
      { x: 0, y: 0 },
      { x: 110, y: 0 },
      { x: 0, y: 60 },
      { x: 110, y: 60 },
    ]);
  });

  it('makes room for labels: three quarters of a cell beside, the tallest label above', () => {
    const layout = layOut({
      columnLabels: [[label('a')], [label('b')]],
      rowLabels: [[label('c')], [label('d')]],
    });
    // The text is (100 + 50) / 25 = 6 pixels high, half of that is left above and below it.
    expect(layout).toMatchObject({ width: 75 + 200, height: 6 + 2 * 3 + 100 });
    expect(layout.cells[3]).toEqual({ x: 175, y: 62 });
    expect(layout.lines.map(({ text, x, y }) => [text, x, y])).toEqual([
      ['a', 125, 6],
      ['b', 225, 6],
      ['c', 37.5, 37],
      ['d', 37.5, 87],
    ]);
  });

  it('wraps at words and shrinks a word that is too wide', () => {
    const words = 'twelve letter words that will not fit'.split(' ');
    const layout = layOut({ columnLabels: [[label(words.join(' '))], []] });
    const lines = layout.lines.map(({ text }) => text);
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.join(' ').split(' ')).toEqual(words);
    for (const line of layout.lines) expect(line.width).toBeLessThanOrEqual(100);
    const [long] = layOut({ columnLabels: [[label('x'.repeat(50))], []] }).lines;
    expect(long?.fontSize).toBe(4);
    expect(long?.width).toBeLessThanOrEqual(100);
  });

  it('keeps which lines are struck out', () => {
    const layout = layOut({ columnLabels: [[label('on'), label('off', false)], []] });
    expect(layout.lines.map(({ text, isActive }) => [text, isActive])).toEqual([
      ['on', true],
      ['off', false],
    ]);
  });
});
