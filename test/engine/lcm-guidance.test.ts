import { expect, test } from 'vitest';
import { GENERATION_DEFAULTS } from '../../protocol/generation.ts';
import type { LatentsRequest } from '../../web/engine/diffusion-model.ts';
import { generate } from '../../web/engine/pipeline/generate.ts';
import { createToyModel } from '../fakes/toy-model.ts';

/** A job on the toy network, which takes the guidance scale as an input where `timestepCond` is a width. */
async function run(timestepCond: number | null) {
  const toy = createToyModel();
  const requests: LatentsRequest[] = [];
  await generate({
    params: {
      ...GENERATION_DEFAULTS,
      prompt: 'a',
      width: 16,
      height: 16,
      steps: 2,
      guidanceScale: 7,
    },
    model: {
      ...toy,
      description: {
        ...toy.description,
        unetInputs: { ...toy.description.unetInputs, timestepCond },
      },
      withLatents(request, use) {
        requests.push(request);
        return toy.withLatents(request, use);
      },
    },
    control: { isInterrupted: () => false, isSkipped: () => false, beginBatch() {} },
    decodeImage: () => Promise.reject(new Error('no pictures here')),
    finishImage: async ({ index, pixels: { width, height } }) => ({
      ...{ index, format: 'png', bytes: new Uint8Array(0), infotext: '' },
      ...{ prompt: '', negativePrompt: '', seed: 0, subseed: 0, width, height },
    }),
  });
  return { requests, texts: toy.calls.map((call) => call.texts.length) };
}

test('a UNet that takes the guidance scale is told it, and not guided a second time', async () => {
  const { requests, texts } = await run(256);
  expect(requests.map(({ guidanceScale }) => guidanceScale)).toEqual([7]);
  expect(new Set(texts)).toEqual(new Set([1]));
});

test('any other UNet is asked with and without the prompt', async () => {
  const { texts } = await run(null);
  expect(new Set(texts)).toEqual(new Set([2]));
});
