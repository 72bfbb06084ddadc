import { describe, expect, test } from 'vitest';
import { clip, clipVocabulary, openClip, readText, readVectors } from './vectors.ts';

const chunks = readVectors<{ tokens: { text: string; clip: number[]; open_clip?: number[] }[] }>(
  'chunks',
);
interface TokenFixtures {
  strings: { text: string; ids: number[]; openai_ids?: number[] }[];
  padded: { text: string; pad_id: number; ids: number[]; openclip_ids?: number[] }[];
}
const fixtures: TokenFixtures = JSON.parse(
  readText('test/fixtures/models/clip-tokenizer/tokens.json'),
);

describe('vocabulary', () => {
  test('is CLIP’s 49,408 entries', () => {
    expect(Object.keys(clipVocabulary.vocab)).toHaveLength(49_408);
    expect(clipVocabulary).toMatchObject({ bosId: 49_406, eosId: 49_407 });
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
