import type { EngineActivity } from '../../protocol/device.ts';
import type { JobProgress } from '../../protocol/job.ts';
import { activitySentence, timeLeft } from '../activity-text.ts';

/** Where the line goes: standard output, as far as it is used here. */
export interface LineOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const BAR_WIDTH = 20;

/** `[########------------]` for a fraction of 0.4. */
function bar(fraction: number): string {
  const filled = Math.min(BAR_WIDTH, Math.max(0, Math.floor(fraction * BAR_WIDTH)));
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
}

/** One line about a checkpoint that is being made ready. */
export function activityText(activity: EngineActivity): string {
  return `${bar(activity.done)} ${activitySentence(activity)}`;
}

/** One line about a running job. */
export function progressText(progress: JobProgress): string {
  const { stage, step, steps, imageIndex, imageCount, fraction, message } = progress;
  const picture = imageCount > 1 ? `Picture ${imageIndex + 1} of ${imageCount}: ` : '';
  const doing =
    stage === 'sampling' ? `step ${step} of ${steps}` : message === '' ? stage : message;
  const percent = Math.round(fraction * 100);
  return `${bar(fraction)} ${picture}${doing} (${percent} %${timeLeft(progress.etaSeconds)})`;
}

/** Whether a job still waits for its checkpoint: then what its engine does says more. */
export function isPreparing({ stage }: JobProgress): boolean {
  return stage === 'waiting' || stage === 'loading' || stage === 'compiling';
}

/** A line at the bottom of the terminal that is written over; silent where there is no terminal. */
export class StatusLine {
  readonly #output: LineOutput;
  #shown = '';

  constructor(output: LineOutput) {
    this.#output = output;
  }

  /** Shows a text in place of the one before; an empty text takes the line away. */
  show(text: string): void {
    if (!this.#output.isTTY || text === this.#shown) return;
    const width = (this.#output.columns ?? 80) - 1;
    this.#shown = text;
    this.#output.write(`\r\u001b[K${text.slice(0, width)}`);
  }

  /** Writes a whole line above the status. */
  print(line: string): void {
    const shown = this.#shown;
    this.show('');
    this.#output.write(`${line}\n`);
    this.show(shown);
  }
}
