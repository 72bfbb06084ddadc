import { afterEach, describe, expect, it, test } from 'vitest';
import type { ModelListing } from '../../protocol/catalog.ts';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import type { LatentSpace } from '../../web/engine/diffusion-model.ts';
import { toPixels } from '../../web/engine/images/pixels.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { chooseTaesd } from '../../web/engine/models/taesd-choice.ts';
import { generate } from '../../web/engine/pipeline/generate.ts';
import type { GeneratedImage } from '../../web/shared/engine.ts';
import { memorySource } from '../compiler/lib/files.ts';
import { fixtureFiles } from '../compiler/lib/parts.ts';
import { readReferences } from '../compiler/lib/references.ts';
import { nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';
import { loadedModel } from '../fakes/loaded-model.ts';

/** TAESDs through the whole engine: previews, and in the place of the VAE. */

const references = await readReferences('taesd-tiny');
const decoder = async () => ({
  ...(await fixtureFiles('taesd-tiny/taesd_decoder.safetensors')),
  ...{ kind: 'taesd' as const, name: 'taesd_decoder' },
});
const encoder = async () => ({
  ...(await fixtureFiles('taesd-tiny/taesd_encoder.safetensors')),
  ...{ kind: 'taesd' as const, name: 'taesd_encoder' },
});
const PARAMS: GenerationParams = {
  ...{ ...GENERATION_DEFAULTS, prompt: 'a cat', width: 64, height: 64, steps: 2, seed: 3 },
};

const engines: LocalEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

function start(beside: Awaited<ReturnType<typeof decoder>>[]) {
  const access = nodeAccess({ beside });
  const engine = createLocalEngine({ ...ENGINE_CONFIG, precision: 'fp32' }, access);
  engines.push(engine);
  const run = async (change: Partial<GenerationParams>) => {
    const images: GeneratedImage[] = [];
    const previews: number[] = [];
    const summary = await engine.generate(
      { ...PARAMS, ...change },
      {
        onImage: (image) => void images.push(image),
        onPreview: () => void previews.push(access.pictures.length - 1),
      },
    );
    return { summary, images, previews: previews.map((place) => access.pictures[place]!) };
  };
  return { access, engine, run };
}

describe('the choice of a TAESD', () => {
  const listing = (name: string, kind: ModelListing['kind'] = 'taesd') =>
    ({ kind, name }) as ModelListing;
  const all = ['taesdxl_decoder', 'taesd_encoder', 'taesd_decoder', 'taesdxl_encoder', 'taesd3'];

  it.each([
    ['sd1', 'taesd_decoder', all, 'taesd_decoder'],
    ['sd2', 'taesd_encoder', all, 'taesd_encoder'],
    ['sdxl', 'taesd_decoder', all, 'taesdxl_decoder'],
    ['sdxl', 'taesd_encoder', all, 'taesdxl_encoder'],
    ['sd1', 'taesd_decoder', ['taesd_encoder', 'Taesd'], 'Taesd'],
    ['sd1', 'taesd_encoder', ['taesd'], 'taesd'],
    ['sd1', 'taesd_decoder', ['taesdxl', 'taesd3_decoder', 'taef1', 'taesana'], null],
  ] as const)('of %s, %s among %s', (family, half, names, name) => {
    const listings = [listing('taesd', 'vae'), ...names.map((each) => listing(each))];
    expect(chooseTaesd(family, half, listings)?.name ?? null).toBe(name);
  });
});

describe('a TAESD beside a checkpoint', () => {
  const decode = references.cases.find(({ inputs }) => inputs.latent)!;
  const latents = references.tensor(decode.inputs.latent!);
  const expected = references.tensor(decode.outputs.image!);
  const [pictures = 1, channels = 4, height = 8, width = 8] = latents.shape;
  const request = { pictures, channels, height, width, contexts: [], guidanceScale: 1 };

  async function spaceOf<R>(
    use: <T>(space: LatentSpace<T>) => Promise<R>,
    decodes = true,
  ): Promise<R> {
    const { model, companion } = await loadedModel('sd15-tiny');
    const taesd = await companion('taesd', await decoder());
    model.useTaesd({ decoder: taesd, encoder: null, decodes, encodes: false });
    return model.withLatents(request, use);
  }

  it('decodes as the reference does', async () => {
    const found = await spaceOf((space) =>
      space.decode(space.math.fromArray(Float32Array.from(latents.data)), 0),
    );
    const first = expected.data.slice(0, found.length);
    const off = found.reduce((max, value, i) => Math.max(max, Math.abs(value - first[i]!)), 0);
    expect(off).toBeLessThanOrEqual(references.tolerance(decode.outputs.image!));
  });

  it('sketches the same picture while the VAE still decodes', async () => {
    const { sketch, vae } = await spaceOf(async (space) => {
      const values = space.math.fromArray(Float32Array.from(latents.data));
      return { sketch: await space.sketch!(values), vae: await space.decode(values, 0) };
    }, false);
    const first = expected.data.slice(0, sketch.image.length);
    const off = sketch.image.reduce((max, v, i) => Math.max(max, Math.abs(v - first[i]!)), 0);
    expect(off).toBeLessThanOrEqual(references.tolerance(decode.outputs.image!));
    expect([sketch.height, sketch.width]).toEqual([height * 8, width * 8]);
    expect(vae).not.toEqual(sketch.image);
  });

  it('sketches large pictures at the size they are shown in', async () => {
    const { model, companion } = await loadedModel('sd15-tiny');
    const taesd = await companion('taesd', await decoder());
    model.useTaesd({ decoder: taesd, encoder: null, decodes: true, encodes: false });
    const large = { ...request, pictures: 1, height: 40, width: 20 };
    const values = Float32Array.from({ length: 4 * 800 }, (_, i) => Math.sin(i / 7));
    const { sketch, whole } = await model.withLatents(large, async (space) => {
      const x = space.math.fromArray(values);
      return { sketch: await space.sketch!(x), whole: await space.decode(x, 0) };
    });
    expect([sketch.height, sketch.width]).toEqual([160, 80]);
    const at = (y: number, x: number) => whole[y * 160 + x]!;
    const mean = (at(20, 30) + at(20, 31) + at(21, 30) + at(21, 31)) / 4;
    expect(sketch.image[10 * 80 + 15]).toBeCloseTo(mean, 4);
  });
});

test('previews are drawn by it, cheap ones are not', async () => {
  const { run, access } = start([await decoder()]);
  const { previews, images, summary } = await run({ previewEverySteps: 1 });
  expect(summary.notes).toEqual([]);
  expect(previews[0]).toMatchObject({ width: 64, height: 64 });
  expect(images[0]!.infotext).not.toContain('VAE Decoder');
  const cheap = await run({ previewEverySteps: 1, previewMethod: 'cheap' });
  expect(cheap.previews[0]).toMatchObject({ width: 256, height: 256 });
  const full = await run({ previewEverySteps: 1, previewMethod: 'full' });
  expect(full.previews[0]).toMatchObject({ width: 64, height: 64 });
  expect(full.previews[0]!.data).not.toEqual(previews[0]!.data);
  expect(access.reads).toContain('taesd_decoder.safetensors');
});

test('it stands in for the VAE, and the infotext says so', async () => {
  const { run, access, engine } = start([await decoder(), await encoder()]);
  const plain = await run({});
  expect(access.reads.join()).not.toContain('taesd');
  const change = { vaeDecoder: 'taesd', vaeEncoder: 'taesd' } as const;
  const { images } = await run(change);
  expect(images[0]!.infotext).toContain('VAE Decoder: TAESD');
  expect(images[0]!.infotext).not.toContain('VAE Encoder');
  const [vae, taesd] = access.pictures;
  expect(taesd!.data).not.toEqual(vae!.data);
  // The latents are the same: the reference decoder of the fixture's own pipeline draws the same picture.
  const { model, companion } = await loadedModel('sd15-tiny');
  model.useTaesd({
    ...{ decoder: await companion('taesd', await decoder()), encoder: null },
    ...{ decodes: true, encodes: false },
  });
  let pixels = toPixels(new Float32Array(3), 1, 1);
  await generate({
    ...{ params: PARAMS, model, decodeImage: access.decodeImage },
    control: { isInterrupted: () => false, isSkipped: () => false, beginBatch() {} },
    async finishImage(picture) {
      pixels = picture.pixels;
      return plain.images[0]!;
    },
  });
  expect(taesd!.data).toEqual(pixels.data);
  const redrawn = await run({ ...change, mode: 'img2img', initImages: ['x'] });
  expect(redrawn.images[0]!.infotext).toMatch(/VAE Encoder: TAESD.*VAE Decoder: TAESD/);
  await engine.deleteAllCompiled();
  expect(await engine.listCompiled()).toEqual([]);
  expect((await run(change)).summary.notes).toEqual([]);
});

test('without one, or with a broken one, the VAE does it, and the reply says so', async () => {
  const none = await start([]).run({ vaeDecoder: 'taesd', previewEverySteps: 1 });
  expect(none.summary.notes).toEqual([
    'There is no TAESD for this checkpoint in models/VAE-approx; its own VAE decoded.',
  ]);
  expect(none.images[0]!.infotext).not.toContain('VAE Decoder');
  expect(none.previews[0]).toMatchObject({ width: 256, height: 256 });
  const cut = memorySource('taesd.safetensors', new Uint8Array(100));
  const broken = { kind: 'taesd' as const, name: 'taesd', files: [cut] };
  const { summary, previews } = await start([broken]).run({ previewEverySteps: 1 });
  expect(summary.notes[0]).toMatch(/^The TAESD taesd could not be used: /);
  expect(previews).toHaveLength(2);
});
