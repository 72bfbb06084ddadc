import { GenerationError } from '../errors.ts';
import { type GridPlan, MAX_CELLS } from './grid-plan.ts';

/** Every combination of the parts of a prompt. */
export interface PromptMatrix {
  /** Place `n` has the parts whose bits are set in `n`. */
  readonly prompts: readonly string[];
  readonly grid: GridPlan;
}

export interface PromptMatrixOptions {
  /** Puts the parts in front of what all prompts have. */
  readonly isAtStart?: boolean;
  readonly delimiter?: string;
  /** Pixels between cells. */
  readonly margin?: number;
}

/** Labels of one side of the grid: for every combination of its parts, each part, struck out where it is absent. */
function labelsOf(parts: readonly string[]): GridPlan['rowLabels'] {
  return Array.from({ length: 2 ** parts.length }, (_, position) =>
    parts.map((text, index) => ({
      text: text.trim().slice(0, 2000),
      isActive: (position & (1 << index)) !== 0,
    })),
  );
}

/**
 * A1111's prompt matrix: what stands before the first `|` is in every prompt, the parts behind it in every combination.
 * Throws `invalid-request` where that makes too many.
 */
export function promptMatrix(
  text: string,
  { isAtStart = false, delimiter = ', ', margin = 0 }: PromptMatrixOptions = {},
): PromptMatrix {
  const [fixed = '', ...parts] = text.split('|');
  if (2 ** parts.length > MAX_CELLS) {
    const message = `Prompt matrix: ${parts.length} parts make more than ${MAX_CELLS} pictures.`;
    throw new GenerationError('invalid-request', message);
  }
  const prompts = Array.from({ length: 2 ** parts.length }, (_, combination) => {
    const chosen = parts
      .filter((_part, index) => combination & (1 << index))
      .map((part) => part.trim().replace(/^,+|,+$/g, ''));
    return (isAtStart ? [...chosen, fixed] : [fixed, ...chosen]).join(delimiter);
  });
  const boundary = Math.ceil(parts.length / 2);
  const across = parts.slice(0, boundary);
  const down = parts.slice(boundary);
  return {
    prompts,
    grid: {
      columns: 2 ** across.length,
      rows: 2 ** down.length,
      cells: prompts.map((_, index) => index),
      joins: 'cells',
      columnLabels: labelsOf(across),
      rowLabels: labelsOf(down),
      margin,
      pairs: [],
    },
  };
}
