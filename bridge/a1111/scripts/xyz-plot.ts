import { GENERATION_LIMITS } from '../../../protocol/generation.ts';
import { ApiError } from '../errors.ts';
import { readBoolean, readNumber, readText } from '../lenient.ts';
import { type Axis, type Changes, findAxis, type GenerationRequest } from './axes.ts';
import {
  type AxisValue,
  MAX_CELLS,
  readAxisValues,
  readCsvFields,
  writeCsvFields,
} from './axis-values.ts';
import type { GridPlan, InfotextPairs, ScriptContext, ScriptPlan } from './plan.ts';

/** Millions of pixels of all pictures together: A1111 allows 200, a tab's canvas and a frame of the relay hold less. */
const MAX_MEGAPIXELS = 40;

interface PlotAxis {
  readonly axis: Axis;
  readonly values: readonly AxisValue[];
  /** As it was sent, for the infotext. */
  readonly text: string;
}

interface PlotOptions {
  readonly drawsLegend: boolean;
  readonly includesImages: boolean;
  readonly includesGrids: boolean;
  readonly keepsSeeds: boolean;
  readonly varies: readonly [boolean, boolean, boolean];
  readonly margin: number;
  readonly usesText: boolean;
}

const isTrue = (value: unknown, fallback: boolean) => readBoolean(value) ?? fallback;

/** Arguments behind the axes. Before 1.7 there were no switches that vary the seeds. */
function readOptions(rest: readonly unknown[]): PlotOptions {
  const hasVaries = typeof rest[4] === 'boolean';
  const [margin, usesText] = hasVaries ? [rest[7], rest[8]] : [rest[4], rest[5]];
  return {
    drawsLegend: isTrue(rest[0], true),
    includesImages: isTrue(rest[1], false),
    includesGrids: isTrue(rest[2], false),
    keepsSeeds: isTrue(rest[3], false),
    varies: hasVaries
      ? [isTrue(rest[4], false), isTrue(rest[5], false), isTrue(rest[6], false)]
      : [false, false, false],
    margin: Math.min(500, Math.max(0, Math.trunc(readNumber(margin) ?? 0))),
    usesText: isTrue(usesText, false),
  };
}

/** An axis's three arguments: which, its text, and what was chosen from its menu. */
function readAxis(
  args: readonly unknown[],
  { route }: ScriptContext,
  usesText: boolean,
): Omit<PlotAxis, 'values'> & { entries: readonly string[] } {
  const [type, text, chosen] = args;
  const axis = findAxis(route, type ?? 0);
  const written = readText(text ?? '') ?? '';
  const fromMenu = Array.isArray(chosen) ? chosen.map((entry) => readText(entry) ?? '') : [];
  if (axis.hasMenu && !usesText && fromMenu.length > 0) {
    return { axis, entries: fromMenu, text: writeCsvFields(fromMenu) };
  }
  return { axis, entries: readCsvFields(written), text: written };
}

function plotAxis(
  name: string,
  args: readonly unknown[],
  context: ScriptContext,
  { usesText, keepsSeeds }: PlotOptions,
): PlotAxis {
  const { axis, entries, text } = readAxis(args, context, usesText);
  if (axis.label === 'Nothing') return { axis, values: [0], text: '' };
  const isSeed = axis.label === 'Seed' || axis.label === 'Var. seed';
  const read = readAxisValues(entries, axis.kind);
  if (read.length === 0) throw new ApiError(422, `X/Y/Z plot: ${name} values are missing.`);
  const values = read.map((value) =>
    isSeed && !keepsSeeds && value === -1 ? context.drawSeed() : value,
  );
  return { axis, values, text };
}

function pairsOf(letter: string, { axis, values, text }: PlotAxis, keepsSeeds: boolean) {
  if (axis.label === 'Nothing') return [];
  const pairs: [string, string][] = [
    [`${letter} Type`, axis.label],
    [`${letter} Values`, text],
  ];
  if ((axis.label === 'Seed' || axis.label === 'Var. seed') && !keepsSeeds) {
    pairs.push([`Fixed ${letter} Values`, values.join(', ')]);
  }
  return pairs;
}

function labelsOf({ axis, values }: PlotAxis, drawsLegend: boolean) {
  if (!drawsLegend) return [];
  return values.map((value) => [{ text: axis.format(value).slice(0, 2000), isActive: true }]);
}

/** Three axes as they are sent: x fastest in the grid; which one changes fastest in time is a matter of cost. */
function planOrder([x, y, z]: readonly [PlotAxis, PlotAxis, PlotAxis]): number[] {
  const strides = [1, x.values.length, x.values.length * y.values.length];
  const nested = [z, y, x].map((axis, index) => ({ axis, stride: strides[2 - index] ?? 1 }));
  // A stable sort: z, y, x unless one costs more.
  const byCost = nested.toSorted((a, b) => b.axis.axis.cost - a.axis.axis.cost);
  return byCost.reduce<number[]>(
    (order, { axis, stride }) =>
      order.flatMap((base) => axis.values.map((_, index) => base + index * stride)),
    [0],
  );
}

