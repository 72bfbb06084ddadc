import { describe, expect, test } from 'vitest';
import {
  type ExtraNetworks,
  parseBatchNetworks,
  parseExtraNetworks,
  readLoraTag,
} from '../../../web/engine/prompt/extra-networks.ts';
import { networkHashes } from '../../../web/engine/prompt/infotext-params.ts';
import { readVectors } from './vectors.ts';

type Networks = Record<
  string,
  { items: string[]; positional: string[]; named: Record<string, string> }[]
>;

const vectors = readVectors<{
  single: { prompt: string; text: string; networks: Networks }[];
  batch: { prompts: string[]; texts: string[]; networks: Networks }[];
  lora_hashes: { networks: [string, string][]; infotext: Record<string, string> };
  lora_weights: {
    tag: string;
    names?: string[];
    te?: number[];
    unet?: number[];
    dyn?: (number | null)[];
    error?: string;
  }[];
}>('extra_networks');

const plain = (networks: ExtraNetworks['networks']): object => Object.fromEntries(networks);

describe('tags', () => {
  test.each(vectors.single)('$prompt', ({ prompt, text, networks }) => {
    const parsed = parseExtraNetworks(prompt);
    expect(parsed.text).toBe(text);
    expect(plain(parsed.networks)).toEqual(networks);
  });

  test.each(vectors.batch)('batch $prompts', ({ prompts, texts, networks }) => {
    const parsed = parseBatchNetworks(prompts);
    expect(parsed.texts).toEqual(texts);
    expect(plain(parsed.networks)).toEqual(networks);
  });
});

describe('LoRA strengths', () => {
  test.each(vectors.lora_weights)('$tag', ({ tag, names, te, unet, dyn, error }) => {
    const [loraTag] = parseExtraNetworks(tag).networks.get('lora') ?? [];
    if (error !== undefined) {
      expect(() => readLoraTag(loraTag!)).toThrow('not a number');
      return;
    }
    expect(readLoraTag(loraTag!)).toEqual({
      name: names?.[0],
      textEncoderStrength: te?.[0],
      unetStrength: unet?.[0],
      dynamicRank: dyn?.[0],
    });
  });
});

test('hashes for the infotext', () => {
  const { networks, infotext } = vectors.lora_hashes;
  const hashes = networkHashes(networks.map(([name, shortHash]) => ({ name, shortHash })));
  expect({ 'Lora hashes': hashes }).toEqual(infotext);
  expect(networkHashes([])).toBeNull();
});
