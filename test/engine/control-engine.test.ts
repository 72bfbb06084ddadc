import { afterEach, describe, expect, test } from 'vitest';
import {
  GENERATION_DEFAULTS,
  type GenerationParams,
  hiresParams,
} from '../../protocol/generation.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import type { GeneratedImage } from '../../web/shared/engine.ts';
import { maxDifference } from '../compiler/lib/runtime.ts';
import { decodePng } from '../e2e/support/png.ts';
import { controlnetFiles, controlUnit as unit } from '../fakes/controlnet.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';

/** ControlNet units through the whole engine, with the real (tiny) weights, compiler, store and runtime. */

const engines: LocalEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

describe('the engine', () => {
  async function start(options: { folder?: string } = {}) {
    const access = nodeAccess({ beside: [await controlnetFiles()], ...options });
    const engine = createLocalEngine({ ...ENGINE_CONFIG, precision: 'fp32' }, access);
    engines.push(engine);
    const run = async (change: Partial<GenerationParams>) => {
      const images: GeneratedImage[] = [];
      const before = access.pictures.length;
      const params = { ...GENERATION_DEFAULTS, prompt: 'a cat', width: 64, height: 64, steps: 2 };
      const summary = await engine.generate(
        { ...params, seed: 3, ...change },
        { onImage: (image) => void images.push(image) },
      );
      return { summary, images, pictures: access.pictures.slice(before) };
    };
    return { access, engine, run };
  }

  test('compiles a ControlNet once, keeps it in the store and says so in infotexts', async () => {
    const { access, engine, run } = await start();
    const plain = await run({});
    const { images, pictures, summary } = await run({ controls: [unit()], batchSize: 2 });
    expect(images[0]!.infotext).toContain(
      'ControlNet 0: "Module: none, Model: controlnet-tiny, Weight: 1.0, ',
    );
    expect(Object.keys(summary.extraParams)).toContain('ControlNet 0');
    expect(pictures[0]!.data).not.toEqual(plain.pictures[0]!.data);
    const stored = await engine.listCompiled();
    expect(stored.map(({ name }) => name).sort()).toEqual(['controlnet-tiny', 'sd15-tiny']);
    const reads = access.reads.length;
    const again = await run({ controls: [unit()] });
    expect(maxDifference(again.pictures[0]!.data, pictures[0]!.data)).toBeLessThanOrEqual(1);
    expect(access.reads).toHaveLength(reads);
    const { key } = stored.find(({ name }) => name === 'controlnet-tiny')!;
    await engine.deleteCompiled(key);
    expect((await run({ controls: [unit()] })).pictures[0]!.data).toEqual(again.pictures[0]!.data);
  });

  test('without weight leaves it out; img2img lends its own picture; a second pass has its own', async () => {
    const { run } = await start();
    const plain = await run({});
    const none = await run({ controls: [unit({ weight: 0 })] });
    expect(none.pictures[0]!.data).toEqual(plain.pictures[0]!.data);
    const redraw = { mode: 'img2img' as const, initImages: ['x'], denoisingStrength: 0.9 };
    const sent = await run({ ...redraw, controls: [unit({ resizeMode: 'stretch' })] });
    const lent = await run({ ...redraw, controls: [unit({ image: null })] });
    expect(lent.pictures[0]!.data).toEqual(sent.pictures[0]!.data);
    const large = hiresParams.parse({ upscaler: 'Latent', denoisingStrength: 0.8 });
    const both = await run({ hires: large, controls: [unit()] });
    const first = await run({ hires: large, controls: [unit({ passes: 'first' })] });
    expect(both.pictures[0]).toMatchObject({ width: 128, height: 128 });
    expect(first.pictures[0]!.data).not.toEqual(both.pictures[0]!.data);
  });

  test('shows its map at every pass’s size with the first picture, unless it is told not to', async () => {
    const { run } = await start();
    const hires = hiresParams.parse({ upscaler: 'Latent', denoisingStrength: 0.8 });
    const controls = [
      unit({ module: 'canny', passes: 'first' }),
      unit({ isMapShown: false }),
      unit({ module: 'invert' }),
    ];
    const asked = { hires, controls, batchCount: 2, byproducts: ['control-map' as const] };
    const { images } = await run(asked);
    const shown = images.map(({ byproducts = [] }) => byproducts);
    expect(shown[0]?.map(({ module }) => module)).toEqual(['canny', 'canny', 'invert', 'invert']);
    const sizes = await Promise.all(shown[0]!.map(({ bytes }) => decodePng(Buffer.from(bytes))));
    expect(sizes.map(({ width }) => width)).toEqual([128, 64, 128, 64]);
    expect(shown[1]).toEqual([]);
    expect((await run({ ...asked, byproducts: [] })).images[0]?.byproducts).toBeUndefined();
  });

  test('says what is wrong', async () => {
    const { run } = await start();
    await expect(run({ controls: [unit({ model: 'gone' })] })).rejects.toThrow(
      'There is no ControlNet "gone". There are: controlnet-tiny.',
    );
    await expect(run({ controls: [unit({ image: null })] })).rejects.toThrow(
      'ControlNet unit 0 has no picture',
    );
    const { access } = await start();
    const other = await start({
      folder: new URL('../fixtures/models/sd2-tiny', import.meta.url).pathname,
    });
    expect(access.sources.listings).toHaveLength(2);
    await expect(other.run({ controls: [unit()] })).rejects.toThrow(
      "The ControlNet controlnet-tiny does not go with this checkpoint: it reads texts of 32 channels, the checkpoint's have 16.",
    );
    // The engine works on.
    expect((await run({})).images).toHaveLength(1);
  });
});
