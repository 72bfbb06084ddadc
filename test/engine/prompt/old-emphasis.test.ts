import { describe, expect, test } from 'vitest';
import { chunkPrompt } from '../../../web/engine/prompt/chunks.ts';
import { createEmbeddingFinder } from '../../../web/engine/prompt/embeddings.ts';
import { clip } from './vectors.ts';

/**
 * A1111's first way of weighing, `use_old_emphasis_implementation`: every token whose text holds brackets is taken out
 * and multiplies the weight of all that follow by 1.1 or 1 / 1.1 for each bracket.
 */
const read = (prompt: string, options: Parameters<typeof chunkPrompt>[2] = {}) => {
  const { chunks, tokenCount } = chunkPrompt(prompt, clip, { usesOldEmphasis: true, ...options });
  const [chunk] = chunks;
  const used = Math.min(75, tokenCount);
  return {
    ...{ count: chunks.length, tokenCount, chunk: chunk! },
    tokens: chunk!.tokens.slice(1, 1 + used),
    weights: chunk!.multipliers.slice(1, 1 + used),
  };
};
const ids = (text: string) => clip.encode(text);

describe('the old emphasis', () => {
  test('takes brackets out and weighs what is between', () => {
    const { tokens, weights, chunk } = read('a (red) cat [sat] ((here))');
    expect(tokens).toEqual(ids('a red cat sat here'));
    const expected = [1, 1.1, 1, 1 / 1.1, 1.21];
    for (const [i, weight] of weights.entries()) expect(weight).toBeCloseTo(expected[i]!, 12);
    expect(chunk.tokens).toHaveLength(77);
    expect([chunk.tokens[0], chunk.tokens[6]]).toEqual([clip.bosId, clip.eosId]);
    expect(chunk.multipliers.slice(6)).toEqual(new Array(71).fill(1));
  });

  test('a bracket that is never closed weighs all that follows; a weight in numbers is text', () => {
    const open = read('one (two three');
    expect(open.weights).toEqual([1, 1.1, 1.1]);
    const numbered = read('(cat:1.5)');
    expect(numbered.tokens).toEqual(ids('cat:1.5'));
    expect(new Set(numbered.weights)).toEqual(new Set([1.1]));
  });

  test('a token of brackets that cancel stays, one with more beside them goes whole', () => {
    // "()" and ")," are tokens of CLIP's vocabulary.
    expect(ids('()')).toHaveLength(1);
    expect(read('a () b').tokens).toEqual(ids('a () b'));
    expect(ids('),')).toHaveLength(1);
    const { tokens, weights } = read('(a), b');
    expect(tokens).toEqual(ids('a b'));
    expect(weights).toEqual([1.1, 1]);
  });

  test('cuts a prompt off at 75 tokens, embeddings too, and BREAK is a word', () => {
    const long = read(`${'a '.repeat(80)}BREAK b`);
    expect([long.count, long.tokenCount]).toEqual([1, 82]);
    expect(long.tokens).toEqual(new Array(75).fill(ids('a')[0]));
    const findEmbedding = createEmbeddingFinder([
      { name: 'face', tokens: ids('face'), vectors: 4 },
    ]);
    const inside = read('(face) a', { findEmbedding });
    expect(inside.chunk.embeddings).toEqual([{ offset: 0, name: 'face' }]);
    expect(inside.weights).toEqual([1.1, 1.1, 1.1, 1.1, 1]);
    expect(inside.tokens.slice(0, 4)).toEqual([0, 0, 0, 0]);
    const late = read(`${'a '.repeat(73)}face face`, { findEmbedding });
    expect(late.chunk.tokens).toHaveLength(77);
    expect(late.chunk.embeddings).toEqual([{ offset: 73, name: 'face' }]);
  });

  test('with emphasis None brackets are text', () => {
    const { tokens, weights } = read('a (b)', { emphasis: 'None' });
    expect(tokens).toEqual(ids('a (b)'));
    expect(new Set(weights)).toEqual(new Set([1]));
  });
});
