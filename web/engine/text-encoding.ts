import type { ModelDescription, TextEncoderDescription } from '../compiler/model.ts';
import type { TextContext } from './diffusion-model.ts';
import type { EmbeddingPlace } from './prompt/embeddings.ts';
import { applyEmphasis } from './prompt/emphasis.ts';
import type { ChunkBatch, EncodeGroup } from './prompt/plan.ts';

/** One text encoder's answer for one chunk of one text. */
export interface EncodedChunk {
  /** [tokens, hidden size]. */
  readonly states: Float32Array;
  /** Pooled and projected, where the encoder has a projection. */
  readonly textEmbeds: Float32Array | null;
}

export type RunTextEncoder = (
  encoder: TextEncoderDescription,
  tokens: readonly number[],
  states: { readonly clipSkip: number; readonly finalNorm: boolean },
  embeddings: readonly EmbeddingPlace[],
) => Promise<EncodedChunk>;

/** Encoded groups kept for re-rolls; one is a few hundred kilobytes at most. */
const MAX_KEPT_GROUPS = 64;

/** Encodes the texts of a conditioning plan with all of a checkpoint's text encoders. */
export function createTextEncoding(description: ModelDescription, run: RunTextEncoder) {
  const kept = new Map<string, readonly TextContext[]>();

  async function encode(group: EncodeGroup, clipSkip: number): Promise<readonly TextContext[]> {
    // SDXL was trained to take zeros for no negative prompt at all.
    const isZero =
      description.family === 'sdxl' && group.isNegative && group.texts.every((text) => text === '');
    const perEncoder: EncodedText[][] = [];
    for (const [index, encoder] of description.textEncoders.entries()) {
      const chunks = group.encoders[index] ?? [];
      perEncoder.push(await encodeWith(encoder, chunks, group.texts.length, clipSkip, run));
    }
    return group.texts.map((_, row) => {
      const texts = perEncoder.map((rows) => rows[row] ?? { states: [], textEmbeds: null });
      const context = {
        ...joinEncoders(texts, description.textEncoders),
        isNegative: group.isNegative,
      };
      if (isZero) {
        context.values.fill(0);
        context.textEmbeds?.fill(0);
      }
      return context;
    });
  }

  return {
    /** One context for every text of the group. */
    async encode(group: EncodeGroup, clipSkip: number): Promise<readonly TextContext[]> {
      const { isNegative, texts, repeats, encoders } = group;
      // Emphasis and the cutting into chunks are the job's to choose, so the texts alone do not tell.
      const chunks = encoders.map((list) => list.map(({ emphasis, tokens }) => [emphasis, tokens]));
      const key = JSON.stringify([clipSkip, isNegative, texts, repeats, chunks]);
      const known = kept.get(key);
      if (known) return known;
      const contexts = await encode(group, clipSkip);
      kept.set(key, contexts);
      const [oldest] = kept.keys();
      if (kept.size > MAX_KEPT_GROUPS && oldest !== undefined) kept.delete(oldest);
      return contexts;
    },
    forget: () => kept.clear(),
  };
}

/** One text through one encoder: the states of its chunks, and the first chunk's pooled vector. */
interface EncodedText {
  readonly states: Float32Array[];
  textEmbeds: Float32Array | null;
}

async function encodeWith(
  encoder: TextEncoderDescription,
  chunks: readonly ChunkBatch[],
  rows: number,
  userClipSkip: number,
  run: RunTextEncoder,
): Promise<EncodedText[]> {
  const { followsClipSkip, finalNorm } = encoder.states;
  const clipSkip = followsClipSkip ? userClipSkip : encoder.states.clipSkip;
  const texts = Array.from({ length: rows }, (): EncodedText => ({ states: [], textEmbeds: null }));
  for (const [place, chunk] of chunks.entries()) {
    const answers: EncodedChunk[] = [];
    for (const [row, tokens] of chunk.tokens.entries()) {
      const places = chunk.embeddings[row] ?? [];
      answers.push(await run(encoder, tokens, { clipSkip, finalNorm }, places));
    }
    const size = answers[0]?.states.length ?? 0;
    // The texts of a group are weighed together, as A1111 weighs a batch.
    const whole = new Float32Array(answers.length * size);
    for (const [row, { states }] of answers.entries()) whole.set(states, row * size);
    applyEmphasis(chunk.emphasis, whole, chunk.multipliers, chunk);
    for (const [row, text] of texts.entries()) {
      text.states.push(whole.subarray(row * size, (row + 1) * size));
      if (place === 0) text.textEmbeds = answers[row]?.textEmbeds?.slice() ?? null;
    }
  }
  return texts;
}

/** Chunks follow each other along the tokens, encoders along the channels. */
function joinEncoders(
  texts: readonly EncodedText[],
  encoders: readonly TextEncoderDescription[],
): TextContext {
  const widths = encoders.map(({ hiddenSize }) => hiddenSize);
  const channels = widths.reduce((sum, width) => sum + width, 0);
  const tokens =
    (texts[0]?.states.reduce((sum, chunk) => sum + chunk.length, 0) ?? 0) / (widths[0] ?? 1);
  const values = new Float32Array(tokens * channels);
  let column = 0;
  for (const [index, { states }] of texts.entries()) {
    const width = widths[index] ?? 0;
    let token = 0;
    for (const chunk of states) {
      for (let offset = 0; offset < chunk.length; offset += width, token++) {
        values.set(chunk.subarray(offset, offset + width), token * channels + column);
      }
    }
    column += width;
  }
  const textEmbeds = texts.findLast((text) => text.textEmbeds !== null)?.textEmbeds ?? null;
  return { tokens, values, textEmbeds };
}
