import { describe, expect, test } from 'vitest';
import { GenerationError } from '../../../protocol/errors.ts';
import {
  type ChunkOptions,
  chunkPrompt,
  emptyChunk,
  networkTokens,
  type PromptChunk,
} from '../../../web/engine/prompt/chunks.ts';
import { countTokens } from '../../../web/engine/prompt/count-tokens.ts';
import { createEmbeddingFinder, placeEmbeddings } from '../../../web/engine/prompt/embeddings.ts';
import { applyEmphasis, type EmphasisMode } from '../../../web/engine/prompt/emphasis.ts';
import { promptInfotextParams } from '../../../web/engine/prompt/infotext-params.ts';
import { planConditioning } from '../../../web/engine/prompt/plan.ts';
import type { ClipTokenizer } from '../../../web/engine/prompt/tokenizer.ts';
import { clip, openClip, readVectors } from './vectors.ts';

interface ChunkCase {
  prompt: string;
  options?: { comma_padding_backtrack?: number; emphasis?: EmphasisMode };
  token_count?: number;
  chunks?: {
    length?: number;
    tokens: number[];
    multipliers: number[];
    fixes?: [number, string][];
  }[];
  error?: string;
}

const vectors = readVectors<{
  chunks: ChunkCase[];
  open_clip_chunks: ChunkCase[];
  open_clip_network_input: { prompt: string; tokens: number[][] };
  emphasis: {
    mode: EmphasisMode;
    prompt: string;
    rows: number;
    z: number[];
    sum: number;
    infotext: Record<string, string>;
  }[];
  embedding_infotext: Record<string, string>;
  batch: { prompts: string[]; rows: number; z: number[][]; sums: number[] }[];
  registered: { name: string; vectors: number; tokens: number[]; shorthash: string }[];
  embeddings: ChunkCase[];
  embedding_rows: { prompt: string; first_component: number[][] }[];
  counts: { prompt: string; shown: [number, number] }[];
}>('chunks');

function chunkOptions({ options = {} }: ChunkCase): ChunkOptions {
  return {
    ...(options.comma_padding_backtrack === undefined
      ? {}
      : { commaPaddingBacktrack: options.comma_padding_backtrack }),
    ...(options.emphasis === undefined ? {} : { emphasis: options.emphasis }),
  };
}

/** The vectors' own short form: no end ids and no ones at the end. */
function shortForm({ tokens, multipliers, embeddings }: PromptChunk, isFull: boolean): object {
  const trim = (values: readonly number[], filling: number): number[] =>
    values.slice(0, values.findLastIndex((value) => value !== filling) + 1);
  return {
    ...(isFull ? { length: tokens.length } : {}),
    tokens: isFull ? tokens : trim(tokens, 49_407),
    multipliers:
      isFull && multipliers.some((value) => value !== 1) ? multipliers : trim(multipliers, 1),
    ...(isFull || embeddings.length > 0
      ? { fixes: embeddings.map(({ offset, name }) => [offset, name]) }
      : {}),
  };
}

function checkChunks(row: ChunkCase, tokenizer: ClipTokenizer, options: ChunkOptions = {}): void {
  const run = () => chunkPrompt(row.prompt, tokenizer, { ...chunkOptions(row), ...options });
  if (row.error !== undefined) {
    expect(run).toThrow(GenerationError);
    return;
  }
  const { chunks, tokenCount } = run();
  const isFull = row.chunks?.[0]?.length !== undefined;
  expect(chunks.map((chunk) => shortForm(chunk, isFull))).toEqual(row.chunks);
  expect(tokenCount).toBe(row.token_count);
}

describe('chunks', () => {
  test.each(vectors.chunks)('clip: $prompt $options', (row) => checkChunks(row, clip));
  test.each(vectors.open_clip_chunks)('open_clip: $prompt', (row) => checkChunks(row, openClip));

  test('the network gets the padding id behind the end', () => {
    const { prompt, tokens } = vectors.open_clip_network_input;
    const { chunks } = chunkPrompt(prompt, openClip);
    expect(chunks.map((chunk) => networkTokens(chunk, openClip))).toEqual(tokens);
  });
});

describe('textual inversions', () => {
  const findEmbedding = createEmbeddingFinder(vectors.registered);

  test.each(vectors.registered)('ids of $name', ({ name, tokens }) => {
    expect(clip.encode(name)).toEqual(tokens);
  });

  test.each(vectors.embeddings)('$prompt', (row) => checkChunks(row, clip, { findEmbedding }));

  test('one of more than 75 vectors is refused by name', () => {
    expect(() => planOf(['big-one'], { findEmbedding })).toThrow(
      'A textual inversion of the prompt has more than 75 vectors, which no chunk holds: one of big-one.',
    );
  });

  test('their hashes go into the infotext, the last text’s first', () => {
    const { groups } = planOf(['easycanyon, orchard', 'orchard-style'], { findEmbedding });
    const embeddingHash = (name: string): string =>
      vectors.registered.find((entry) => entry.name === name)?.shorthash ?? '';
    expect(promptInfotextParams(groups, { embeddingHash })).toEqual(vectors.embedding_infotext);
  });

  test.each(vectors.embedding_rows)('rows of $prompt', ({ prompt, first_component }) => {
    const { chunks } = chunkPrompt(prompt, clip, { findEmbedding });
    const vectorsOf = (name: string): Float32Array => {
      const count = vectors.registered.find((entry) => entry.name === name)?.vectors ?? 0;
      return Float32Array.from({ length: count * 2 }, (_, i) => 1000 + i);
    };
    const rows = chunks.map((chunk) => {
      const values = Float32Array.from(chunk.tokens.flatMap((id) => [id, id + 0.5]));
      placeEmbeddings(values, 2, chunk.embeddings, vectorsOf);
      return Array.from({ length: 48 }, (_, i) => values[i * 2]);
    });
    expect(rows).toEqual(first_component);
  });
});

