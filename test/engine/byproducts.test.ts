import { expect, test } from 'vitest';
import {
  GENERATION_DEFAULTS,
  type GenerationParams,
  hiresParams,
  inpaintParams,
} from '../../protocol/generation.ts';
import { greyToPixels, type RgbaPixels } from '../../web/engine/images/rgba.ts';
import { readInpaintMask } from '../../web/engine/inpaint.ts';
import { generate } from '../../web/engine/pipeline/generate.ts';
import type { FinishedPicture } from '../../web/engine/pipeline/job.ts';
import type { GeneratedImage } from '../../web/shared/engine.ts';
import { createToyModel } from '../fakes/toy-model.ts';

/** Pictures that a job has on its way, as A1111's options save and return them. */

const SIZE = { width: 64, height: 64 };
const CONTROL = { isInterrupted: () => false, isSkipped: () => false, beginBatch() {} };

/** A picture of one colour, and a mask that is white on the right. */
const PICTURE = fill(() => [200, 120, 40, 255]);
const MASK = fill((x) => (x >= 32 ? [255, 255, 255, 255] : [0, 0, 0, 255]));

function fill(colorAt: (x: number) => number[]): RgbaPixels {
  const { width, height } = SIZE;
  const pixels = Array.from({ length: width * height }, (_, i) => colorAt(i % width));
  return { width, height, data: Uint8Array.from(pixels.flat()) };
}

async function run(change: Partial<GenerationParams>): Promise<FinishedPicture[]> {
  const finished: FinishedPicture[] = [];
  const params = { ...GENERATION_DEFAULTS, ...SIZE, prompt: 'a cat', steps: 4, seed: 5, ...change };
  await generate({
    ...{ params, model: createToyModel(), control: CONTROL },
    decodeImage: async (_, what) => (what === 'the mask' ? MASK : PICTURE),
    async finishImage(picture) {
      finished.push(picture);
      return {} as GeneratedImage;
    },
  });
  return finished;
}

const inpaint = (change: object = {}) => ({
  mode: 'img2img' as const,
  initImages: ['x'],
  inpaint: inpaintParams.parse({ mask: 'm', blurX: 2, blurY: 2, ...change }),
});

test('there are none unless the job asks for them', async () => {
  const [picture] = await run(inpaint());
  expect(picture?.byproducts).toEqual([]);
});

test('the mask is the one that cuts the result out of the picture', async () => {
  const [picture] = await run({ ...inpaint(), byproducts: ['mask'] });
  expect(picture?.byproducts.map(({ kind }) => kind)).toEqual(['mask']);
  const { plan } = readInpaintMask(
    inpaint().inpaint,
    { mask: MASK, latentMask: null },
    { ...SIZE, resizeMode: 0 },
  );
  expect(picture?.byproducts[0]?.pixels).toEqual(greyToPixels(plan!.overlayMask));
});

test.each([false, true])(
  'the composite is the redrawn part alone, the rest transparent (only masked: %s)',
  async (isOnlyMasked) => {
    const asked = {
      ...inpaint({ isOnlyMasked, padding: 4 }),
      byproducts: ['mask-composite'] as const,
    };
    const [picture] = await run({ ...asked, byproducts: [...asked.byproducts] });
    const composite = picture!.byproducts[0]!.pixels;
    expect(composite).toMatchObject(SIZE);
    const alpha = (x: number, y: number) => composite.data[(y * SIZE.width + x) * 4 + 3];
    expect([alpha(4, 32), alpha(60, 32)]).toEqual([0, 255]);
    // Where the mask is full the result is what was made.
    const at = 32 * SIZE.width + 60;
    expect([...composite.data.subarray(at * 4, at * 4 + 3)]).toEqual([
      ...picture!.pixels.data.subarray(at * 3, at * 3 + 3),
    ]);
    // At the soft edge colours are not darkened by their alpha, but for rounding.
    const soft = Array.from({ length: 64 }, (_, x) => alpha(x, 32)!).find((a) => a > 20 && a < 235);
    expect(soft).toBeDefined();
  },
);

test('without an overlay the result is not laid under what the mask keeps', async () => {
  const [kept] = await run(inpaint());
  const [bare] = await run(inpaint({ isOverlaid: false }));
  const left = (picture: FinishedPicture) => [...picture.pixels.data.subarray(0, 3)];
  expect(left(kept!)).toEqual([200, 120, 40]);
  expect(left(bare!)).not.toEqual([200, 120, 40]);
  const [area] = await run(inpaint({ isOverlaid: false, isOnlyMasked: true, padding: 4 }));
  // The area as it was made, not in its place.
  expect(area!.pixels).toMatchObject(SIZE);
});

test('before colour correction a picture is as it would be without', async () => {
  const asked = { ...inpaint(), correctsColors: true };
  const [picture] = await run({ ...asked, byproducts: ['before-color-correction'] });
  const [plain] = await run(inpaint());
  expect(picture!.byproducts[0]!.pixels).toEqual(plain!.pixels);
  expect(picture!.pixels).not.toEqual(plain!.pixels);
});

test.each(['Latent', 'Lanczos'])(
  'before hires fix by %s a picture is what the first pass alone makes, each of a batch',
  async (upscaler) => {
    const hires = hiresParams.parse({ upscaler, denoisingStrength: 0.5 });
    const asked: Partial<GenerationParams> = { hires, batchSize: 2, batchCount: 2 };
    const made = await run({ ...asked, byproducts: ['before-highres-fix'] });
    const first = await run({ batchSize: 2, batchCount: 2 });
    expect(made.map(({ byproducts }) => byproducts[0]?.pixels)).toEqual(
      first.map(({ pixels }) => pixels),
    );
    const plain = await run(asked);
    expect(made.map(({ pixels }) => pixels)).toEqual(plain.map(({ pixels }) => pixels));
  },
);
