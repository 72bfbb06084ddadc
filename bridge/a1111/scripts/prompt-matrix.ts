import { promptMatrix } from '../../../protocol/scripts/prompt-matrix.ts';
import { ApiError } from '../errors.ts';
import { readBoolean, readNumber } from '../lenient.ts';
import type { ScriptContext, ScriptPlan } from './plan.ts';

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
  const field = promptType === 'positive' ? 'prompt' : 'negative_prompt';
  const { prompts, grid } = promptMatrix(request[field], {
    isAtStart: readBoolean(atStart) ?? false,
    delimiter: joint === 'comma' ? ', ' : ' ',
    margin: Math.min(500, Math.max(0, Math.trunc(readNumber(margin) ?? 0))),
  });
  const seed = request.seed === -1 ? drawSeed() : request.seed;
  const subseed = request.subseed === -1 ? drawSeed() : request.subseed;
  const step = (readBoolean(differentSeeds) ?? false) ? 1 : 0;
  const cells = prompts.map((text, combination) => ({
    [field]: text,
    ...{ seed: seed + combination * step, subseed: subseed + combination },
    ...{ batch_size: 1, n_iter: 1, script_name: null, script_args: [] },
  }));
  return {
    title: 'Prompt matrix',
    cells,
    order: grid.cells,
    grids: [grid],
    shown: [
      { from: 'grids', index: 0 },
      ...grid.cells.map((index) => ({ from: 'cells' as const, index })),
    ],
    notes: [],
  };
}
