import { invalidModel } from '../errors.ts';
import { isObject } from '../json-file.ts';
import type { TextEncoderDescription } from '../model.ts';
import type { ModelFolder } from './folder.ts';

export type TokenizerDescription = Pick<
  TextEncoderDescription,
  'bosId' | 'eosId' | 'padId' | 'tokenizer'
>;

const MAX_FILE_BYTES = 16 * 1024 * 1024;
const CLIP_VOCABULARY = 49408;
/** The special tokens of CLIP's own vocabulary. `!` is what Stable Diffusion 2 pads with. */
const CLIP_IDS: Readonly<Record<string, number>> = {
  '<|startoftext|>': 49406,
  '<|endoftext|>': 49407,
  '!': 0,
};
const BEGIN = '<|startoftext|>';
const END = '<|endoftext|>';

/**
 * Reads a CLIP tokenizer: `vocab.json` and `merges.txt`, and which tokens begin, end and pad a text.
 * Without the two files the vocabulary is CLIP's, where the text encoder has its size.
 */
export async function readTokenizer(
  folder: ModelFolder,
  directory: string,
  vocabSize: number,
): Promise<TokenizerDescription> {
  const vocabPath = `${directory}/vocab.json`;
  const vocab = await folder.jsonIfPresent(vocabPath, MAX_FILE_BYTES);
  const merges = await folder.textIfPresent(`${directory}/merges.txt`, MAX_FILE_BYTES);
  const special = {
    ...(await folder.jsonIfPresent(`${directory}/tokenizer_config.json`)),
    ...(await folder.jsonIfPresent(`${directory}/special_tokens_map.json`)),
  };
  if (vocab === undefined || merges === undefined) {
    if (vocabSize !== CLIP_VOCABULARY) {
      const missing = vocab === undefined ? 'vocab.json' : 'merges.txt';
      throw invalidModel(
        `${folder.name}/${directory}/${missing}`,
        `is missing. Only a text encoder with CLIP's ${CLIP_VOCABULARY} tokens does without; this one has ${vocabSize}.`,
      );
    }
    return { ...specialIds(directory, special, CLIP_IDS), tokenizer: null };
  }
  const ids = checkVocabulary(vocabPath, vocab, vocabSize);
  const lines = merges.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#version'));
  return { ...specialIds(directory, special, ids), tokenizer: { vocab: ids, merges: lines } };
}

function checkVocabulary(
  path: string,
  vocab: Readonly<Record<string, unknown>>,
  vocabSize: number,
): Readonly<Record<string, number>> {
  for (const [token, id] of Object.entries(vocab)) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw invalidModel(
        path,
        `gives the token ${JSON.stringify(token)} the id ${JSON.stringify(id)}; the text encoder has ${vocabSize}.`,
      );
    }
  }
  return vocab as Readonly<Record<string, number>>;
}

function specialIds(
  directory: string,
  special: Readonly<Record<string, unknown>>,
  vocab: Readonly<Record<string, number>>,
): Pick<TokenizerDescription, 'bosId' | 'eosId' | 'padId'> {
  const id = (field: string, fallback: string): number => {
    const token = tokenText(special[field]) ?? fallback;
    const found = Object.hasOwn(vocab, token) ? vocab[token] : undefined;
    if (found === undefined) {
      throw invalidModel(directory, `the ${field} ${JSON.stringify(token)} is not in vocab.json.`);
    }
    return found;
  };
  return {
    bosId: id('bos_token', BEGIN),
    eosId: id('eos_token', END),
    padId: id('pad_token', END),
  };
}

/** A special token is written as text, or as an object with its `content`. */
function tokenText(value: unknown): string | undefined {
  const text = isObject(value) ? value.content : value;
  return typeof text === 'string' ? text : undefined;
}
