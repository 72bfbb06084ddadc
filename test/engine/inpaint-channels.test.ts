import { describe, expect, test } from 'vitest';
import { inpaintChannels, isInpaintingModel } from '../../web/engine/inpaint-channels.ts';
import { createToyModel } from '../fakes/toy-model.ts';

const model = createToyModel();
const size = { pictures: 2, height: 16, width: 16 };
const image = new Float32Array(3 * 256).fill(0.5);
/** The left half is masked, softly. */
const mask = {
  width: 16,
  height: 16,
  data: Uint8Array.from({ length: 256 }, (_, i) => (i % 16 < 8 ? 200 : 0)),
};

describe('what an inpainting UNet sees', () => {
  test('the mask, then the picture without what it masks', async () => {
    const shown = { images: [image], mask, isRounded: true, weight: 1 };
    const channels = await inpaintChannels(model, shown, size);
    expect(channels).toHaveLength(2 * 5 * 4);
    expect([...channels.subarray(0, 8)]).toEqual([1, 0, 1, 0, 0, 0.5, 0, 0.5]);
    expect(channels.subarray(20)).toEqual(channels.subarray(0, 20));
  });

  test('the masked pixels in the share that the weight leaves', async () => {
    const shown = { images: [image], mask, isRounded: true, weight: 0.5 };
    const channels = await inpaintChannels(model, shown, size);
    expect([...channels.subarray(4, 8)]).toEqual([0.25, 0.5, 0.25, 0.5]);
  });

  test('a soft mask as it is', async () => {
    const shown = { images: [image], mask, isRounded: false, weight: 1 };
    const channels = await inpaintChannels(model, shown, size);
    expect(channels[0]).toBeCloseTo(200 / 255, 6);
    expect(channels[4]).toBeCloseTo(0.5 * (55 / 255), 5);
  });

  test('nothing of the picture where there is none: all is masked', async () => {
    const shown = { images: [], mask: null, isRounded: true, weight: 1 };
    const channels = await inpaintChannels(model, shown, size);
    expect([...channels.subarray(0, 20)]).toEqual([1, 1, 1, 1, ...new Array(16).fill(0)]);
  });
});

test('an inpainting UNet is told by its channels; others are refused', () => {
  const of = (unetInChannels: number) =>
    isInpaintingModel({ ...model.description, unetInChannels });
  expect(of(4)).toBe(false);
  expect(of(9)).toBe(true);
  expect(() => of(8)).toThrow(/8 channels/);
});
