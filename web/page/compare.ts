import type { Catalog } from '../../protocol/catalog.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { type GenerationParams, generationParams } from '../../protocol/generation.ts';
import {
  type AxisValue,
  readAxisValues,
  readCsvFields,
} from '../../protocol/scripts/axis-values.ts';
import {
  assertPlotSize,
  axisPairs,
  type GridPlan,
  lineLabels,
  type PlotSize,
  plotGrids,
  plotOrder,
  plotPlaces,
} from '../../protocol/scripts/grid-plan.ts';
import { promptMatrix } from '../../protocol/scripts/prompt-matrix.ts';
import { type AxisName, COMPARE_AXES, type CompareAxis } from './compare-axes.ts';
import type { FormValues } from './form.ts';

/** Pictures to be made one after the other, and the grids of them. */
export interface ComparisonPlan {
  /** A job of one picture for each cell. */
  readonly cells: readonly GenerationParams[];
  /** Places in `cells`, in the order in which they are made. */
  readonly order: readonly number[];
  /** Grids that join others come behind those; the last one is the whole. */
  readonly grids: readonly GridPlan[];
}

export interface ComparisonContext {
  readonly checkpoints: Catalog['checkpoints'];
  readonly drawSeed: () => number;
  /** Puts the chosen styles around a cell's prompts, after the cell has changed them. */
  readonly style: (
    prompts: Pick<GenerationParams, 'prompt' | 'negativePrompt'>,
  ) => Pick<GenerationParams, 'prompt' | 'negativePrompt'>;
}

interface PlotAxis {
  readonly name: AxisName;
  readonly axis: CompareAxis;
  readonly values: readonly AxisValue[];
  readonly text: string;
}

const LETTERS = ['X', 'Y', 'Z'] as const;

function readAxis(
  letter: (typeof LETTERS)[number],
  form: FormValues,
  drawSeed: () => number,
): PlotAxis {
  const name = form[`axis${letter}`];
  const text = form[`axis${letter}Values`];
  const axis = COMPARE_AXES[name];
  if (name === 'Nothing') return { name, axis, values: [0], text: '' };
  const read = readAxisValues(readCsvFields(text), axis.kind);
  if (read.length === 0) {
    throw new GenerationError('invalid-request', `X/Y/Z plot: ${letter} values are missing.`);
  }
  const isSeed = name === 'Seed';
  return {
    ...{ name, axis, text },
    values: read.map((value) => (isSeed && value === -1 ? drawSeed() : value)),
  };
}

function applyValue(
  params: GenerationParams,
  { name, axis, values }: PlotAxis,
  place: number,
  { checkpoints }: ComparisonContext,
): GenerationParams {
  const value = values[place];
  if (value === undefined || name === 'Nothing') return params;
  const changes = axis.apply(params, value, { all: values, checkpoints });
  const parsed = generationParams.safeParse({ ...params, ...changes });
  if (parsed.success) return parsed.data;
  const text = `X/Y/Z plot: ${name} cannot be ${String(value).slice(0, 60)}.`;
  throw new GenerationError('invalid-request', text);
}

function planXyzPlot(
  form: FormValues,
  base: GenerationParams,
  context: ComparisonContext,
): ComparisonPlan {
  const [x, y, z] = [
    readAxis('X', form, context.drawSeed),
    readAxis('Y', form, context.drawSeed),
    readAxis('Z', form, context.drawSeed),
  ];
  const axes = [x, y, z];
  if (axes.every(({ name }) => name === 'Nothing')) {
    throw new GenerationError('invalid-request', 'X/Y/Z plot: no axis is chosen.');
  }
  const size: PlotSize = [x.values.length, y.values.length, z.values.length];
  assertPlotSize(size, base.width, base.height);
  const cells = plotPlaces(size).map((places) =>
    axes.reduce(
      (params, axis, index) => applyValue(params, axis, places[index] ?? 0, context),
      base,
    ),
  );
  const [pairsX = [], pairsY = [], pairsZ = []] = axes.map(({ name, text, values }, index) => {
    if (name === 'Nothing') return [];
    const fixed = name === 'Seed' ? values : null;
    return axisPairs(LETTERS[index] ?? '', { name, text, fixed });
  });
  const labelsOf = ({ axis, values }: PlotAxis) => lineLabels(values.map(axis.label));
  const layerPairs = [['Script', 'X/Y/Z plot'] as const, ...pairsX, ...pairsY];
  return {
    cells,
    order: plotOrder(size, [x.axis.cost, y.axis.cost, z.axis.cost]),
    grids: plotGrids(size, {
      labels: [labelsOf(x), labelsOf(y), labelsOf(z)],
      ...{ layerPairs, pairs: [...layerPairs, ...pairsZ], margin: 0 },
    }),
  };
}

function planPromptMatrix(base: GenerationParams): ComparisonPlan {
  if (!base.prompt.includes('|')) {
    const text = 'Prompt matrix: the prompt has no parts set apart by |, as in "a fox|in snow".';
    throw new GenerationError('invalid-request', text);
  }
  const { prompts, grid } = promptMatrix(base.prompt);
  return {
    cells: prompts.map((prompt, index) => ({ ...base, prompt, subseed: base.subseed + index })),
    order: grid.cells,
    grids: [grid],
  };
}

/**
 * The pictures and grids that the form's comparison asks for; `base` is the form's job, its prompts without styles.
 * Throws `invalid-request` where values cannot be read or used, or make too many pictures.
 */
export function planComparison(
  form: FormValues,
  base: GenerationParams,
  context: ComparisonContext,
): ComparisonPlan {
  const single = { ...base, batchSize: 1, batchCount: 1 };
  const plan =
    form.compare === 'matrix' ? planPromptMatrix(single) : planXyzPlot(form, single, context);
  return { ...plan, cells: plan.cells.map((cell) => ({ ...cell, ...context.style(cell) })) };
}
