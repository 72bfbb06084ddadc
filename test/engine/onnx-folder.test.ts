import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { ModelFiles } from '../../web/compiler/model.ts';
import { type CheckpointModel, createCheckpointModel } from '../../web/engine/checkpoint-model.ts';
import type { TextContext } from '../../web/engine/diffusion-model.ts';
import { createMemoryStore } from '../../web/engine/models/key-value-store.ts';
import { createModelStore } from '../../web/engine/models/model-store.ts';
import { createClipTokenizer, loadClipVocabulary } from '../../web/engine/prompt/tokenizer.ts';
import { type OnnxFolderOptions, onnxFolder, toModel } from '../compiler/lib/onnx-folder.ts';
import { nodeRuntime } from '../fakes/engine-access.ts';
import { folderFiles } from '../fakes/file-source.ts';

/** A ready-made graph makes what our own graph of the same weights makes, through the same calls. */

const FIXTURES = fileURLToPath(new URL('../fixtures/models/', import.meta.url));
const SIZE = { channels: 4, height: 16, width: 16 };

async function load(files: ModelFiles): Promise<CheckpointModel> {
  const store = createModelStore(createMemoryStore(), { chunkBytes: 100_000 });
  const checkpoint = await openCheckpoint(files);
  const writer = store.write('key');
  const compiled = await compileCheckpoint(checkpoint, {
    ...{ precision: 'fp32', sink: writer.sink, maxShardBytes: 1_000_000 },
  });
  const manifest = await writer.finish(compiled, { name: files.name, sha256: '' });
  const merges = readFileSync(new URL('../../public/clip/merges.txt', import.meta.url), 'utf8');
  return createCheckpointModel({
    runtime: nodeRuntime(),
    compiled: (await store.read('key'))!.model,
    shardsOf: (component) => store.shards(manifest, component),
    tokenizers: compiled.description.textEncoders.map(({ bosId, eosId, padId, tokenizer }) =>
      createClipTokenizer({
        ...(tokenizer ?? loadClipVocabulary(merges)),
        ...{ bosId, eosId, padId },
      }),
    ),
    budgetBytes: 2 ** 30,
  });
}

const own = (name: string) => load(folderFiles(`${FIXTURES}${name}`, name));
const exported = async (name: 'sd15-tiny' | 'sdxl-tiny', options: OnnxFolderOptions = {}) =>
  load(toModel(await onnxFolder(name, options)));

async function encode(model: CheckpointModel, prompts: string[], clipSkip = 1) {
  const { groups } = model.planPrompts({ prompts, negativePrompts: prompts, steps: 1 });
  return model.encodeTexts(groups[0]!, clipSkip);
}

/** The UNet's answer for two texts at a time between two steps, and the decoded picture. */
async function answer(model: CheckpointModel, contexts: readonly TextContext[], pictures: number) {
  const noise = Float32Array.from({ length: pictures * 1024 }, (_, i) => Math.sin(i * 12.9898) * 2);
  const request = { pictures, ...SIZE, contexts, guidanceScale: 7 };
  return model.withLatents(request, async (space) => {
    const x = space.math.fromArray(noise);
    const mixes = [
      [1, 0.5, -2],
      [0, 1, 0],
    ];
    const call = { inputScale: 0.3, timestep: 412.75, contexts, mixes };
    const results = await space.predict(x, call);
    const latents = await Promise.all(results.map((result) => space.math.toArray(result)));
    const picture = await space.decode(results[0]!, pictures - 1);
    return { latents, picture };
  });
}

function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let [largest, scale] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
    scale = Math.max(scale, Math.abs(b[i]!));
  }
  return largest / scale;
}

async function expectSame(ready: CheckpointModel, name: string, pictures: number, most: number) {
  const reference = await own(name);
  const contexts = await encode(reference, ['a (red:1.4) cat'], 1);
  const uncond = await encode(reference, ['blurry'], 1);
  const readyContexts = await encode(ready, ['a (red:1.4) cat'], 1);
  const readyUncond = await encode(ready, ['blurry'], 1);
  expect(difference(readyContexts[0]!.values, contexts[0]!.values)).toBeLessThan(most);
  const expected = await answer(reference, [contexts[0]!, uncond[0]!], pictures);
  const found = await answer(ready, [readyContexts[0]!, readyUncond[0]!], pictures);
  for (const [index, latents] of found.latents.entries()) {
    expect(difference(latents, expected.latents[index]!)).toBeLessThan(most);
  }
  expect(difference(found.picture, expected.picture)).toBeLessThan(most);
}

describe('a ready-made ONNX folder', () => {
  test.each(['sd15-tiny', 'sdxl-tiny'] as const)(
    'of %s makes what our compile makes',
    async (name) => {
      await expectSame(await exported(name, { dataFiles: 3 }), name, 2, 1e-5);
    },
  );

  test('in half precision for one picture of one size makes it picture by picture', async () => {
    const ready = await exported('sd15-tiny', { variants: { unet: 'fixed-half-unet' } });
    await expectSame(ready, 'sd15-tiny', 2, 1e-2);
    expect(ready.description.nativeResolution).toBe(128);
  });

  test('of a fixed size refuses another by its own and texts that are too long', async () => {
    const ready = await exported('sd15-tiny', { variants: { unet: 'fixed-half-unet' } });
    const [context] = await encode(ready, ['a cat']);
    const request = { pictures: 1, channels: 4, height: 24, width: 16 };
    const call = { inputScale: 1, timestep: 1, contexts: [context!], mixes: [[1, 1]] };
    const run = (texts: readonly TextContext[], height: number) =>
      ready.withLatents({ ...request, height, contexts: texts, guidanceScale: 1 }, (space) =>
        space.predict(space.math.fromArray(new Float32Array(4 * height * 16)), {
          ...call,
          contexts: texts,
        }),
      );
    await expect(run([context!], 24)).rejects.toThrow(
      /exported for 128×128 pixels alone, not for 128×192/,
    );
    const [long] = await encode(ready, ['many words '.repeat(60)]);
    await expect(run([long!], 16)).rejects.toThrow(
      /exported for texts of 77 tokens alone, not of 154/,
    );
  });
});
