import { GenerationError } from '../../../protocol/errors.ts';
import { type GenerationParams, generationParams } from '../../../protocol/generation.ts';
import { quoteValue } from '../../../protocol/infotext-values.ts';
import type { JobImage } from '../../../protocol/job.ts';
import type { JobResult } from '../../services.ts';
import type { Series, SeriesBoard } from '../series.ts';
import type { GridPlan, InfotextPairs, ScriptPlan } from './plan.ts';

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

/** After these the next job would fare no better. */
const ENDING: readonly GenerationError['code'][] = [
  'no-tab',
  'busy',
  'tab-disconnected',
  'webgpu-unavailable',
  'cancelled',
];

/** An infotext with further pairs, in front of the version as in A1111. */
export function withPairs(infotext: string, pairs: InfotextPairs): string {
  if (pairs.length === 0) return infotext;
  const text = pairs.map(([label, value]) => `${label}: ${quoteValue(value)}`).join(', ');
  const at = infotext.lastIndexOf(', Version: ');
  if (at < 0) return `${infotext}, ${text}`;
  return `${infotext.slice(0, at)}, ${text}${infotext.slice(at)}`;
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
      if (ENDING.includes(error.code)) break;
    } finally {
      series.jobId = null;
      series.done += params.batchCount;
    }
  }
  if (firstError && cells.every((cell) => cell === null)) throw firstError;
  return { cells, notes };
}

interface GridSources {
  readonly cells: readonly (MadePicture | null)[];
  readonly grids: readonly (JobImage | null)[];
  /** A picture that stands for the job: its texts go into the grid. */
  readonly sample: MadePicture;
}

function gridJob(
  plan: GridPlan,
  { cells, grids, sample }: GridSources,
  outputFormat: GenerationParams['outputFormat'],
): GenerationParams {
  const pictures: string[] = [];
  const places = plan.cells.map((place) => {
    const picture = plan.joins === 'grids' ? grids[place] : cells[place]?.image;
    if (!picture) return null;
    return pictures.push(picture.data) - 1;
  });
  const first = plan.cells.map((place) => cells[place]?.image).find((image) => image);
  const { infotext } = (plan.joins === 'cells' ? first : null) ?? sample.image;
  return generationParams.parse({
    mode: 'grid',
    initImages: pictures,
    ...{ outputFormat, quality: sample.params.quality, isLossless: sample.params.isLossless },
    ...{ prompt: sample.image.prompt, negativePrompt: sample.image.negativePrompt },
    ...{ seed: sample.image.seed, subseed: sample.image.subseed },
    grid: {
      ...{ columns: plan.columns, rows: plan.rows, cells: places, margin: plan.margin },
      ...{ cellWidth: sample.image.width, cellHeight: sample.image.height },
      ...{ columnLabels: plan.columnLabels, rowLabels: plan.rowLabels },
      infotext: withPairs(infotext, plan.pairs),
    },
  });
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
    for (const grid of sample ? plan.grids : []) {
      if (!sample) break;
      try {
        const params = gridJob(grid, { cells, grids, sample }, gridFormat);
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
