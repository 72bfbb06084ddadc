import { describe, expect, test } from 'vitest';
import type { ModelDescription, TextEncoderDescription } from '../../web/compiler/model.ts';
import { planConditioning } from '../../web/engine/prompt/plan.ts';
import { createClipTokenizer } from '../../web/engine/prompt/tokenizer.ts';
import { createTextEncoding, type EncodedChunk } from '../../web/engine/text-encoding.ts';
import { embedGuidanceScale } from '../../web/engine/unet-space.ts';
import { createToyModel } from '../fakes/toy-model.ts';

const [BOS, EOS] = [100, 101];
const VOCAB = Object.fromEntries('abcdefgh'.split('').map((letter, id) => [`${letter}</w>`, id]));

function encoder(
  component: TextEncoderDescription['component'],
  hiddenSize: number,
  states: TextEncoderDescription['states'],
): TextEncoderDescription {
  return {
    ...{ component, hiddenSize, states, layers: 4, contextLength: 77, vocabSize: 102 },
    ...{ bosId: BOS, eosId: EOS, padId: EOS, tokenizer: null },
    projectionSize: component === 'text_encoder_2' ? 2 : null,
  };
}

const XL_STATES = { clipSkip: 2, finalNorm: false, followsClipSkip: false };
const SDXL: ModelDescription = {
  ...createToyModel().description,
  family: 'sdxl',
  textEncoders: [encoder('text_encoder', 2, XL_STATES), encoder('text_encoder_2', 3, XL_STATES)],
};
const SD1: ModelDescription = {
  ...createToyModel().description,
  textEncoders: [
    encoder('text_encoder', 2, { clipSkip: 1, finalNorm: true, followsClipSkip: true }),
  ],
};

/** Every state of a token is its id, beside the encoder's number; pooled is the second token's id. */
function recorder() {
  const calls: { component: string; clipSkip: number; finalNorm: boolean }[] = [];
  const run = async (
    { component, hiddenSize, projectionSize }: TextEncoderDescription,
    tokens: readonly number[],
    states: { clipSkip: number; finalNorm: boolean },
  ): Promise<EncodedChunk> => {
    calls.push({ component, ...states });
    const offset = component === 'text_encoder_2' ? 1000 : 0;
    return {
      states: Float32Array.from(
        tokens.flatMap((id) => Array<number>(hiddenSize).fill(id + offset)),
      ),
      textEmbeds: projectionSize === null ? null : Float32Array.of(tokens[1]!, tokens[2]!),
    };
  };
  return { calls, run };
}

function groupsOf(description: ModelDescription, prompt: string, negativePrompt: string) {
  const tokenizer = createClipTokenizer({
    ...{ vocab: VOCAB, merges: [], bosId: BOS, eosId: EOS, padId: EOS },
  });
  const tokenizers = description.textEncoders.map(() => tokenizer);
  const plan = { prompts: [prompt], negativePrompts: [negativePrompt], steps: 4 };
  const [negative, positive] = planConditioning({ ...plan, tokenizers }).groups;
  return { negative: negative!, positive: positive! };
}

describe('two text encoders', () => {
  test('stand beside each other along the channels, chunks after each other along the tokens', async () => {
    const { run, calls } = recorder();
    const prompt = `a b${' c'.repeat(80)}`;
    const { positive } = groupsOf(SDXL, prompt, '');
    const [context] = await createTextEncoding(SDXL, run).encode(positive, 1);
    expect(context!.tokens).toBe(154);
    expect(context!.values).toHaveLength(154 * 5);
    const row = (token: number) => [...context!.values.subarray(token * 5, token * 5 + 5)];
    expect(row(0)).toEqual([BOS, BOS, 1100, 1100, 1100]);
    expect(row(1)).toEqual([0, 0, 1000, 1000, 1000]);
    expect(row(2)).toEqual([1, 1, 1001, 1001, 1001]);
    expect(row(77)).toEqual([BOS, BOS, 1100, 1100, 1100]);
    expect(row(78)).toEqual([2, 2, 1002, 1002, 1002]);
    expect(calls).toHaveLength(4);
  });

  test("the pooled text is the second encoder's for the first chunk", async () => {
    const { run } = recorder();
    const { positive } = groupsOf(SDXL, `a b${' c'.repeat(80)}`, '');
    const [context] = await createTextEncoding(SDXL, run).encode(positive, 1);
    expect([...context!.textEmbeds!]).toEqual([0, 1]);
  });

  test('emphasis weighs the states and leaves the pooled text alone', async () => {
    const { run } = recorder();
    const plain = groupsOf(SDXL, 'b c', '').positive;
    const weighed = groupsOf(SDXL, '(b:2) c', '').positive;
    const [one] = await createTextEncoding(SDXL, run).encode(plain, 1);
    const [two] = await createTextEncoding(SDXL, run).encode(weighed, 1);
    expect([...two!.values]).not.toEqual([...one!.values]);
    expect([...two!.textEmbeds!]).toEqual([...one!.textEmbeds!]);
  });
});

describe('an empty negative prompt', () => {
  test('is all zeros for SDXL, the pooled text too', async () => {
    const { run } = recorder();
    const { negative } = groupsOf(SDXL, 'a', '');
    const [context] = await createTextEncoding(SDXL, run).encode(negative, 1);
    expect(context!.tokens).toBe(77);
    expect(context!.values.every((value) => value === 0)).toBe(true);
    expect([...context!.textEmbeds!]).toEqual([0, 0]);
  });

  test.each([
    ['a negative prompt that says something', SDXL, 'negative', 'a'],
    ['an empty prompt', SDXL, 'positive', ''],
    ['SD 1', SD1, 'negative', ''],
  ] as const)('but not %s', async (_, description, side, text) => {
    const { run } = recorder();
    const [prompt, negative] = side === 'positive' ? [text, 'a'] : ['a', text];
    const group = groupsOf(description, prompt, negative)[side];
    const [context] = await createTextEncoding(description, run).encode(group, 1);
    expect(context!.values.some((value) => value !== 0)).toBe(true);
  });
});

describe('clip skip', () => {
  test('counts for SD 1', async () => {
    const { run, calls } = recorder();
    await createTextEncoding(SD1, run).encode(groupsOf(SD1, 'a', '').positive, 3);
    expect(calls).toEqual([{ component: 'text_encoder', clipSkip: 3, finalNorm: true }]);
  });

  test('changes nothing for SDXL, as in A1111', async () => {
    const { run, calls } = recorder();
    await createTextEncoding(SDXL, run).encode(groupsOf(SDXL, 'a', '').positive, 3);
    const states = { clipSkip: 2, finalNorm: false };
    expect(calls).toEqual([
      { component: 'text_encoder', ...states },
      { component: 'text_encoder_2', ...states },
    ]);
  });
});

describe('the guidance scale as an LCM UNet takes it', () => {
  test('is sines, then cosines, of a thousand times the scale above 1', () => {
    const embedding = embedGuidanceScale(1.002, 4);
    // Angles 2 and 2 / 10000.
    const expected = [Math.sin(2), Math.sin(2e-4), Math.cos(2), Math.cos(2e-4)];
    for (const [i, value] of expected.entries()) expect(embedding[i]).toBeCloseTo(value, 5);
  });

  test('of scale 1 is zeros and ones', () => {
    expect([...embedGuidanceScale(1, 6)]).toEqual([0, 0, 0, 1, 1, 1]);
  });
});
