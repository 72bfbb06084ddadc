import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { GENERATION_DEFAULTS } from '../../protocol/generation.ts';
import { SAMPLER_NAMES } from '../../protocol/samplers.ts';
import { readSafetensorsHeader } from '../../web/compiler/safetensors.ts';
import { createLocalEngine } from '../../web/engine/local-engine.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';
import { fileSource } from '../fakes/file-source.ts';
import { psnr } from '../fakes/psnr.ts';

/**
 * Whole pictures, from prompt to pixels, against k-diffusion's and diffusers' own samplers over torch's network
 * (tools/references/sampler_pictures.py): the same seed, 20 steps, each sampler's own schedule.
 */

const REFERENCES = fileURLToPath(
  new URL('../fixtures/models/references/sampler-pictures.safetensors', import.meta.url),
);

const access = nodeAccess();
const engine = createLocalEngine(ENGINE_CONFIG, access);
afterAll(() => engine.close());

async function reference(sampler: string): Promise<Uint8Array> {
  const source = fileSource(REFERENCES, 'sampler-pictures.safetensors');
  const { tensors } = await readSafetensorsHeader(source);
  const { offset, sizeBytes } = tensors.get(sampler)!;
  return source.read(offset, sizeBytes);
}

async function draw(sampler: (typeof SAMPLER_NAMES)[number]): Promise<Uint8Array> {
  await engine.generate(
    {
      ...GENERATION_DEFAULTS,
      prompt: 'a photograph of an astronaut riding a horse, highly detailed',
      negativePrompt: 'blurry, low quality',
      ...{ sampler, seed: 42, steps: 20, width: 64, height: 64, guidanceScale: 7 },
      // Its step sizes answer to the last bit of the network, and with eta they decide which noise is drawn.
      ...(sampler === 'DPM adaptive' ? { eta: 0 } : {}),
    },
    {},
  );
  const { data } = access.pictures.pop()!;
  return Uint8Array.from(data);
}

describe("a whole picture is the reference's", () => {
  test.each(SAMPLER_NAMES)('%s', async (sampler) => {
    const [ours, theirs] = [await draw(sampler), await reference(sampler)];
    expect(ours).toHaveLength(theirs.length);
    const db = psnr(ours, theirs);
    expect(db).toBeGreaterThanOrEqual(45);
  });
});
