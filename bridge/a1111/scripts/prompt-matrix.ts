import { ApiError } from '../errors.ts';
import { readBoolean, readNumber } from '../lenient.ts';
import { MAX_CELLS } from './axis-values.ts';
import type { GridPlan, ScriptContext, ScriptPlan } from './plan.ts';

/** Labels of one side of the grid: for every combination of its parts, each part, struck out where it is absent. */
function labelsOf(parts: readonly string[]): GridPlan['rowLabels'] {
  return Array.from({ length: 2 ** parts.length }, (_, position) =>
    parts.map((text, index) => ({
      text: text.trim().slice(0, 2000),
      isActive: (position & (1 << index)) !== 0,
    })),
  );
}

function choice<T extends string>(value: unknown, choices: readonly [T, ...T[]], what: string): T {
  if (value === undefined || value === null || value === '') return choices[0];
  const found = choices.find((name) => name === value);
  if (found) return found;
  const text = String(value).slice(0, 60);
  throw new ApiError(422, `Unknown ${what} ${text}: it is ${choices.join(' or ')}.`);
}

/** A1111's prompt matrix: a picture for every combination of the parts of a prompt that `|` sets apart. */
export function planPromptMatrix(args: readonly unknown[], context: ScriptContext): ScriptPlan {
  const { request, drawSeed } = context;
  const [atStart, differentSeeds, type, delimiterName, margin] = args;
  const promptType = choice(type, ['positive', 'negative'], 'prompt type');
  const joint = choice(delimiterName, ['comma', 'space'], 'variations delimiter');
  const delimiter = joint === 'comma' ? ', ' : ' ';
  const field = promptType === 'positive' ? 'prompt' : 'negative_prompt';
  const [fixed = '', ...parts] = request[field].split('|');
  if (2 ** parts.length > MAX_CELLS) {
    const text = `Prompt matrix: ${parts.length} parts make more than ${MAX_CELLS} pictures.`;
    throw new ApiError(422, text);
  }
  const isAtStart = readBoolean(atStart) ?? false;
  const seed = request.seed === -1 ? drawSeed() : request.seed;
  const subseed = request.subseed === -1 ? drawSeed() : request.subseed;
  const step = (readBoolean(differentSeeds) ?? false) ? 1 : 0;
  const cells = Array.from({ length: 2 ** parts.length }, (_, combination) => {
    const chosen = parts
      .filter((_part, index) => combination & (1 << index))
      .map((part) => part.trim().replace(/^,+|,+$/g, ''));
    const texts = isAtStart ? [...chosen, fixed] : [fixed, ...chosen];
    return {
      [field]: texts.join(delimiter),
      ...{ seed: seed + combination * step, subseed: subseed + combination },
      ...{ batch_size: 1, n_iter: 1, script_name: null, script_args: [] },
    };
  });
  const boundary = Math.ceil(parts.length / 2);
  const across = parts.slice(0, boundary);
  const down = parts.slice(boundary);
  const places = cells.map((_, index) => index);
  const grid: GridPlan = {
    columns: 2 ** across.length,
    rows: 2 ** down.length,
    cells: places,
    joins: 'cells',
    columnLabels: labelsOf(across),
    rowLabels: labelsOf(down),
    margin: Math.min(500, Math.max(0, Math.trunc(readNumber(margin) ?? 0))),
    pairs: [],
  };
  return {
    title: 'Prompt matrix',
    cells,
    order: places,
    grids: [grid],
    shown: [
      { from: 'grids', index: 0 },
      ...places.map((index) => ({ from: 'cells' as const, index })),
    ],
    notes: [],
  };
}
