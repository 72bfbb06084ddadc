import { type ErrorCode, GenerationError } from '../errors.ts';
import {
  GENERATION_LIMITS,
  type GenerationParams,
  type GridLabel,
  generationParams,
} from '../generation.ts';
import { quoteValue } from '../infotext-values.ts';
import type { JobImage } from '../job.ts';

/** Pairs that go into a grid's infotext. */
export type InfotextPairs = readonly (readonly [label: string, value: string])[];

/** A picture of pictures that were made. */
export interface GridPlan {
  readonly columns: number;
  readonly rows: number;
  /** Row by row, places among the cells, or among the grids where `joins` says so. */
  readonly cells: readonly number[];
  readonly joins: 'cells' | 'grids';
  readonly columnLabels: readonly (readonly GridLabel[])[];
  readonly rowLabels: readonly (readonly GridLabel[])[];
  readonly margin: number;
  readonly pairs: InfotextPairs;
}

/** What a grid needs of a picture: the file as base64, and its texts. */
export type GridPicture = Pick<
  JobImage,
  'data' | 'infotext' | 'prompt' | 'negativePrompt' | 'seed' | 'subseed' | 'width' | 'height'
>;

/** Pictures made so far; null where one was not. Sizes are pixels. */
export interface GridSources {
  readonly cells: readonly (GridPicture | null)[];
  readonly grids: readonly (GridPicture | null)[];
  /** A picture that stands for all: its texts go into the grid. */
  readonly sample: GridPicture;
}

/** What the infotext of a plot says of one axis; `fixed` are the seeds that were drawn for it. */
export function axisPairs(
  letter: string,
  axis: { readonly name: string; readonly text: string; readonly fixed: readonly unknown[] | null },
): InfotextPairs {
  const pairs: InfotextPairs = [
    [`${letter} Type`, axis.name],
    [`${letter} Values`, axis.text],
  ];
  return axis.fixed ? [...pairs, [`Fixed ${letter} Values`, axis.fixed.join(', ')]] : pairs;
}

/** An infotext with further pairs, in front of the version as in A1111. */
export function withPairs(infotext: string, pairs: InfotextPairs): string {
  if (pairs.length === 0) return infotext;
  const text = pairs.map(([label, value]) => `${label}: ${quoteValue(value)}`).join(', ');
  const at = infotext.lastIndexOf(', Version: ');
  if (at < 0) return `${infotext}, ${text}`;
  return `${infotext.slice(0, at)}, ${text}${infotext.slice(at)}`;
}

/** The job of mode `grid` that joins what was made of a plan. */
export function gridJob(
  plan: GridPlan,
  { cells, grids, sample }: GridSources,
  file: Pick<GenerationParams, 'outputFormat' | 'quality' | 'isLossless'>,
): GenerationParams {
  const pictures: string[] = [];
  const places = plan.cells.map((place) => {
    const picture = plan.joins === 'grids' ? grids[place] : cells[place];
    return picture ? pictures.push(picture.data) - 1 : null;
  });
  const first = plan.cells.map((place) => cells[place]).find((picture) => picture);
  const { infotext } = (plan.joins === 'cells' ? first : null) ?? sample;
  const { outputFormat, quality, isLossless } = file;
  return generationParams.parse({
    mode: 'grid',
    initImages: pictures,
    ...{ outputFormat, quality, isLossless },
    ...{ prompt: sample.prompt, negativePrompt: sample.negativePrompt },
    ...{ seed: sample.seed, subseed: sample.subseed },
    grid: {
      ...{ columns: plan.columns, rows: plan.rows, cells: places, margin: plan.margin },
      ...{ cellWidth: sample.width, cellHeight: sample.height },
      ...{ columnLabels: plan.columnLabels, rowLabels: plan.rowLabels },
      infotext: withPairs(infotext, plan.pairs),
    },
  });
}

/** How many values each axis has: across, down, and grid by grid. */
export type PlotSize = readonly [x: number, y: number, z: number];

