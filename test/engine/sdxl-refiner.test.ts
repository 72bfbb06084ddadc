import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import { createLocalEngine } from '../../web/engine/local-engine.ts';
import { MODELS } from '../compiler/lib/files.ts';
import { REFINER, refinerFolder } from '../compiler/lib/refiner.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';
import { fileSource } from '../fakes/file-source.ts';
import { psnr } from '../fakes/psnr.ts';

const lora = 'sdxl-kohya';
const access = nodeAccess({
  folder: join(MODELS, 'sdxl-tiny'),
  beside: [
    { ...(await refinerFolder()), kind: 'checkpoint' },
    {
      ...{ kind: 'lora', name: lora },
      files: [fileSource(join(MODELS, 'loras', `${lora}.safetensors`), `${lora}.safetensors`)],
    },
  ],
});
const engine = createLocalEngine({ ...ENGINE_CONFIG, precision: 'fp32' }, access);
afterAll(() => engine.close());

async function make(change: Partial<GenerationParams>) {
  const { seed, steps, guidance } = REFINER.picture;
  const summary = await engine.generate(
    {
      ...GENERATION_DEFAULTS,
      prompt: 'a photograph of an astronaut riding a horse, highly detailed',
      negativePrompt: 'blurry, low quality',
      ...{ sampler: 'Euler', seed, steps, guidanceScale: guidance, width: 64, height: 64 },
      ...change,
    },
    {},
  );
  return { summary, pixels: Uint8Array.from(access.pictures.pop()!.data) };
}

test('SDXL’s refiner draws what diffusers’ UNet draws, each text with its aesthetic score', async () => {
  const theirs = Buffer.from(REFINER.picture.pixels, 'base64');
  const { pixels } = await make({ checkpoint: 'refiner' });
  expect(pixels).toHaveLength(theirs.length);
  expect(psnr(pixels, theirs)).toBeGreaterThanOrEqual(75);
  const aestheticScores = { positive: 6, negative: 6 };
  const other = await make({ checkpoint: 'refiner', aestheticScores });
  expect(psnr(other.pixels, theirs)).toBeLessThan(65);
});

test('it takes over within the steps of an SDXL picture, without the LoRA of the steps before', async () => {
  const asked = { checkpoint: 'sdxl-tiny', prompt: `a horse <lora:${lora}:1>` };
  const plain = await make(asked);
  const refiner = {
    checkpoint: 'refiner',
    switchAt: 0.5,
    isBySteps: true,
    passes: 'both' as const,
  };
  const refined = await make({ ...asked, refiner });
  expect(refined.pixels).not.toEqual(plain.pixels);
  expect(plain.summary.notes).toEqual([]);
  expect(refined.summary.notes).toEqual([
    `refiner is a refiner of SDXL, whose layers no LoRA is made for: its steps were made without ${lora}.`,
  ]);
});
