import { isBreak, parseAttention } from '../../../protocol/attention.ts';
import type { EmbeddingPlace, FindEmbedding } from './embeddings.ts';
import type { EmphasisMode } from './emphasis.ts';
import type { ClipTokenizer } from './tokenizer.ts';

/** One call of a text encoder: 75 ids between a start and an end id. Both lists have the same length. */
export interface PromptChunk {
  /** Filled with the tokenizer's `eosId`; an embedding's places hold 0. */
  readonly tokens: readonly number[];
  /** Weight of each place, 1 for the framing and the filling. */
  readonly multipliers: readonly number[];
  readonly embeddings: readonly EmbeddingPlace[];
}

export interface ChunkedPrompt {
  /** At least one. */
  readonly chunks: readonly PromptChunk[];
  /** Ids used, whole chunks before the last counted as 75: what the prompt box shows. */
  readonly tokenCount: number;
}

export interface ChunkOptions {
  /** How many of a full chunk's last ids may move to the next one to keep a comma's words together; 0 is off. */
  readonly commaPaddingBacktrack?: number;
  /** `None` takes brackets and BREAK as text. */
  readonly emphasis?: EmphasisMode;
  /** A1111's first way: see `chunkByBrackets`. */
  readonly usesOldEmphasis?: boolean;
  readonly findEmbedding?: FindEmbedding;
}

/** Ids of a prompt in one chunk, between its start and end id. */
export const CHUNK_LENGTH = 75;

/**
 * Cuts a prompt into chunks as A1111 does: attention first, each stretch tokenized apart, BREAK and full chunks
 * end a chunk, and text behind a comma moves over as a whole if that comma is near the end. An embedding of more
 * than 75 vectors makes a longer chunk. Throws `invalid-request` for a weight that is no number.
 */
export function chunkPrompt(
  prompt: string,
  tokenizer: ClipTokenizer,
  options: ChunkOptions = {},
): ChunkedPrompt {
  const { commaPaddingBacktrack = 20, emphasis = 'Original', findEmbedding = () => null } = options;
  if (options.usesOldEmphasis) return chunkByBrackets(prompt, tokenizer, options);
  const parts = emphasis === 'None' ? [{ text: prompt, weight: 1 }] : parseAttention(prompt);
  const builder = new ChunkBuilder(tokenizer, commaPaddingBacktrack);

  for (const part of parts) {
    if (isBreak(part)) {
      builder.finishChunk();
      continue;
    }
    const tokens = tokenizer.encode(part.text);
    for (let position = 0; position < tokens.length; ) {
      builder.makeRoom(tokens[position] ?? 0);
      const embedding = findEmbedding(tokens, position);
      if (embedding) builder.addEmbedding(embedding.name, embedding.vectors, part.weight);
      else builder.addToken(tokens[position] ?? 0, part.weight);
      position += embedding ? embedding.tokens.length : 1;
    }
  }
  return builder.finish();
}

/**
 * A prompt's one chunk as A1111's first versions made it: no attention is parsed, tokens with brackets are taken out and
 * change the weight of all that follow, and what is more than 75 tokens is cut off.
 */
function chunkByBrackets(
  prompt: string,
  tokenizer: ClipTokenizer,
  { emphasis = 'Original', findEmbedding = () => null }: ChunkOptions,
): ChunkedPrompt {
  const open: OpenChunk = { tokens: [], multipliers: [], embeddings: [] };
  const tokens = tokenizer.encode(prompt);
  let weight = 1;
  for (let position = 0; position < tokens.length; ) {
    const token = tokens[position] ?? 0;
    const embedding = findEmbedding(tokens, position);
    const factor = emphasis === 'None' ? undefined : tokenizer.bracketFactors.get(token);
    if (factor !== undefined) weight *= factor;
    else if (embedding) {
      open.embeddings.push({ offset: open.tokens.length, name: embedding.name });
      for (let i = 0; i < embedding.vectors; i++) open.tokens.push(0);
    } else open.tokens.push(token);
    while (open.multipliers.length < open.tokens.length) open.multipliers.push(weight);
    position += factor === undefined && embedding ? embedding.tokens.length : 1;
  }
  const tokenCount = open.tokens.length;
  open.tokens.length = Math.min(CHUNK_LENGTH, tokenCount);
  open.multipliers.length = open.tokens.length;
  const embeddings = open.embeddings.filter(({ offset }) => offset < CHUNK_LENGTH);
  return { chunks: [frame({ ...open, embeddings }, tokenizer)], tokenCount };
}

