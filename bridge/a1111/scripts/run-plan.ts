import { GenerationError } from '../../../protocol/errors.ts';
import type { GenerationParams } from '../../../protocol/generation.ts';
import type { JobImage } from '../../../protocol/job.ts';
import { ENDING_CODES, gridJob } from '../../../protocol/scripts/grid-plan.ts';
import type { JobResult } from '../../services.ts';
import type { Series, SeriesBoard } from '../series.ts';
import type { ScriptPlan } from './plan.ts';

/** A picture of a script, with the job that made it. */
export interface MadePicture {
  readonly image: JobImage;
  readonly params: GenerationParams;
  readonly result: JobResult;
}

/** What a script came to. Pictures that were not made are null. */
export interface ScriptResult {
  readonly cells: readonly (MadePicture | null)[];
  readonly grids: readonly (JobImage | null)[];
  /** Sentences on what could not be made. */
  readonly notes: readonly string[];
}

export interface RunPlanOptions {
  readonly board: SeriesBoard;
  /** The job of each of the plan's cells. */
  readonly params: readonly GenerationParams[];
  readonly gridFormat: GenerationParams['outputFormat'];
  /** True once the client is gone and nobody will fetch the rest. */
  readonly isGone: () => boolean;
  /** Queues one job; `onAccepted` gets its id. */
  submit(
    params: GenerationParams,
    what: 'cell' | 'grid',
    onAccepted: (jobId: string) => void,
  ): Promise<JobResult>;
}

async function makeCells(plan: ScriptPlan, series: Series, options: RunPlanOptions) {
  const cells: (MadePicture | null)[] = plan.cells.map(() => null);
  const notes: string[] = [];
  let firstError: GenerationError | null = null;
  for (const place of plan.order) {
    const params = options.params[place];
    if (params === undefined || series.isStopped || options.isGone()) break;
    try {
      const result = await options.submit(params, 'cell', (jobId) => {
        series.jobId = jobId;
      });
      const [image] = result.images;
      if (image) cells[place] = { image, params, result };
      if (result.summary.interrupted) series.isStopped = true;
    } catch (error) {
      if (!(error instanceof GenerationError)) throw error;
      firstError ??= error;
      notes.push(`Picture ${place + 1} was not made: ${error.message}`);
      if (ENDING_CODES.includes(error.code)) break;
    } finally {
      series.jobId = null;
      series.done += params.batchCount;
    }
  }
  if (firstError && cells.every((cell) => cell === null)) throw firstError;
  return { cells, notes };
}

/**
 * Makes a script's pictures one after the other as jobs of the queue, then its grids. An interrupt ends it with what
 * exists, a skip or a failure leaves one cell blank. Rejects with the first error where no picture was made at all.
 */
export async function runPlan(plan: ScriptPlan, options: RunPlanOptions): Promise<ScriptResult> {
  const { board, gridFormat } = options;
  const count = options.params.reduce((sum, { batchCount }) => sum + batchCount, 0);
  const series = board.begin(count);
  try {
    const { cells, notes } = await makeCells(plan, series, options);
    const sample = cells.find((cell) => cell !== null);
    const grids: (JobImage | null)[] = [];
    const pictures = cells.map((cell) => cell?.image ?? null);
    for (const grid of sample ? plan.grids : []) {
      if (!sample) break;
      try {
        const { quality, isLossless } = sample.params;
        const params = gridJob(
          grid,
          { cells: pictures, grids, sample: sample.image },
          { outputFormat: gridFormat, quality, isLossless },
        );
        const { images } = await options.submit(params, 'grid', (jobId) => {
          series.jobId = jobId;
        });
        grids.push(images[0] ?? null);
      } catch (error) {
        if (!(error instanceof GenerationError)) throw error;
        grids.push(null);
        notes.push(`The grid was not made: ${error.message}`);
      } finally {
        series.jobId = null;
      }
    }
    return { cells, grids, notes };
  } finally {
    board.end(series);
  }
}
