import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import type { Pixels } from '../../web/engine/images/pixels.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { type NodeAccess, nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';
import { fileSource } from '../fakes/file-source.ts';

/** The embedded model with its LCM LoRA: four steps without guidance against twenty with it. */

const MODELS = fileURLToPath(new URL('../../public/models/', import.meta.url));
const LORA = 'easel-tiny-lcm';
const PROMPTS = ['a red apple', 'a blue car', 'a robot'];
const FULL = { steps: 20, guidanceScale: 5 } as const;
const FAST = { sampler: 'LCM', steps: 4, guidanceScale: 1 } as const;
const GRID = 32;

let access: NodeAccess;
let engine: LocalEngine;
beforeAll(() => {
  const path = `${LORA}.safetensors`;
  const lora = { kind: 'lora', name: LORA, files: [fileSource(join(MODELS, path), path)] } as const;
  access = nodeAccess({ folder: join(MODELS, 'easel-tiny'), beside: [lora] });
  engine = createLocalEngine({ ...ENGINE_CONFIG, precision: 'fp32' }, access);
});
afterAll(() => engine.close());

async function draw(prompt: string, change: Partial<GenerationParams>): Promise<Pixels> {
  const size = { width: 512, height: 512, seed: 5 };
  await engine.generate({ ...GENERATION_DEFAULTS, ...size, prompt, ...change });
  return access.pictures.at(-1)!;
}

/** How far each cell of a coarse grid is from white, in each colour. */
function coarse({ width, height, data }: Pixels): Float64Array {
  const sums = new Float64Array(GRID * GRID * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cell = Math.floor((y * GRID) / height) * GRID + Math.floor((x * GRID) / width);
      for (let c = 0; c < 3; c++) sums[cell * 3 + c]! += 255 - data[(y * width + x) * 3 + c]!;
    }
  }
  return sums;
}

/** Cosine of two pictures' differences from white: 1 for the same picture. */
function likeness(a: Pixels, b: Pixels): number {
  const [first, second] = [coarse(a), coarse(b)];
  const dot = (p: Float64Array, q: Float64Array) => p.reduce((sum, v, i) => sum + v * q[i]!, 0);
  return dot(first, second) / Math.sqrt(dot(first, first) * dot(second, second));
}

test('four LCM steps with the LoRA give what twenty steps with guidance give', async () => {
  const full: Pixels[] = [];
  const fast: Pixels[] = [];
  for (const prompt of PROMPTS) {
    full.push(await draw(prompt, FULL));
    fast.push(await draw(`${prompt} <lora:${LORA}:1>`, FAST));
  }
  for (const [index, picture] of fast.entries()) {
    const own = likeness(picture, full[index]!);
    const others = full.filter((_, other) => other !== index).map((one) => likeness(picture, one));
    expect(own, PROMPTS[index]).toBeGreaterThan(0.9);
    expect(own, PROMPTS[index]).toBeGreaterThan(Math.max(...others) + 0.05);
  }
  // The tag is heeded: without it the same four steps give another picture.
  const bare = await draw(PROMPTS[1]!, FAST);
  expect(bare.data).not.toEqual(fast[1]!.data);
}, 120_000);
