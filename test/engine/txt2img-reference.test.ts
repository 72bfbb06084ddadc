import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { readSafetensorsHeader } from '../../web/compiler/safetensors.ts';
import { type CheckpointModel, createCheckpointModel } from '../../web/engine/checkpoint-model.ts';
import type { TextContext } from '../../web/engine/diffusion-model.ts';
import { createGuidedModel } from '../../web/engine/guidance.ts';
import { createMemoryStore } from '../../web/engine/models/key-value-store.ts';
import { createModelStore } from '../../web/engine/models/model-store.ts';
import { createClipTokenizer, loadClipVocabulary } from '../../web/engine/prompt/tokenizer.ts';
import { sigmaCoefficients } from '../../web/engine/sampling/denoiser.ts';
import { createNoiseSchedule } from '../../web/engine/sampling/noise-schedule.ts';
import { runSigmaSampler } from '../../web/engine/sampling/samplers/run-sampler.ts';
import { nodeRuntime } from '../fakes/engine-access.ts';
import { fileSource, folderFiles } from '../fakes/file-source.ts';

/** From prompt to picture with real (tiny) checkpoints, held against diffusers' own pipelines. */

const FIXTURES = fileURLToPath(new URL('../fixtures/models/', import.meta.url));
const PROMPT = 'a photograph of an astronaut riding a horse, highly detailed';
const NEGATIVE_PROMPT = 'blurry, low quality';
const REFERENCES = JSON.parse(readFileSync(`${FIXTURES}references.json`, 'utf8')).files as Record<
  string,
  { tensors: Record<string, { tolerance_fp32_max_abs: number }> }
>;

async function loadModel(name: string): Promise<CheckpointModel> {
  const store = createModelStore(createMemoryStore());
  const checkpoint = await openCheckpoint(folderFiles(`${FIXTURES}${name}`, name));
  const writer = store.write('key');
  const compiled = await compileCheckpoint(checkpoint, { precision: 'fp32', sink: writer.sink });
  const manifest = await writer.finish(compiled, { name, sha256: '' });
  const merges = readFileSync(new URL('../../public/clip/merges.txt', import.meta.url), 'utf8');
  return createCheckpointModel({
    runtime: nodeRuntime(),
    compiled: manifest.model,
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

/** The tensors that diffusers made, and a comparison with them. */
async function openReference(name: string) {
  const source = fileSource(`${FIXTURES}references/${name}.safetensors`, name);
  const { tensors } = await readSafetensorsHeader(source);
  const read = async (tensor: string) => {
    const { offset, sizeBytes } = tensors.get(tensor)!;
    const bytes = await source.read(offset, sizeBytes);
    return new Float32Array(bytes.buffer as ArrayBuffer);
  };
  return {
    read,
    async expectClose(values: Float32Array, tensor: string): Promise<void> {
      const expected = await read(tensor);
      expect(values).toHaveLength(expected.length);
      const off = values.reduce((max, v, i) => Math.max(max, Math.abs(v - expected[i]!)), 0);
      expect(off).toBeLessThanOrEqual(REFERENCES[name]!.tensors[tensor]!.tolerance_fp32_max_abs);
    },
  };
}

async function encode(model: CheckpointModel): Promise<{ cond: TextContext; uncond: TextContext }> {
  const { groups, firstPass } = model.planPrompts({
    prompts: [PROMPT],
    negativePrompts: [NEGATIVE_PROMPT],
    steps: 8,
  });
  const encoded: (readonly TextContext[])[] = [];
  for (const group of groups) encoded.push(await model.encodeTexts(group, 1));
  const cond = firstPass.condAt(0)[0]![0]!;
  const uncond = firstPass.uncondAt(0)[0]!;
  return {
    cond: encoded[cond.group]![cond.row]!,
    uncond: encoded[uncond.group]![uncond.row]!,
  };
}

describe.each([
  { name: 'sd15-tiny', guidanceScale: 7, spacings: ['leading', 'linspace'] },
  { name: 'sd2-tiny', guidanceScale: 5, spacings: ['leading'] },
  { name: 'sdxl-tiny', guidanceScale: 5, spacings: ['leading'] },
])('$name gives what diffusers gives', ({ name, guidanceScale, spacings }) => {
  const loading = loadModel(name);
  const opening = openReference(`${name}-txt2img`);

  test('text contexts', async () => {
    const reference = await opening;
    const { cond, uncond } = await encode(await loading);
    await reference.expectClose(cond.values, 'cond');
    await reference.expectClose(uncond.values, 'uncond');
    if (name !== 'sdxl-tiny') return expect(cond.textEmbeds).toBeNull();
    await reference.expectClose(cond.textEmbeds!, 'cond_pooled');
    await reference.expectClose(uncond.textEmbeds!, 'uncond_pooled');
  });

  test.each(spacings)('latents and picture with %s timesteps', async (spacing) => {
    const model = await loading;
    const reference = await opening;
    const { cond, uncond } = await encode(model);
    const sigmas = [...(await reference.read(`${spacing}.sigmas`))];
    const noise = await reference.read('noise');
    const request = {
      ...{ pictures: 1, channels: 4, height: 16, width: 16 },
      ...{ contexts: [cond, uncond], guidanceScale },
    };
    const { description } = model;
    await model.withLatents(request, async (space) => {
      const { math } = space;
      // diffusers starts "leading" schedules at sqrt(sigma^2 + 1).
      const start = spacing === 'leading' ? Math.sqrt(sigmas[0]! ** 2 + 1) : sigmas[0]!;
      const steps: number[] = [];
      const predict = createGuidedModel({
        space,
        coefficientsAt: sigmaCoefficients(
          description.predictionType,
          createNoiseSchedule(description),
        ),
        conditioning: {
          condAt: () => [[{ group: 0, row: 0, weight: 1 }]],
          uncondAt: () => [{ group: 1, row: 0 }],
        },
        contextOf: ({ group }) => (group === 0 ? cond : uncond),
        guidanceScale,
        skipping: {},
        totalCalls: 20,
      });
      const latents = await runSigmaSampler(
        'Euler',
        math.fromArray(noise.map((value) => value * start)),
        sigmas,
        {
          math,
          noise: () => new Float32Array(noise.length),
          async onStep({ step, x }) {
            // Told before the step is made: from the second on it is what the step before left.
            if (step > 0) steps.push(...(await math.toArray(x)));
          },
          denoiser: async (x, sigma) => (await predict(x, sigma)).guided,
        },
      );
      const last = await math.toArray(latents);
      await reference.expectClose(Float32Array.from([...steps, ...last]), `${spacing}.steps`);
      await reference.expectClose(last, `${spacing}.latents`);
      await reference.expectClose(await space.decode(latents, 0), `${spacing}.image`);
    });
  });
});
