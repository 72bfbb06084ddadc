import { type GenerationParams, withoutPictures } from '../../protocol/generation.ts';
import type { GenerationSummary, JobImage } from '../../protocol/job.ts';

/** A picture's settings as the JSON file beside it has them. */
export function sidecar(
  image: JobImage,
  params: GenerationParams,
  summary: GenerationSummary,
): string {
  const { initImages: _initImages, notes: _notes, ...settings } = withoutPictures(params);
  const details = {
    ...settings,
    prompt: image.prompt,
    negativePrompt: image.negativePrompt,
    seed: image.seed,
    subseed: image.subseed,
    width: image.width,
    height: image.height,
    checkpoint: summary.checkpoint,
    checkpointHash: summary.checkpointHash,
    notes: summary.notes,
    infotext: image.infotext,
  };
  return `${JSON.stringify(details, null, 2)}\n`;
}

/** Columns of SHARK's `imgs_details.csv`, in its order, so that scripts made for it go on working. */
const CSV_COLUMNS = [
  'VARIANT',
  'SCHEDULER',
  'PROMPT',
  'NEG_PROMPT',
  'SEED',
  'CFG_SCALE',
  'PRECISION',
  'STEPS',
  'HEIGHT',
  'WIDTH',
  'MAX_LENGTH',
  'OUTPUT',
  'VAE',
  'LORA',
] as const;

/** RFC 4180, and no cell that a spreadsheet would run as a formula. */
function cell(value: string | number): string {
  const text = String(value);
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export const CSV_HEADER = `${CSV_COLUMNS.join(',')}\n`;

/** One picture's line of the day's table. `output` is its path. */
export function csvRow(
  image: JobImage,
  params: GenerationParams,
  summary: GenerationSummary,
  output: string,
): string {
  const values: Record<(typeof CSV_COLUMNS)[number], string | number> = {
    VARIANT: summary.checkpoint,
    SCHEDULER: params.sampler,
    PROMPT: image.prompt,
    NEG_PROMPT: image.negativePrompt,
    SEED: image.seed,
    CFG_SCALE: params.guidanceScale,
    PRECISION: String(summary.extraParams.Precision ?? ''),
    STEPS: params.steps,
    HEIGHT: image.height,
    WIDTH: image.width,
    // SHARK's prompts end at 64 tokens; ours are read in as many chunks as they need.
    MAX_LENGTH: '',
    OUTPUT: output,
    VAE: '',
    LORA: '',
  };
  return `${CSV_COLUMNS.map((column) => cell(values[column])).join(',')}\n`;
}
