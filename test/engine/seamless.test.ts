import { describe, expect, it } from 'vitest';
import { GENERATION_DEFAULTS } from '../../protocol/generation.ts';
import type { TextContext } from '../../web/engine/diffusion-model.ts';
import { createLocalEngine } from '../../web/engine/local-engine.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';
import { loadedModel } from '../fakes/loaded-model.ts';

/** A1111's tiling: what is moved beyond one edge comes in at the other, for every network on the way. */

/** [channels, height, width], moved down and right. */
function rolled(
  values: Float32Array,
  [channels, height, width]: readonly [number, number, number],
  [down, right]: readonly [number, number],
): Float32Array {
  const out = new Float32Array(values.length);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const to = (c * height + ((y + down) % height)) * width + ((x + right) % width);
        out[to] = values[(c * height + y) * width + x]!;
      }
    }
  }
  return out;
}

const off = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

describe.each([
  ['with tiling a picture has no edges', true],
  ['without it has some', false],
] as const)('%s', (_, isTiling) => {
  const loading = loadedModel('sd15-tiny');
  const [height, width] = [16, 24];
  const noise = Float32Array.from({ length: 4 * height * width }, (_, i) => Math.sin(i * i));
  const context: TextContext = {
    ...{ tokens: 77, textEmbeds: null },
    values: Float32Array.from({ length: 77 * 32 }, (_, i) => Math.cos(i)),
  };
  const request = {
    pictures: 1,
    channels: 4,
    height,
    width,
    contexts: [context],
    guidanceScale: 1,
  };

  const check = (found: Float32Array, expected: Float32Array) => {
    if (isTiling) expect(off(found, expected)).toBeLessThan(2e-3);
    else expect(off(found, expected)).toBeGreaterThan(0.02);
  };

  it('to the UNet', async () => {
    const { model } = await loading;
    model.useTiling(isTiling);
    const answer = (values: Float32Array) =>
      model.withLatents(request, async (space) => {
        const call = { inputScale: 1, timestep: 500, contexts: [context], mixes: [[0, 1]] };
        const [found] = await space.predict(space.math.fromArray(values), call);
        return space.math.toArray(found!);
      });
    // By whole pixels of the lowest level.
    const shift = [8, 16] as const;
    const shape = [4, height, width] as const;
    check(await answer(rolled(noise, shape, shift)), rolled(await answer(noise), shape, shift));
  });

  it('to the VAE', async () => {
    const { model } = await loading;
    model.useTiling(isTiling);
    const picture = (values: Float32Array) =>
      model.withLatents(request, (space) => space.decode(space.math.fromArray(values), 0));
    const moved = await picture(rolled(noise, [4, height, width], [3, 5]));
    const size = [3, height * 8, width * 8] as const;
    check(moved, rolled(await picture(noise), size, [24, 40]));
  });
});

it('is a matter of each job, and infotexts say so', async () => {
  const access = nodeAccess();
  const engine = createLocalEngine({ ...ENGINE_CONFIG, precision: 'fp32' }, access);
  const infotexts: string[] = [];
  const run = async (isTiling: boolean) => {
    const params = {
      ...GENERATION_DEFAULTS,
      prompt: 'a',
      width: 64,
      height: 64,
      steps: 2,
      isTiling,
    };
    await engine.generate(params, { onImage: ({ infotext }) => void infotexts.push(infotext) });
    return access.pictures.at(-1)!.data;
  };
  const [plain, tiling, again] = [await run(false), await run(true), await run(false)];
  expect(again).toEqual(plain);
  expect(tiling).not.toEqual(plain);
  expect(infotexts.map((text) => text.includes(', Tiling: True, '))).toEqual([false, true, false]);
  await engine.close();
});