/** The vectors' stand-in for a text encoder: z[i][c] = cos(token * 0.01 + i * 0.3 + c) + 0.25. */
function encode(tokens: readonly number[]): Float32Array {
  return Float32Array.from(
    tokens.flatMap((token, i) => [0, 1].map((c) => Math.cos(token * 0.01 + i * 0.3 + c) + 0.25)),
  );
}

/** Texts encoded together, chunk by chunk, with the emphasis put on: [texts][rows * 2]. */
function encodeBatch(prompts: readonly string[], mode: EmphasisMode): number[][] {
  const chunked = prompts.map((prompt) => chunkPrompt(prompt, clip, { emphasis: mode }).chunks);
  const count = Math.max(...chunked.map((chunks) => chunks.length));
  const results: number[][] = prompts.map(() => []);
  for (let index = 0; index < count; index++) {
    const chunks = chunked.map((list) => list[index] ?? emptyChunk(clip));
    const z = Float32Array.from(chunks.flatMap((chunk) => [...encode(chunk.tokens)]));
    applyEmphasis(
      mode,
      z,
      chunks.map((chunk) => chunk.multipliers),
    );
    const size = z.length / prompts.length;
    for (const [text, result] of results.entries()) {
      result.push(...z.subarray(text * size, (text + 1) * size));
    }
  }
  return results;
}

function expectClose(
  actual: readonly number[],
  expected: readonly number[],
  tolerance: number,
): void {
  expect(actual).toHaveLength(expected.length);
  for (const [index, value] of expected.entries()) {
    expect(Math.abs((actual[index] ?? Number.NaN) - value)).toBeLessThanOrEqual(tolerance);
  }
}

function planOf(prompts: string[], chunkOptions: ChunkOptions) {
  return planConditioning({
    prompts,
    negativePrompts: [],
    steps: 10,
    tokenizers: [clip],
    chunkOptions,
  });
}

describe('emphasis', () => {
  test.each(vectors.emphasis)('infotext of $mode: $prompt', ({ mode, prompt, infotext }) => {
    const { groups } = planOf([prompt], { emphasis: mode });
    expect(promptInfotextParams(groups, { emphasis: mode })).toEqual(infotext);
  });

  test.each(vectors.emphasis)('$mode: $prompt', ({ mode, prompt, rows, z, sum }) => {
    const [result = []] = encodeBatch([prompt], mode);
    expect(result).toHaveLength(rows * 2);
    expectClose([...result.slice(0, 32), ...result.slice(-8)], z, 2e-3);
    expect(result.reduce((total, value) => total + value, 0)).toBeCloseTo(sum, 1);
  });

  test.each(vectors.batch)('together: $prompts', ({ prompts, rows, z, sums }) => {
    const results = encodeBatch(prompts, 'Original');
    for (const [index, result] of results.entries()) {
      expect(result).toHaveLength(rows * 2);
      expectClose(result.slice(0, 24), z[index] ?? [], 2e-3);
      expect(result.reduce((total, value) => total + value, 0)).toBeCloseTo(sums[index] ?? 0, 1);
    }
  });

  test('a row that stands for several counts as often in the mean', () => {
    const rows = [
      [1, 2],
      [1, 1],
    ];
    const values = [0.5, 1.5, 0.25, 2];
    const once = Float32Array.from([...values.slice(0, 2), ...values.slice(0, 2), ...values]);
    applyEmphasis('Original', once, [rows[0]!, rows[0]!, ...rows]);
    const repeated = Float32Array.from(values);
    applyEmphasis('Original', repeated, rows, { repeats: [3, 1] });
    expectClose([...repeated], [...once.slice(4)], 1e-6);
  });
});

describe('what the prompt box shows', () => {
  test.each(vectors.counts)('$shown', ({ prompt, shown }) => {
    const { tokens, room } = countTokens(prompt, clip);
    expect([tokens, room]).toEqual(shown);
  });

  test('tags do not count, and of a schedule the longest text does', () => {
    expect(countTokens('a cat <lora:x:1>', clip).tokens).toBe(2);
    expect(countTokens('[a cat:a red cat:0.5] AND a', clip).tokens).toBe(3);
  });
});

test('a plan encodes a schedule’s distinct texts once and says how often each counts', () => {
  const plan = planConditioning({
    prompts: ['[a|b] cat'],
    negativePrompts: [''],
    steps: 5,
    tokenizers: [clip, openClip],
  });
  expect(plan.groups.map(({ texts, repeats }) => [texts, repeats])).toEqual([
    [[''], [1]],
    [
      ['a cat', 'b cat'],
      [3, 2],
    ],
  ]);
  expect(plan.groups[1]?.encoders).toHaveLength(2);
  expect(plan.groups[1]?.encoders[1]?.[0]?.tokens[0]?.slice(0, 5)).toEqual([
    49_406, 320, 2368, 49_407, 0,
  ]);
  expect([0, 1, 2, 3, 4].map((call) => plan.firstPass.condAt(call)[0]?.[0]?.row)).toEqual([
    0, 0, 1, 0, 1,
  ]);
});
