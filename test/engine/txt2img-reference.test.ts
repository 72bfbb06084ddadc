import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as ort from 'onnxruntime-web/wasm';
import { beforeAll, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { readSafetensorsHeader } from '../../web/compiler/safetensors.ts';
import { type CheckpointModel, createCheckpointModel } from '../../web/engine/checkpoint-model.ts';
import type { TextContext } from '../../web/engine/diffusion-model.ts';
import { createGuidedDenoiser } from '../../web/engine/guidance.ts';
import { createMemoryStore } from '../../web/engine/models/key-value-store.ts';
import { createModelStore } from '../../web/engine/models/model-store.ts';
import { createClipTokenizer, loadClipVocabulary } from '../../web/engine/prompt/tokenizer.ts';
import { createRuntime } from '../../web/engine/runtime/runtime.ts';
import { sigmaCoefficients } from '../../web/engine/sampling/denoiser.ts';
import { createNoiseSchedule } from '../../web/engine/sampling/noise-schedule.ts';
import { runSigmaSampler } from '../../web/engine/sampling/samplers/run-sampler.ts';
import { fileSource, folderFiles } from '../fakes/file-source.ts';

/** From prompt to picture with a real (tiny) checkpoint, held against diffusers' own pipeline. */

const FIXTURES = fileURLToPath(new URL('../fixtures/models/', import.meta.url));
const PROMPT = 'a photograph of an astronaut riding a horse, highly detailed';
const NEGATIVE_PROMPT = 'blurry, low quality';
const REFERENCE = JSON.parse(readFileSync(`${FIXTURES}references.json`, 'utf8')).files[
  'sd15-tiny-txt2img'
] as { tensors: Record<string, { tolerance_fp32_max_abs: number }> };

let reference: (name: string) => Promise<Float32Array>;
let model: CheckpointModel;

beforeAll(async () => {
  const source = fileSource(`${FIXTURES}references/sd15-tiny-txt2img.safetensors`, 'reference');
  const { tensors } = await readSafetensorsHeader(source);
  reference = async (name) => {
    const { offset, sizeBytes } = tensors.get(name)!;
    const bytes = await source.read(offset, sizeBytes);
    return new Float32Array(bytes.buffer as ArrayBuffer);
  };
  const store = createModelStore(createMemoryStore());
  const checkpoint = await openCheckpoint(folderFiles(`${FIXTURES}sd15-tiny`, 'sd15-tiny'));
  const writer = store.write('key');
  const compiled = await compileCheckpoint(checkpoint, { precision: 'fp32', sink: writer.sink });
  const manifest = await writer.finish(compiled, { name: 'sd15-tiny', sha256: '' });
  const merges = readFileSync(new URL('../../public/clip/merges.txt', import.meta.url), 'utf8');
  ort.env.wasm.numThreads = 1;
  model = createCheckpointModel({
    runtime: createRuntime(ort, WASM_DEVICE, null),
    compiled: manifest.model,
    shardsOf: (component) => store.shards(manifest, component),
    tokenizers: compiled.description.textEncoders.map((encoder) =>
      createClipTokenizer({ ...loadClipVocabulary(merges), ...encoder }),
    ),
    budgetBytes: 2 ** 30,
  });
});

const WASM_DEVICE = {
  provider: 'wasm',
  adapter: 'processor',
  isSoftware: false,
  hasShaderF16: false,
  maxBufferBytes: 2 ** 32,
  maxStorageBindingBytes: 2 ** 32,
  wasmThreads: 1,
  reason: 'a test',
} as const;

async function expectClose(values: Float32Array, name: string): Promise<void> {
  const expected = await reference(name);
  expect(values).toHaveLength(expected.length);
  const off = values.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0);
  expect(off).toBeLessThanOrEqual(REFERENCE.tensors[name]!.tolerance_fp32_max_abs);
}

async function encode(): Promise<{ cond: TextContext; uncond: TextContext }> {
  const { groups, firstPass } = model.planPrompts({
    prompts: [PROMPT],
    negativePrompts: [NEGATIVE_PROMPT],
    steps: 8,
  });
  const encoded = [];
  for (const group of groups) encoded.push(await model.encodeTexts(group, 1));
  const cond = firstPass.condAt(0)[0]![0]!;
  const uncond = firstPass.uncondAt(0)[0]!;
  return {
    cond: encoded[cond.group]![cond.row]!,
    uncond: encoded[uncond.group]![uncond.row]!,
  };
}

describe('a real checkpoint gives what diffusers gives', () => {
  test('text contexts', async () => {
    const { cond, uncond } = await encode();
    await expectClose(cond.values, 'cond');
    await expectClose(uncond.values, 'uncond');
  });

  test.each(['leading', 'linspace'])('latents and picture with %s timesteps', async (spacing) => {
    const { cond, uncond } = await encode();
    const sigmas = [...(await reference(`${spacing}.sigmas`))];
    const noise = await reference('noise');
    const request = { pictures: 1, channels: 4, height: 16, width: 16, contexts: [cond, uncond] };
    await model.withLatents(request, async (space) => {
      const { math } = space;
      // diffusers starts "leading" schedules at sqrt(sigma^2 + 1).
      const start = spacing === 'leading' ? Math.sqrt(sigmas[0]! ** 2 + 1) : sigmas[0]!;
      const latents = await runSigmaSampler(
        'Euler',
        math.fromArray(noise.map((value) => value * start)),
        sigmas,
        {
          math,
          noise: () => new Float32Array(noise.length),
          denoiser: createGuidedDenoiser({
            space,
            coefficientsAt: sigmaCoefficients('epsilon', createNoiseSchedule(model.description)),
            conditioning: {
              condAt: () => [[{ group: 0, row: 0, weight: 1 }]],
              uncondAt: () => [{ group: 1, row: 0 }],
            },
            contextOf: ({ group }) => (group === 0 ? cond : uncond),
            guidanceScale: 7,
            sMinUncond: 0,
          }),
        },
      );
      await expectClose(await math.toArray(latents), `${spacing}.latents`);
      await expectClose(await space.decode(latents, 0), `${spacing}.image`);
    });
  });
});
