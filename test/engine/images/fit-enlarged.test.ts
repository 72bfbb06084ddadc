import { expect, test } from 'vitest';
import { fitPixels, frame, type ResizeMode } from '../../../web/engine/images/fit.ts';
import type { Pixels } from '../../../web/engine/images/pixels.ts';
import { LANCZOS, resize } from '../../../web/engine/images/resample.ts';
import { fitEnlarged } from '../../../web/engine/init-latents.ts';
import { resizeNearest } from '../../../web/engine/upscaling/enlarge.ts';

/** A1111's `upscaler_for_img2img`: where a picture has to grow, an upscaler makes it grow. */

const picture = (width: number, height: number): Pixels => ({
  ...{ width, height },
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37 + (i >> 3) * 11) % 256),
});
const MODES: readonly ResizeMode[] = ['stretch', 'crop', 'fill'];
const SIZE = { width: 64, height: 48 };

test.each(MODES)('%s: a picture that shrinks is what it would be without', async (mode) => {
  const large = picture(100, 120);
  const fitted = await fitEnlarged(large, SIZE, mode, { name: 'Nearest' });
  expect(fitted).toEqual(fitPixels(large, 64, 48, mode));
});

test.each([
  // The size that the picture is scaled to, by the mode, and what the upscaler makes of it: multiples of 8.
  ['stretch', { width: 64, height: 48 }, { width: 64, height: 80 }],
  ['crop', { width: 64, height: 80 }, { width: 64, height: 80 }],
  ['fill', { width: 38, height: 48 }, { width: 32, height: 48 }],
] as const)(
  '%s: one that grows is enlarged first, then brought to its size',
  async (mode, to, large) => {
    const small = picture(16, 20);
    const asked: [string, number][] = [];
    const findUpscaler = (name: string) => async (pixels: Pixels, factor: number) => {
      asked.push([name, factor]);
      return resizeNearest(pixels, pixels.width * 2, pixels.height * 2);
    };
    const fitted = await fitEnlarged(small, SIZE, mode, { name: 'a file', findUpscaler });
    const factor = Math.max(to.width / 16, to.height / 20);
    expect(asked[0]).toEqual(['a file', factor]);
    let grown = small;
    for (const _ of asked) grown = resizeNearest(grown, grown.width * 2, grown.height * 2);
    const exact = resize(grown, large.width, large.height, LANCZOS);
    expect(fitted).toEqual(frame(resize(exact, to.width, to.height, LANCZOS), SIZE, mode));
    expect(fitted).not.toEqual(fitPixels(small, 64, 48, mode));
  },
);

test('an upscaler that is not there fails with its name', async () => {
  const options = { name: 'gone', findUpscaler: () => null };
  await expect(fitEnlarged(picture(8, 8), SIZE, 'crop', options)).rejects.toThrow('"gone"');
});
