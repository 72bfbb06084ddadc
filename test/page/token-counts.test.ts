import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createTokenCounter, createTokenCounts } from '../../web/page/token-counts.ts';
import type { TokenCount } from '../../web/shared/engine.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('createTokenCounter', () => {
  it('asks once typing rests', async () => {
    const counts = createTokenCounts();
    const countTokens = vi.fn(async (prompts: readonly string[]) =>
      prompts.map((prompt) => ({ tokens: prompt.length, room: 75 })),
    );
    const count = createTokenCounter({ countTokens }, counts, 50);
    count('a', '');
    count('ab', 'c');
    await vi.advanceTimersByTimeAsync(60);
    expect(countTokens.mock.calls).toEqual([[['ab', 'c']]]);
    expect(counts.prompt.value).toEqual({ tokens: 2, room: 75 });
    expect(counts.negativePrompt.value).toEqual({ tokens: 1, room: 75 });
  });

  it('drops an answer that a later question has overtaken, and shows none where the engine fails', async () => {
    const counts = createTokenCounts();
    const answers: ((counts: TokenCount[]) => void)[] = [];
    const countTokens = () => new Promise<TokenCount[]>((resolve) => answers.push(resolve));
    const count = createTokenCounter({ countTokens }, counts, 0);
    count('first', '');
    await vi.advanceTimersByTimeAsync(1);
    count('second', '');
    await vi.advanceTimersByTimeAsync(1);
    answers[1]?.([{ tokens: 2, room: 75 }]);
    answers[0]?.([{ tokens: 1, room: 75 }]);
    await vi.advanceTimersByTimeAsync(1);
    expect(counts.prompt.value?.tokens).toBe(2);
    const failing = createTokenCounter(
      { countTokens: () => Promise.reject(new Error('gone')) },
      counts,
      0,
    );
    failing('third', '');
    await vi.advanceTimersByTimeAsync(1);
    expect(counts.prompt.value).toBeNull();
  });
});
