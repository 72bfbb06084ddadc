import { describe, expect, test } from 'vitest';
import { chunkPrompt, networkTokens } from '../../../web/engine/prompt/chunks.ts';
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

describe('padded to 77', () => {
  test.each(fixtures.padded)('with $pad_id: $text', ({ text, pad_id, ids, openclip_ids = ids }) => {
    const framed = [clip.bosId, ...clip.encode(text).slice(0, 75), clip.eosId];
    const padding = new Array<number>(77 - framed.length).fill(pad_id);
    expect([...framed, ...padding]).toEqual(openclip_ids);

    // A chunk is the same, except where the text names the end itself: A1111 pads behind the first end id.
    if (text.includes('<|endoftext|>')) return;
    const tokenizer = pad_id === 0 ? openClip : clip;
    const { chunks } = chunkPrompt(text, tokenizer, { emphasis: 'None', commaPaddingBacktrack: 0 });
    expect(networkTokens(chunks[0]!, tokenizer)).toEqual(openclip_ids);
  });
});