function cellChanges(
  request: GenerationRequest,
  axes: readonly [PlotAxis, PlotAxis, PlotAxis],
  places: readonly [number, number, number],
  options: PlotOptions,
  context: ScriptContext,
): Changes {
  let changed = request;
  for (const [index, { axis, values }] of axes.entries()) {
    const value = values[places[index] ?? 0];
    if (value === undefined) continue;
    changed = { ...changed, ...axis.apply(changed, value, values, context) };
  }
  const [x, y] = axes;
  const [varyX, varyY, varyZ] = options.varies;
  const columns = varyX ? x.values.length : 1;
  const rows = varyY ? y.values.length : 1;
  const shift =
    (varyX ? places[0] : 0) +
    (varyY ? places[1] * columns : 0) +
    (varyZ ? places[2] * columns * rows : 0);
  const seed = Number(changed.seed);
  return { ...changed, seed: seed === -1 ? -1 : seed + shift, script_name: null, script_args: [] };
}

function assertSize(count: number, { request }: ScriptContext): void {
  if (count > MAX_CELLS) {
    const text = `X/Y/Z plot: ${count} pictures are more than the ${MAX_CELLS} that one plot may have.`;
    throw new ApiError(422, text);
  }
  const sides = [request.width, request.height].map((side) =>
    Math.max(GENERATION_LIMITS.minSide, side),
  );
  const megapixels = Math.round((count * (sides[0] ?? 0) * (sides[1] ?? 0)) / 1e6);
  if (megapixels < MAX_MEGAPIXELS) return;
  const limit = `at most ${MAX_MEGAPIXELS} are made: ask for fewer or smaller pictures`;
  throw new ApiError(422, `X/Y/Z plot: the grid would have ${megapixels} megapixels; ${limit}.`);
}

/** A1111's X/Y/Z plot: a picture for every combination of three axes' values, and grids of them. */
export function planXyzPlot(args: readonly unknown[], context: ScriptContext): ScriptPlan {
  const { drawSeed } = context;
  const options = readOptions(args.slice(9));
  const { drawsLegend, keepsSeeds, includesGrids, includesImages, margin } = options;
  const axes = [
    plotAxis('X', args.slice(0, 3), context, options),
    plotAxis('Y', args.slice(3, 6), context, options),
    plotAxis('Z', args.slice(6, 9), context, options),
  ] as const;
  const [x, y, z] = axes;
  const [width, height, depth] = [x.values.length, y.values.length, z.values.length];
  const count = width * height * depth;
  assertSize(count, context);
  const sent = context.request;
  const fix = (seed: number) => (seed === -1 && !keepsSeeds ? drawSeed() : seed);
  const request = { ...sent, seed: fix(sent.seed), subseed: fix(sent.subseed) };
  const cells = Array.from({ length: count }, (_, index) => {
    const places = [
      index % width,
      Math.floor(index / width) % height,
      Math.floor(index / (width * height)),
    ] as const;
    return cellChanges(request, axes, places, options, context);
  });

  const script: InfotextPairs = [['Script', 'X/Y/Z plot']];
  const flat = [...script, ...pairsOf('X', x, keepsSeeds), ...pairsOf('Y', y, keepsSeeds)];
  const whole = [...flat, ...pairsOf('Z', z, keepsSeeds)];
  const layers = Array.from({ length: depth }, (_, layer): GridPlan => {
    const first = layer * width * height;
    return {
      ...{ columns: width, rows: height, joins: 'cells', margin },
      cells: Array.from({ length: width * height }, (_, index) => first + index),
      columnLabels: labelsOf(x, drawsLegend),
      rowLabels: labelsOf(y, drawsLegend),
      pairs: depth === 1 ? whole : flat,
    };
  });
  const joined: GridPlan = {
    ...{ columns: depth, rows: 1, joins: 'grids', margin: 0, rowLabels: [], pairs: whole },
    cells: layers.map((_, layer) => layer),
    columnLabels: labelsOf(z, drawsLegend),
  };
  const grids = depth === 1 ? layers : [...layers, joined];
  const subGrids = depth > 1 && includesGrids ? layers.map((_, index) => index) : [];
  return {
    title: 'X/Y/Z plot',
    cells,
    order: planOrder(axes),
    grids,
    shown: [
      ...[grids.length - 1, ...subGrids].map((index) => ({ from: 'grids' as const, index })),
      ...(includesImages ? cells.map((_, index) => ({ from: 'cells' as const, index })) : []),
    ],
    notes: axes
      .filter(({ axis }) => axis.hasNoEffect)
      .map(({ axis }) => `The axis "${axis.label}" has no effect here.`),
  };
}
