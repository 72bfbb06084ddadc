import { describe, expect, it } from 'vitest';
import { type ControlParams, controlParams } from '../../protocol/control.ts';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import { canny } from '../../web/engine/control/canny.ts';
import {
  controlTensor,
  fitControlMap,
  makeControlMap,
  pixelPerfectResolution,
  type RedrawnPart,
} from '../../web/engine/control/control-picture.ts';
import type { Pixels } from '../../web/engine/images/pixels.ts';
import { greyToPixels, type RgbaPixels } from '../../web/engine/images/rgba.ts';

type Colour = readonly [number, number, number, number?];

function picture(width: number, height: number, colour: (x: number, y: number) => Colour) {
  const data = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const [red, green, blue, alpha = 255] = colour(i % width, Math.floor(i / width));
    data.set([red, green, blue, alpha], i * 4);
  }
  return { width, height, data };
}

const shades = picture(128, 96, (x, y) => [x, y, x > 40 && y > 30 ? 200 : 20]);
const opaque = ({ width, height, data }: RgbaPixels): Pixels => ({
  ...{ width, height, data: data.filter((_, i) => i % 4 !== 3) },
});

function make(
  change: Partial<ControlParams>,
  {
    images = { x: shades },
    params = {},
    part = null,
  }: {
    images?: Record<string, RgbaPixels>;
    params?: Partial<GenerationParams>;
    part?: RedrawnPart | null;
  } = {},
) {
  const unit = controlParams.parse({ model: 'net', image: 'x', ...change });
  return makeControlMap(unit, {
    params: { ...GENERATION_DEFAULTS, ...params },
    size: { width: 64, height: 64 },
    decodeImage: async (encoded) => images[encoded]!,
    part,
  });
}

describe('the map of a unit', () => {
  it('is the picture itself, or its negative', async () => {
    expect((await make({})).map).toEqual(opaque(shades));
    const { map } = await make({ module: 'invert' });
    expect(map.data).toEqual(opaque(shades).data.map((value) => 255 - value));
  });

  it('of a transparent picture lies on white', async () => {
    const images = { x: picture(4, 4, (x) => [0, 0, 0, x < 2 ? 255 : 0]) };
    const { map } = await make({}, { images });
    expect([...map.data.slice(0, 12)]).toEqual([0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255]);
  });

  it('shows edges at the preprocessor’s resolution', async () => {
    const edges = greyToPixels(canny(opaque(shades), 100, 200));
    const { map } = await make({ module: 'canny', processorResolution: 96 });
    // The frame is another one: the picture goes on to multiples of 64 there.
    expect([map.width, map.height]).toEqual([128, 96]);
    const inside = ({ data }: Pixels) =>
      data.filter((_, i) => Math.floor(i / 3) % 128 < 126 && Math.floor(i / 384) < 94);
    expect(inside(map)).toEqual(inside(edges));
    const standard = await make({ module: 'canny' });
    expect([standard.map.width, standard.map.height]).toEqual([683, 512]);
    const perfect = await make({ module: 'canny', isPixelPerfect: true, processorResolution: 900 });
    expect([perfect.map.width, perfect.map.height]).toEqual([85, 64]);
    const none = await make({ module: 'canny', thresholdA: 2000, thresholdB: 3000 });
    expect(none.map.data.every((value) => value === 0)).toBe(true);
  });

  it('is the mask, where it is drawn on, whatever the module', async () => {
    const drawn = picture(8, 8, (x) => [x === 3 ? 255 : 0, 99, 99]);
    const { map } = await make({ module: 'canny', mask: 'm' }, { images: { x: shades, m: drawn } });
    expect([...map.data.slice(0, 15)]).toEqual([...new Array(9).fill(0), 255, 255, 255, 0, 0, 0]);
    for (const value of [0, 5, 250, 255]) {
      const blank = picture(8, 8, () => [value, value, value]);
      const { map: own } = await make({ mask: 'm' }, { images: { x: shades, m: blank } });
      expect(own).toEqual(opaque(shades));
    }
  });

  it('is made of the init picture and in its mode where the unit has none', async () => {
    const other = picture(64, 32, (x, y) => [y, x, 0]);
    const lent = { image: null, resizeMode: 'fill' as const };
    const mode = async (resizeMode: number) => {
      const params = { initImages: ['i'], resizeMode };
      return make(lent, { images: { i: other }, params });
    };
    expect((await mode(0)).map).toEqual(opaque(other));
    const modes = await Promise.all([0, 1, 2, 3].map(mode));
    expect(modes.map(({ resizeMode }) => resizeMode)).toEqual([
      'stretch',
      'crop',
      'fill',
      'stretch',
    ]);
    await expect(make(lent)).rejects.toThrow('ControlNet unit 0 has no picture');
  });

  it('is cut as the init picture is where only the masked part is redrawn', async () => {
    const part = {
      region: { left: 64, top: 32, right: 96, bottom: 64 },
      maskSize: { width: 128, height: 96 },
    };
    const flat = picture(128, 96, (x, y) =>
      x >= 64 && x < 96 && y >= 32 && y < 64 ? [9, 8, 7] : [250, 250, 250],
    );
    const { map } = await make({ resizeMode: 'stretch' }, { images: { x: flat }, part });
    expect([map.width, map.height]).toEqual([64, 64]);
    expect([...map.data.slice((32 * 64 + 32) * 3, (32 * 64 + 32) * 3 + 3)]).toEqual([9, 8, 7]);
    expect(map.data.filter((value) => value > 100).length).toBe(0);
  });
});

describe('a map at a pass’s size', () => {
  const map = { width: 4, height: 2, data: Uint8Array.from({ length: 24 }, (_, i) => i * 10) };
  const red = (values: Float32Array, places: number) =>
    [...values.slice(0, places)].map((value) => Math.round(value * 255));

  it('as it is: red, green and blue in 0..1', () => {
    const values = controlTensor(fitControlMap({ map, resizeMode: 'crop' }, map));
    expect(red(values, 8)).toEqual([0, 30, 60, 90, 120, 150, 180, 210]);
    expect(red(values.slice(8), 4)).toEqual([10, 40, 70, 100]);
  });

  it('covers and is cut in the middle, or fits on the colour of its borders', () => {
    const wide = {
      ...{ width: 8, height: 4 },
      data: Uint8Array.from({ length: 96 }, (_, i) => (Math.floor(i / 3) % 8 < 4 ? 0 : 255)),
    };
    const cut = controlTensor(
      fitControlMap({ map: wide, resizeMode: 'crop' }, { width: 4, height: 4 }),
    );
    expect(red(cut, 4)).toEqual([0, 0, 255, 255]);
    const filled = controlTensor(
      fitControlMap({ map: wide, resizeMode: 'fill' }, { width: 8, height: 8 }),
    );
    expect(red(filled.slice(8 * 2), 8)).toEqual([0, 0, 0, 0, 255, 255, 255, 255]);
    // Half of the borders is black, half white.
    expect(red(filled, 1)).toEqual([127]);
    const stretched = controlTensor(
      fitControlMap({ map: wide, resizeMode: 'stretch' }, { width: 4, height: 4 }),
    );
    expect(red(stretched, 4)).toEqual([0, 0, 255, 255]);
  });

  it('is pixel perfect for the side that matters', () => {
    const of = { width: 100, height: 50 };
    const size = { width: 64, height: 64 };
    expect(pixelPerfectResolution(of, size, 'crop')).toBe(64);
    expect(pixelPerfectResolution(of, size, 'fill')).toBe(32);
    expect(pixelPerfectResolution(of, size, 'stretch')).toBe(64);
  });
});
