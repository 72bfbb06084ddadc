import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createClipTokenizer, loadClipVocabulary } from '../../../web/engine/prompt/tokenizer.ts';

const root = new URL('../../../', import.meta.url);
const readText = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const readJson = (path: string) => JSON.parse(readText(path));

const vocabulary = loadClipVocabulary(readText('public/clip/merges.txt'));
const clip = createClipTokenizer({ ...vocabulary, padId: vocabulary.eosId });
const openClip = createClipTokenizer({ ...vocabulary, padId: 0, flavor: 'open-clip' });

const chunks: { tokens: { text: string; clip: number[]; open_clip?: number[] }[] } = readJson(
  'test/fixtures/vectors/chunks.json',
);
interface TokenFixtures {
  strings: { text: string; ids: number[]; openai_ids?: number[] }[];
  padded: { text: string; pad_id: number; ids: number[]; openclip_ids?: number[] }[];
}
const fixtures: TokenFixtures = readJson('test/fixtures/models/clip-tokenizer/tokens.json');

describe('vocabulary', () => {
  test('is CLIP’s 49,408 entries', () => {
    expect(Object.keys(vocabulary.vocab)).toHaveLength(49_408);
    expect(vocabulary).toMatchObject({ bosId: 49_406, eosId: 49_407 });
    expect(clip.commaId).toBe(267);
  });
});

describe('A1111’s tokenizers', () => {
  test.each(chunks.tokens)('clip: $text', ({ text, clip: ids }) => {
    expect(clip.encode(text)).toEqual(ids);
  });
  test.each(chunks.tokens)('open_clip: $text', ({ text, clip: ids, open_clip = ids }) => {
    expect(openClip.encode(text)).toEqual(open_clip);
  });
});

describe('transformers and OpenAI', () => {
  test.each(fixtures.strings)('$text', ({ text, ids, openai_ids = ids }) => {
    expect(clip.encode(text)).toEqual(openai_ids);
  });
});