/** A chunk without text, with which a prompt of fewer chunks is filled up. */
export function emptyChunk(tokenizer: ClipTokenizer): PromptChunk {
  return frame({ tokens: [], multipliers: [], embeddings: [] }, tokenizer);
}

/**
 * The ids that the network is given: behind the first end id comes the padding id, where the two differ
 * (SD 2.x, SDXL's second encoder).
 */
export function networkTokens(
  chunk: Pick<PromptChunk, 'tokens'>,
  { eosId, padId }: Pick<ClipTokenizer, 'eosId' | 'padId'>,
): number[] {
  const end = chunk.tokens.indexOf(eosId);
  if (eosId === padId || end < 0) return [...chunk.tokens];
  return chunk.tokens.map((id, place) => (place > end ? padId : id));
}

interface OpenChunk {
  tokens: number[];
  multipliers: number[];
  embeddings: EmbeddingPlace[];
}

function frame(chunk: OpenChunk, { bosId, eosId }: ClipTokenizer): PromptChunk {
  const fill = Math.max(0, CHUNK_LENGTH - chunk.tokens.length);
  return {
    tokens: [bosId, ...chunk.tokens, ...new Array<number>(fill).fill(eosId), eosId],
    multipliers: [1, ...chunk.multipliers, ...new Array<number>(fill).fill(1), 1],
    embeddings: chunk.embeddings,
  };
}

class ChunkBuilder {
  readonly #tokenizer: ClipTokenizer;
  readonly #backtrack: number;
  readonly #chunks: PromptChunk[] = [];
  #open: OpenChunk = { tokens: [], multipliers: [], embeddings: [] };
  #tokenCount = 0;
  /** Place of the open chunk's last comma, -1 for none. */
  #lastComma = -1;

  constructor(tokenizer: ClipTokenizer, backtrack: number) {
    this.#tokenizer = tokenizer;
    this.#backtrack = backtrack;
  }

  /** Before every id: notes a comma, or moves what follows the last one out of a full chunk; ends a full chunk. */
  makeRoom(token: number): void {
    const length = this.#open.tokens.length;
    const isFull = length === CHUNK_LENGTH;
    if (token === this.#tokenizer.commaId) {
      this.#lastComma = length;
    } else if (isFull && this.#lastComma >= 0 && length - this.#lastComma <= this.#backtrack) {
      this.#moveBehindComma();
    }
    if (this.#open.tokens.length === CHUNK_LENGTH) this.finishChunk();
  }

  addToken(token: number, weight: number): void {
    this.#open.tokens.push(token);
    this.#open.multipliers.push(weight);
  }

  addEmbedding(name: string, vectors: number, weight: number): void {
    if (this.#open.tokens.length + vectors > CHUNK_LENGTH) this.finishChunk();
    this.#open.embeddings.push({ offset: this.#open.tokens.length, name });
    for (let i = 0; i < vectors; i++) this.addToken(0, weight);
  }

  finishChunk(): void {
    this.#close(CHUNK_LENGTH);
  }

  finish(): ChunkedPrompt {
    if (this.#open.tokens.length > 0 || this.#chunks.length === 0) {
      this.#close(this.#open.tokens.length);
    }
    return { chunks: this.#chunks, tokenCount: this.#tokenCount };
  }

  #close(counted: number): void {
    this.#tokenCount += counted;
    this.#chunks.push(frame(this.#open, this.#tokenizer));
    this.#open = { tokens: [], multipliers: [], embeddings: [] };
    this.#lastComma = -1;
  }

  // An embedding that moves leaves its vectors behind in the old chunk, as in A1111.
  #moveBehindComma(): void {
    const start = this.#lastComma + 1;
    const tokens = this.#open.tokens.splice(start);
    const multipliers = this.#open.multipliers.splice(start);
    this.finishChunk();
    this.#open = { tokens, multipliers, embeddings: [] };
  }
}
