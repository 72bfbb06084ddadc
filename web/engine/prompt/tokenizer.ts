import { SPACE, strip } from '../../../protocol/python-text.ts';
import { bytePieces, createByteEncoder } from './byte-pair.ts';
import { cleanText, unescapeHtml } from './clean-text.ts';

/** What a text encoder reads: vocabulary, merges and the ids that frame a chunk. */
export interface ClipTokenizerOptions {
  /** Symbol to id; a word's last symbol ends in `</w>`. */
  readonly vocab: Readonly<Record<string, number>>;
  /** Pairs as in `merges.txt`, two symbols with a blank between, the first rank first. */
  readonly merges: readonly string[];
  readonly bosId: number;
  readonly eosId: number;
  /** What fills a chunk behind the first `eosId` when the network is called. */
  readonly padId: number;
  /** `open-clip` also decodes HTML entities, and has other names for the special tokens. */
  readonly flavor?: 'clip' | 'open-clip';
}

/** CLIP's byte-level BPE tokenizer; one per text encoder, kept for its cache. */
export interface ClipTokenizer {
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  /** Id of the token `,</w>`, at which chunks like to end; null where the vocabulary has none. */
  readonly commaId: number | null;
  /**
   * What brackets in a token's text do to the weights from there on, in A1111's first way of weighing: 1.1 for each that
   * begins an emphasis or ends its opposite, 1/1.1 for the others. Tokens that leave weights as they are are not in it.
   */
  readonly bracketFactors: ReadonlyMap<number, number>;
  /** Ids of a text without the framing ids; any string has ids. */
  encode(text: string): number[];
}

const SPECIAL_NAMES = {
  clip: ['<|startoftext|>', '<|endoftext|>'],
  'open-clip': ['<start_of_text>', '<end_of_text>'],
} as const;

// The original patterns disregard case: 'ſ is an 's, and U+0345, a mark whose capital is a letter, fits nowhere and is lost.
const WORDS = `'s|'ſ|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|[^${SPACE}\\p{L}\\p{N}\\u0345]+`;
const BLANKS = new RegExp(`[${SPACE}]+`, 'gu');

/**
 * A tokenizer over any CLIP-style vocabulary: cleaning as A1111 has it (see `cleanText`), lower case, words, and
 * byte-pair merges. Symbols that the vocabulary lacks become `eosId`, CLIP's unknown token.
 */
export function createClipTokenizer(options: ClipTokenizerOptions): ClipTokenizer {
  const { vocab, bosId, eosId, padId, flavor = 'clip' } = options;
  const [startName, endName] = SPECIAL_NAMES[flavor];
  const special = new Map<string, number>([
    [startName, bosId],
    [endName, eosId],
  ]);
  const words = new RegExp(
    `${startName}|${endName}|${WORDS}`.replaceAll('<|', '<\\|').replaceAll('|>', '\\|>'),
    'gu',
  );
  const encodeWord = createByteEncoder({ vocab, merges: options.merges, unknownId: eosId });

  function encodeClean(text: string, ids: number[]): void {
    for (const [word] of strip(text.replace(BLANKS, ' ')).toLowerCase().matchAll(words)) {
      const id = special.get(word);
      if (id === undefined) for (const piece of encodeWord(word)) ids.push(piece);
      else ids.push(id);
    }
  }

  function encode(text: string): number[] {
    const ids: number[] = [];
    if (flavor === 'open-clip') {
      encodeClean(unescapeHtml(unescapeHtml(cleanText(text))), ids);
      return ids;
    }
    // transformers cuts its special tokens out of the raw text first, in their exact spelling.
    for (const part of text.split(/(<\|startoftext\|>|<\|endoftext\|>)/)) {
      const id = special.get(part);
      if (id === undefined) encodeClean(cleanText(part), ids);
      else ids.push(id);
    }
    return ids;
  }

  return {
    ...{ bosId, eosId, padId, commaId: ownEntry(vocab, ',</w>'), encode },
    bracketFactors: bracketFactorsOf(vocab),
  };
}

function bracketFactorsOf(vocab: Readonly<Record<string, number>>): ReadonlyMap<number, number> {
  const factors = new Map<number, number>();
  for (const [symbol, id] of Object.entries(vocab)) {
    let factor = 1;
    for (const bracket of symbol.match(/[()[\]]/g) ?? []) {
      if (bracket === '(' || bracket === ']') factor *= 1.1;
      else factor /= 1.1;
    }
    if (factor !== 1) factors.set(id, factor);
  }
  return factors;
}

function ownEntry(vocab: Readonly<Record<string, number>>, symbol: string): number | null {
  return Object.hasOwn(vocab, symbol) ? (vocab[symbol] ?? null) : null;
}

/** CLIP's own vocabulary: what `loadClipVocabulary` builds of the published merges. */
export interface ClipVocabulary {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly string[];
  readonly bosId: number;
  readonly eosId: number;
}

/**
 * The vocabulary that belongs to a `merges.txt`: the 256 byte symbols, the same with `</w>`, the merges in order,
 * and the two special tokens. CLIP's own file, which the page carries, gives 49,408 entries.
 */
export function loadClipVocabulary(mergesText: string): ClipVocabulary {
  const merges = mergesText
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line, index) => line !== '' && !(index === 0 && line.startsWith('#version')));
  const symbols = [
    ...bytePieces(),
    ...bytePieces().map((symbol) => `${symbol}</w>`),
    ...merges.map((pair) => pair.replace(' ', '')),
    ...SPECIAL_NAMES.clip,
  ];
  const vocab: Record<string, number> = Object.create(null);
  for (const [id, symbol] of symbols.entries()) vocab[symbol] = id;
  return { vocab, merges, bosId: symbols.length - 2, eosId: symbols.length - 1 };
}
