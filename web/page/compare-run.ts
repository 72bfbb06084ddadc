import { GenerationError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary } from '../../protocol/job.ts';
import { ENDING_CODES, type GridPicture, gridJob } from '../../protocol/scripts/grid-plan.ts';
import type { GeneratedImage, GenerateOptions, GenerationProgress } from '../shared/engine.ts';
import type { ComparisonPlan } from './compare.ts';
import { toBase64 } from './init-picture.ts';

/** Who runs a comparison's jobs and shows what becomes of them. */
export interface ComparisonHost {
  generate(
    params: GenerationParams,
    options: Pick<GenerateOptions, 'onImage' | 'onProgress'>,
  ): Promise<GenerationSummary>;
  /** True once what is not yet begun is not to be made. */
  readonly isStopping: () => boolean;
  /** The whole comparison as one job. */
  readonly onProgress: (progress: GenerationProgress) => void;
  /** A cell or the grid, with the parameters of the cell that stands for it. */
  readonly onPicture: (image: GeneratedImage, params: GenerationParams) => void;
  /** Milliseconds. */
  readonly now: () => number;
}

interface MadeCell {
  readonly picture: GridPicture;
  readonly params: GenerationParams;
}

async function toGridPicture(image: GeneratedImage): Promise<GridPicture> {
  const { bytes, infotext, prompt, negativePrompt, seed, subseed, width, height } = image;
  const data = await toBase64(new Blob([bytes]));
  return { data, infotext, prompt, negativePrompt, seed, subseed, width, height };
}

/** Turns the progress of cells into that of all: picture, fraction, and time left at the pace so far. */
function followCells(count: number, { now, onProgress }: ComparisonHost) {
  const startedAt = now();
  return (done: number) => (progress: GenerationProgress) => {
    const made = done + progress.fraction;
    const secondsEach = done > 0 ? (now() - startedAt) / 1000 / made : null;
    onProgress({
      ...progress,
      ...{ imageIndex: done, imageCount: count, fraction: Math.min(1, made / count) },
      etaSeconds: secondsEach === null ? null : Math.max(0, secondsEach * (count - made)),
    });
  };
}

async function makeCells({ cells, order }: ComparisonPlan, host: ComparisonHost) {
  const made: (MadeCell | null)[] = cells.map(() => null);
  const notes = new Set<string>();
  const progressAt = followCells(cells.length, host);
  let firstError: GenerationError | null = null;
  let last: GenerationSummary | null = null;
  let isInterrupted = false;
  for (const [done, place] of order.entries()) {
    const params = cells[place];
    if (params === undefined) continue;
    if (isInterrupted || host.isStopping()) {
      isInterrupted = true;
      break;
    }
    const images: GeneratedImage[] = [];
    try {
      last = await host.generate(params, {
        onProgress: progressAt(done),
        onImage: (image) => {
          images.push(image);
          host.onPicture(image, params);
        },
      });
      for (const note of last.notes) notes.add(note);
      isInterrupted = last.interrupted;
    } catch (error) {
      if (!(error instanceof GenerationError)) throw error;
      firstError ??= error;
      notes.add(`Picture ${place + 1} was not made: ${error.message}`);
      if (ENDING_CODES.includes(error.code)) break;
    }
    const [image] = images;
    if (image) made[place] = { picture: await toGridPicture(image), params };
  }
  if (firstError && made.every((cell) => cell === null)) throw firstError;
  return { made, notes, last, isInterrupted };
}

/** Draws the grids of what was made and shows the last one; what went wrong with them, as a sentence. */
async function drawGrids(
  plan: ComparisonPlan,
  made: readonly (MadeCell | null)[],
  host: ComparisonHost,
): Promise<string | null> {
  const sample = made.find((cell) => cell !== null);
  if (!sample) return null;
  const cells = made.map((cell) => cell?.picture ?? null);
  const grids: (GridPicture | null)[] = [];
  try {
    for (const [index, grid] of plan.grids.entries()) {
      const images: GeneratedImage[] = [];
      const params = gridJob(grid, { cells, grids, sample: sample.picture }, sample.params);
      await host.generate(params, { onImage: (image) => images.push(image) });
      const [image] = images;
      grids.push(image ? await toGridPicture(image) : null);
      if (image && index === plan.grids.length - 1) host.onPicture(image, sample.params);
    }
    return null;
  } catch (error) {
    if (!(error instanceof GenerationError)) throw error;
    return `The grid was not made: ${error.message}`;
  }
}

/**
 * Makes a comparison's pictures one after the other as jobs of the engine, then its grids. An interrupt ends it with the
 * grid of what exists, a skip or a failure leaves one cell blank. Rejects with the first error where no picture was made
 * at all, and at once when a job is aborted.
 */
export async function runComparison(
  plan: ComparisonPlan,
  host: ComparisonHost,
): Promise<GenerationSummary | null> {
  const { made, notes, last, isInterrupted } = await makeCells(plan, host);
  const problem = await drawGrids(plan, made, host);
  if (problem !== null) notes.add(problem);
  return last && { ...last, notes: [...notes], interrupted: isInterrupted };
}
