import { type Signal, signal } from '@preact/signals';
import type { Engine, TokenCount } from '../shared/engine.ts';

/** Counts of the two prompts; null where none can be told. */
export interface TokenCounts {
  readonly prompt: Signal<TokenCount | null>;
  readonly negativePrompt: Signal<TokenCount | null>;
}

export function createTokenCounts(): TokenCounts {
  return { prompt: signal(null), negativePrompt: signal(null) };
}

/** Typing rests this long before the engine is asked. */
const REST_MS = 200;

/**
 * Returns a function that has both prompts counted once typing rests. An answer that a later question has
 * overtaken is dropped.
 */
export function createTokenCounter(
  engine: Pick<Engine, 'countTokens'>,
  counts: TokenCounts,
  restMs: number = REST_MS,
): (prompt: string, negativePrompt: string) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let asked = 0;
  return (prompt, negativePrompt) => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      asked += 1;
      const mine = asked;
      const [ours, negative] = await engine
        .countTokens([prompt, negativePrompt])
        .catch(() => [null, null]);
      if (mine !== asked) return;
      counts.prompt.value = ours ?? null;
      counts.negativePrompt.value = negative ?? null;
    }, restMs);
  };
}
