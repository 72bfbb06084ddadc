import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { openTextualInversion } from '../../web/compiler/embedding.ts';
import type { ModelFiles } from '../../web/compiler/model.ts';
import { folderFiles, MODELS, memorySource } from './lib/files.ts';
import { fixtureFiles } from './lib/parts.ts';
import { type References, readReferences } from './lib/references.ts';
import { component, f32, i32, MemorySink, maxDifference, runComponent } from './lib/runtime.ts';
import { writeSafetensors } from './lib/safetensors-bytes.ts';

const TOKENS = 77;

async function prepare(model: string, embedding: string) {
  const checkpoint = await openCheckpoint(await folderFiles(join(MODELS, model)));
  const sink = new MemorySink();
  const components = ['text_encoder', 'text_encoder_2'] as const;
  const compiled = await compileCheckpoint(checkpoint, { precision: 'fp32', sink, components });
  const { description } = checkpoint;
  const files = await fixtureFiles(`embeddings/${embedding}.safetensors`);
  const inversion = await openTextualInversion(files, description);
  const encode = (index: number, references: References, ids: string, pooled = false) => {
    const { component: name, hiddenSize, states } = description.textEncoders[index]!;
    const positions = references.tensor('positions').data;
    expect(positions).toHaveLength(inversion.vectors);
    const overrides = new Float32Array(TOKENS * hiddenSize);
    const mask = new Float32Array(TOKENS);
    for (const [row, at] of positions.entries()) {
      const values = inversion.values[index]!;
      overrides.set(values.subarray(row * hiddenSize, (row + 1) * hiddenSize), at * hiddenSize);
      mask[at] = 1;
    }
    return runComponent(
      component(compiled, name),
      sink,
      { batch: 1, tokens: TOKENS, latentHeight: 1, latentWidth: 1 },
      {
        input_ids: i32(references.tensor(ids).data, [1, TOKENS]),
        overrides: f32(overrides, [1, TOKENS, hiddenSize]),
        override_mask: f32(mask, [1, TOKENS, 1]),
      },
      { clipSkip: states.clipSkip, finalNorm: states.finalNorm, pooled, overrides: true },
    );
  };
  return { encode, description };
}

function expectClose(found: ArrayLike<number>, references: References, name: string): void {
  const difference = maxDifference(found, references.tensor(name).data);
  expect(difference).toBeLessThanOrEqual(references.tolerance(name));
}

test('sd15-ti: vectors take the places of a word', async () => {
  const references = await readReferences('embedding-sd15-ti');
  const { encode } = await prepare('sd15-tiny', 'sd15-ti');
  const found = await encode(0, references, 'ids', true);
  expectClose(found.hidden_states!.data, references, 'last_hidden_state');
  expectClose(found.pooled!.data, references, 'pooled');
});

test('sdxl-ti: each encoder has its own vectors', async () => {
  const references = await readReferences('embedding-sdxl-ti');
  const { encode, description } = await prepare('sdxl-tiny', 'sdxl-ti');
  const [first, second] = [
    await encode(0, references, 'ids'),
    await encode(1, references, 'ids_2'),
  ];
  const [left, right] = description.textEncoders.map(({ hiddenSize }) => hiddenSize);
  const joined = Array.from({ length: TOKENS }, (_, token) => [
    ...first.hidden_states!.data.subarray(token * left!, (token + 1) * left!),
    ...second.hidden_states!.data.subarray(token * right!, (token + 1) * right!),
  ]).flat();
  expectClose(joined, references, 'context');
  expectClose(second.text_embeds!.data, references, 'text_embeds');
});

const file = (tensors: Record<string, number[]>): ModelFiles => {
  const entries = Object.entries(tensors).map(([name, shape]) => {
    const bytes = new Uint8Array(4 * shape.reduce((a, b) => a * b, 1));
    return [name, { dtype: 'F32' as const, shape, bytes }] as const;
  });
  const bytes = writeSafetensors(Object.fromEntries(entries));
  return { name: 'ti', files: [memorySource('ti.safetensors', bytes)] };
};

test.each([
  ['sd15-tiny', { emb_params: [2, 48] }, /"emb_params" has the shape \[2, 48\].* 32 wide/],
  ['sd15-tiny', { emb_params: [76, 32] }, /76 vectors; 1 to 75/],
  ['sd15-tiny', { clip_l: [2, 16], clip_g: [2, 24] }, /no tensor "emb_params"/],
  ['sdxl-tiny', { emb_params: [2, 16] }, /no tensor "clip_l".*SDXL/],
  [
    'sdxl-tiny',
    { clip_l: [2, 16], clip_g: [3, 24] },
    /2 vectors for the first .* 3 for the second/,
  ],
])('%s refuses %o', async (model, tensors, message) => {
  const checkpoint = await openCheckpoint(await folderFiles(join(MODELS, model)));
  const opening = openTextualInversion(
    file(tensors as Record<string, number[]>),
    checkpoint.description,
  );
  await expect(opening).rejects.toThrow(message);
});
