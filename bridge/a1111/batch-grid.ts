import type { GenerationParams } from '../../protocol/generation.ts';
import { gridJob } from '../../protocol/scripts/grid-plan.ts';
import type { JobResult } from '../services.ts';
import type { Options } from './options.ts';

/** How A1111 lays `count` pictures out by its options; `batchSize` is the number of rows where `n_rows` is 0. */
export function gridShape(
  count: number,
  batchSize: number,
  options: Options,
): { readonly columns: number; readonly rows: number } {
  const asked = typeof options.n_rows === 'number' ? Math.trunc(options.n_rows) : -1;
  const square = Math.sqrt(count);
  let rows = Math.round(square);
  if (asked > 0) rows = asked;
  else if (asked === 0) rows = batchSize;
  else if (options.grid_prevent_empty_spots === true) {
    rows = Math.floor(square);
    while (count % rows !== 0) rows -= 1;
  }
  rows = Math.min(rows, count);
  return { rows, columns: Math.ceil(count / rows) };
}

/** The job that joins a finished job's pictures; null where the options want no grid of so few. */
export function batchGrid(
  { images }: JobResult,
  params: GenerationParams,
  options: Options,
  outputFormat: GenerationParams['outputFormat'],
): GenerationParams | null {
  const [sample] = images;
  if (!sample || options.grid_save === false) return null;
  if (images.length < 2 && options.grid_only_if_multiple !== false) return null;
  const shape = gridShape(images.length, params.batchSize, options);
  const plan = {
    ...shape,
    // Places behind the last picture stay black.
    cells: Array.from({ length: shape.columns * shape.rows }, (_, place) => place),
    joins: 'cells' as const,
    ...{ columnLabels: [], rowLabels: [], margin: 0, pairs: [] },
  };
  const { quality, isLossless } = params;
  return gridJob(plan, { cells: images, grids: [], sample }, { outputFormat, quality, isLossless });
}