/** Pictures that one script may ask for. */
export const MAX_CELLS = 256;

/** After these the next job of a row would fare no better. */
export const ENDING_CODES: readonly ErrorCode[] = [
  'no-tab',
  'busy',
  'tab-disconnected',
  'webgpu-unavailable',
  'cancelled',
];

/** Millions of pixels of all pictures together: A1111 allows 200, a tab's canvas and a frame of the relay hold less. */
const MAX_MEGAPIXELS = 40;

/** Throws `invalid-request` where a plot of pictures of this size in pixels would be too large. */
export function assertPlotSize([x, y, z]: PlotSize, width: number, height: number): void {
  const count = x * y * z;
  if (count > MAX_CELLS) {
    const text = `X/Y/Z plot: ${count} pictures are more than the ${MAX_CELLS} that one plot may have.`;
    throw new GenerationError('invalid-request', text);
  }
  const { minSide } = GENERATION_LIMITS;
  const pixels = count * Math.max(minSide, width) * Math.max(minSide, height);
  const megapixels = Math.round(pixels / 1e6);
  if (megapixels < MAX_MEGAPIXELS) return;
  const limit = `at most ${MAX_MEGAPIXELS} are made: ask for fewer or smaller pictures`;
  const text = `X/Y/Z plot: the grid would have ${megapixels} megapixels; ${limit}.`;
  throw new GenerationError('invalid-request', text);
}

/** Which of each axis's values every cell has: x changes from cell to cell, then y, then z. */
export function plotPlaces([x, y, z]: PlotSize): PlotSize[] {
  return Array.from({ length: x * y * z }, (_, index) => [
    index % x,
    Math.floor(index / x) % y,
    Math.floor(index / (x * y)),
  ]);
}

/** The order in which a plot's cells are made: an axis of higher cost changes less often; else z, y, x. */
export function plotOrder([x, y, z]: PlotSize, costs: PlotSize): number[] {
  const nested = [
    { length: z, stride: x * y, cost: costs[2] },
    { length: y, stride: x, cost: costs[1] },
    { length: x, stride: 1, cost: costs[0] },
  ];
  // A stable sort: z, y, x unless one costs more.
  return nested
    .toSorted((a, b) => b.cost - a.cost)
    .reduce<number[]>(
      (order, { length, stride }) =>
        order.flatMap((base) => Array.from({ length }, (_, index) => base + index * stride)),
      [0],
    );
}

/** One label of one line for each text. */
export function lineLabels(texts: readonly string[]): GridPlan['columnLabels'] {
  return texts.map((text) => [{ text: text.slice(0, 2000), isActive: true }]);
}

/** What a plot's grids say: labels of each axis, and pairs of a layer's infotext and of the whole's. */
export interface PlotTexts {
  readonly labels: readonly [
    x: GridPlan['columnLabels'],
    y: GridPlan['rowLabels'],
    z: GridPlan['columnLabels'],
  ];
  readonly layerPairs: InfotextPairs;
  readonly pairs: InfotextPairs;
  /** Pixels between cells. */
  readonly margin: number;
}

/** A grid for each value of z; behind them, where there are several, the one that joins them. */
export function plotGrids([x, y, z]: PlotSize, texts: PlotTexts): GridPlan[] {
  const { labels, layerPairs, pairs, margin } = texts;
  const layers = Array.from({ length: z }, (_, layer): GridPlan => {
    const first = layer * x * y;
    return {
      ...{ columns: x, rows: y, joins: 'cells', margin },
      cells: Array.from({ length: x * y }, (_cell, index) => first + index),
      columnLabels: labels[0],
      rowLabels: labels[1],
      pairs: z === 1 ? pairs : layerPairs,
    };
  });
  if (z === 1) return layers;
  const joined: GridPlan = {
    ...{ columns: z, rows: 1, joins: 'grids', margin: 0, rowLabels: [], pairs },
    cells: layers.map((_, layer) => layer),
    columnLabels: labels[2],
  };
  return [...layers, joined];
}
