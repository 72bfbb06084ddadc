import { expect, test } from 'vitest';
import type { ModelListing } from '../../../protocol/catalog.ts';
import { chooseLoras } from '../../../web/engine/models/lora-choice.ts';

const lora = (name: string): ModelListing => ({
  ...{ kind: 'lora', name, source: 'bridge', filename: `/${name}`, url: `loras/${name}/` },
  ...{ files: [], version: 'v1' },
});
const choose = (prompt: string) =>
  chooseLoras(prompt, [lora('one'), lora('Two')], async () => null);

test('a LoRA named twice counts with the sum of its strengths, in any case', async () => {
  const { loras, missing } = await choose(
    '<lora:one:0.5> x <lora:two:1> <lora:one:0.25:1> <lora:no:1>',
  );
  expect(
    loras.map(({ name, textEncoderStrength, unetStrength }) => [
      name,
      textEncoderStrength,
      unetStrength,
    ]),
  ).toEqual([
    ['one', 0.75, 1.5],
    ['two', 1, 1],
  ]);
  expect(missing).toEqual(['no']);
});

test('a hypernetwork is left out, and said so', async () => {
  const { loras, notes } = await choose('a <hypernet:style:1> cat <lora:one:1>');
  expect(loras).toHaveLength(1);
  expect(notes).toEqual(['Hypernetworks are not supported: "style" was left out.']);
});
