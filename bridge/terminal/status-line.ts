import type { EngineActivity } from '../../protocol/device.ts';
import type { JobProgress } from '../../protocol/job.ts';

/** Where the line goes: standard output, as far as it is used here. */
export interface LineOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

function eta(seconds: number | null): string {
  if (seconds === null) return '';
  const rounded = Math.max(1, Math.round(seconds));
  return rounded < 90 ? `, ${rounded} s left` : `, ${Math.round(rounded / 60)} min left`;
}

/** One line about a checkpoint that is being made ready. */
export function activityText({ kind, what, done, etaSeconds }: EngineActivity): string {
  const verb = { compile: 'Compiling', download: 'Downloading', load: 'Loading' }[kind];
  return `${verb} ${what}: ${Math.round(done * 100)} %${eta(etaSeconds)}`;
}

/** One line about a running job. */
export function progressText(progress: JobProgress): string {
  const { stage, step, steps, imageIndex, imageCount, fraction, message } = progress;
  const picture = imageCount > 1 ? `Picture ${imageIndex + 1} of ${imageCount}: ` : '';
  const doing =
    stage === 'sampling' ? `step ${step} of ${steps}` : message === '' ? stage : message;
  return `${picture}${doing} (${Math.round(fraction * 100)} %${eta(progress.etaSeconds)})`;
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
