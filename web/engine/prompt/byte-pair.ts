/** Bytes that stand for themselves as a character: printable ASCII and Latin-1. */
function isPrintableByte(byte: number): boolean {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/** The symbol of each byte 0 to 255 in byte-level BPE: itself where printable, else a character from U+0100 on. */
function byteSymbols(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(isPrintableByte(byte) ? byte : next++),
  );
}

/** The 256 byte symbols in the order of CLIP's vocabulary: the printable bytes first. */
export function bytePieces(): string[] {
  const symbols = byteSymbols();
  const printable = symbols.filter((_, byte) => isPrintableByte(byte));
  return [...printable, ...symbols.filter((_, byte) => !isPrintableByte(byte))];
}

export interface ByteEncoderOptions {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly string[];
  /** Stands for symbols that the vocabulary lacks. */
  readonly unknownId: number;
}

const CACHE_WORDS = 20_000;
const CACHE_WORD_LENGTH = 64;

/**
 * Encodes one word by byte-pair merges: its UTF-8 bytes as symbols, the last with `</w>`, then again and again
 * every occurrence of the pair that comes first in `merges`. Words are cached; time is n log n in the word.
 */
export function createByteEncoder(
  options: ByteEncoderOptions,
): (word: string) => readonly number[] {
  const { vocab, unknownId } = options;
  const ranks = new Map(options.merges.map((pair, rank) => [pair, rank]));
  const symbols = byteSymbols();
  const utf8 = new TextEncoder();
  const cache = new Map<string, readonly number[]>();

  function encodeWord(word: string): readonly number[] {
    const pieces = Array.from(utf8.encode(word), (byte) => symbols[byte] ?? '');
    pieces.push(`${pieces.pop() ?? ''}</w>`);
    return mergePairs(pieces, ranks).map((piece) =>
      Object.hasOwn(vocab, piece) ? (vocab[piece] ?? unknownId) : unknownId,
    );
  }

  return (word) => {
    const known = cache.get(word);
    if (known) return known;
    const ids = encodeWord(word);
    if (word.length <= CACHE_WORD_LENGTH) {
      if (cache.size >= CACHE_WORDS) cache.clear();
      cache.set(word, ids);
    }
    return ids;
  };
}

/**
 * All merges of a word. Pieces are a linked list over the word's places; a heap holds the pairs as
 * rank * places + place. A round takes all pairs of the lowest rank from left to right; pairs that it makes wait
 * for the next round, as in the plain algorithm that scans the whole word each time.
 */
function mergePairs(word: readonly string[], ranks: ReadonlyMap<string, number>): string[] {
  const places = word.length;
  const pieces: (string | null)[] = [...word];
  const next = Array.from(word, (_, place) => place + 1);
  const previous = Array.from(word, (_, place) => place - 1);
  const heap = new MinHeap();

  const rankAt = (place: number): number | undefined => {
    const right = pieces[next[place] ?? places];
    const left = pieces[place];
    return left === null || right === null || right === undefined
      ? undefined
      : ranks.get(`${left} ${right}`);
  };
  const offer = (place: number): void => {
    const rank = place < 0 ? undefined : rankAt(place);
    if (rank !== undefined) heap.push(rank * places + place);
  };
  for (let place = 0; place + 1 < places; place++) offer(place);

  while (heap.size > 0) {
    const rank = Math.floor(heap.peek() / places);
    const merged: number[] = [];
    while (heap.size > 0 && Math.floor(heap.peek() / places) === rank) {
      const place = heap.pop() % places;
      // Stale pairs: one of the two was merged since, in this round or an earlier one.
      if (rankAt(place) !== rank) continue;
      const right = next[place] ?? places;
      const after = next[right] ?? places;
      pieces[place] = `${pieces[place]}${pieces[right]}`;
      pieces[right] = null;
      next[place] = after;
      if (after < places) previous[after] = place;
      merged.push(place);
    }
    for (const place of merged) {
      if (pieces[place] === null) continue;
      offer(previous[place] ?? -1);
      offer(place);
    }
  }
  return pieces.filter((piece): piece is string => piece !== null);
}

/** A binary heap of numbers, the smallest on top. */
class MinHeap {
  readonly #items: number[] = [];

  get size(): number {
    return this.#items.length;
  }

  peek(): number {
    return this.#items[0] ?? Number.POSITIVE_INFINITY;
  }

  push(value: number): void {
    const items = this.#items;
    let at = items.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent] ?? value;
      if (above <= value) break;
      items[at] = above;
      at = parent;
    }
    items[at] = value;
  }

  pop(): number {
    const items = this.#items;
    const top = this.peek();
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && (items[child + 1] ?? 0) < (items[child] ?? 0)) child++;
      const below = items[child] ?? last;
      if (below >= last) break;
      items[at] = below;
      at = child;
    }
    items[at] = last;
    return top;
  }
}
