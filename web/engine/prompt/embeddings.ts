/** A textual inversion as the prompt sees it: the ids of its name, and how many places it takes. */
export interface PromptEmbedding {
  readonly name: string;
  /** Ids of the name by the same tokenizer, without framing ids. */
  readonly tokens: readonly number[];
  /** Number of vectors. */
  readonly vectors: number;
}

/** Where an embedding's vectors stand in a chunk. */
export interface EmbeddingPlace {
  /** Place of the first vector, counted behind the chunk's start id. */
  readonly offset: number;
  readonly name: string;
}

/** Finds the embedding whose name begins at a place of a token list, the longest name first. */
export type FindEmbedding = (tokens: readonly number[], position: number) => PromptEmbedding | null;

/** Names match anywhere in the ids, also inside longer words; of equal names the first given wins. */
export function createEmbeddingFinder(embeddings: readonly PromptEmbedding[]): FindEmbedding {
  const byFirstToken = new Map<number, PromptEmbedding[]>();
  for (const embedding of embeddings) {
    const first = embedding.tokens[0];
    if (first === undefined) continue;
    const known = byFirstToken.get(first);
    if (known) known.push(embedding);
    else byFirstToken.set(first, [embedding]);
  }
  for (const list of byFirstToken.values()) list.sort((a, b) => b.tokens.length - a.tokens.length);

  return (tokens, position) => {
    const candidates = byFirstToken.get(tokens[position] ?? -1);
    const matches = ({ tokens: name }: PromptEmbedding): boolean =>
      name.every((id, index) => tokens[position + index] === id);
    return candidates?.find(matches) ?? null;
  };
}

/**
 * Puts embeddings' vectors over a chunk's token embeddings, in place.
 *
 * `rows` is [tokens, width]; `vectors` gives an embedding's [count, width] by name. Vectors that do not fit
 * before the chunk's end are dropped, and an embedding whose vectors are unknown leaves its places as they are.
 */
export function placeEmbeddings(
  rows: Float32Array,
  width: number,
  places: readonly EmbeddingPlace[],
  vectors: (name: string) => Float32Array | null,
): void {
  const tokens = rows.length / width;
  for (const { offset, name } of places) {
    const values = vectors(name);
    if (!values) continue;
    const count = Math.max(0, Math.min(tokens - offset - 1, values.length / width));
    rows.set(values.subarray(0, count * width), (offset + 1) * width);
  }
}
