import {
  type AxisValue,
  readAxisValues,
  readCsvFields,
  writeCsvFields,
} from '../../../protocol/scripts/axis-values.ts';
import {
  assertPlotSize,
  axisPairs,
  type InfotextPairs,
  lineLabels,
  type PlotSize,
  plotGrids,
  plotOrder,
  plotPlaces,
} from '../../../protocol/scripts/grid-plan.ts';
import { ApiError } from '../errors.ts';
import { readBoolean, readNumber, readText } from '../lenient.ts';
import { type Axis, type Changes, findAxis, type GenerationRequest } from './axes.ts';
import type { ScriptContext, ScriptPlan } from './plan.ts';

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
  const isSeed = axis.label === 'Seed' || axis.label === 'Var. seed';
  const fixed = isSeed && !keepsSeeds ? values : null;
  return axisPairs(letter, { name: axis.label, text, fixed });
}

function labelsOf({ axis, values }: PlotAxis, drawsLegend: boolean) {
  return drawsLegend ? lineLabels(values.map((value) => axis.format(value))) : [];
}

function cellChanges(
  request: GenerationRequest,
  axes: readonly [PlotAxis, PlotAxis, PlotAxis],
  places: PlotSize,
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
  const size: PlotSize = [x.values.length, y.values.length, z.values.length];
  const sent = context.request;
  assertPlotSize(size, sent.width, sent.height);
  const fix = (seed: number) => (seed === -1 && !keepsSeeds ? drawSeed() : seed);
  const request = { ...sent, seed: fix(sent.seed), subseed: fix(sent.subseed) };
  const cells = plotPlaces(size).map((places) =>
    cellChanges(request, axes, places, options, context),
  );

  const script: InfotextPairs = [['Script', 'X/Y/Z plot']];
  const flat = [...script, ...pairsOf('X', x, keepsSeeds), ...pairsOf('Y', y, keepsSeeds)];
  const whole = [...flat, ...pairsOf('Z', z, keepsSeeds)];
  const grids = plotGrids(size, {
    labels: [labelsOf(x, drawsLegend), labelsOf(y, drawsLegend), labelsOf(z, drawsLegend)],
    ...{ layerPairs: flat, pairs: whole, margin },
  });
  const depth = z.values.length;
  const subGrids = depth > 1 && includesGrids ? z.values.map((_, index) => index) : [];
  return {
    title: 'X/Y/Z plot',
    cells,
    order: plotOrder(size, [x.axis.cost, y.axis.cost, z.axis.cost]),
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
