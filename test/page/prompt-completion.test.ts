import { describe, expect, it } from 'vitest';
import { completePrompt, offerNames } from '../../web/page/prompt-completion.ts';

const NAMES = { loras: ['ink', 'pink-sky', 'Inkwell'], embeddings: ['easynegative', 'bad-hands'] };
const complete = (text: string) => completePrompt(text, text.length, NAMES);

describe('completePrompt', () => {
  it('offers LoRAs from the first letter of the tag on, those that begin with it first', () => {
    expect(complete('a cat <')?.choices).toHaveLength(3);
    expect(complete('a cat <lo')?.start).toBe(6);
    expect(complete('a cat <lora:in')).toEqual({
      start: 6,
      choices: ['<lora:ink:1>', '<lora:Inkwell:1>', '<lora:pink-sky:1>'],
    });
  });

  it('offers textual inversions for two letters of a word', () => {
    expect(complete('b')).toBeNull();
    expect(complete('x, (ba')).toEqual({ start: 4, choices: ['bad-hands'] });
  });

  it('has nothing to say after a finished name or tag', () => {
    expect(complete('easynegative')).toBeNull();
    expect(complete('<lora:ink:1')).toBeNull();
    expect(complete('<lora:zzz')).toBeNull();
    expect(complete('a < b')).toBeNull();
  });
});

describe('offerNames', () => {
  const offer = (text: string) => offerNames(text, text.length, NAMES);

  it('offers every name where nothing is typed yet', () => {
    expect(offer('a cat, ')).toEqual({
      start: 7,
      choices: [
        '<lora:ink:1>',
        '<lora:Inkwell:1>',
        '<lora:pink-sky:1>',
        'bad-hands',
        'easynegative',
      ],
    });
    expect(offerNames('', 0, { loras: [], embeddings: [] })).toBeNull();
  });

  it('goes on with what is typed', () => {
    expect(offer('x, ba')).toEqual({ start: 3, choices: ['bad-hands'] });
  });
});
