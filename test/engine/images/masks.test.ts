import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { blurMask } from '../../../web/engine/images/blur.ts';
import { expandRegion, maskRegion, type Region } from '../../../web/engine/images/crop-region.ts';
import { fitPixels } from '../../../web/engine/images/fit.ts';
import { applyOverlay, fillMasked, uncrop } from '../../../web/engine/images/overlay.ts';
import {
  flatten,
  type GreyPixels,
  parseColor,
  type RgbaPixels,
  readMask,
} from '../../../web/engine/images/rgba.ts';
import { latentMask } from '../../../web/engine/inpaint.ts';

interface Stored {
  mode: string;
  width: number;
  height: number;
  data: string;
}
type Box = [number, number, number, number];
interface Vectors {
  crop_region: {
    width: number;
    height: number;
    boxes: Box[];
    value: number;
    pad: number;
    region: Box | null;
  }[];
  expand: { region: Box; processing: [number, number]; image: [number, number]; expanded: Box }[];
  flatten: { background: string; source: Stored; result: Stored }[];
  fill: { source: Stored; mask: Stored; result: Stored }[];
  blur: { mask_blur_x: number; mask_blur_y: number; mask: Stored; result: Stored }[];
  latent_mask: {
    width: number;
    height: number;
    boxes: Box[];
    latent: [number, number];
    soft: number[];
    rounded: number[];
  }[];
  binary_mask: { round: boolean; source: Stored; result: Stored }[];
  overlay: { image: Stored; paste_to: Box | null; overlay: Stored; result: Stored }[];
  uncrop: { image: Stored; size: [number, number]; paste_to: Box; result: Stored }[];
  resize_boxes: {
    mode: number;
    source: [number, number];
    target: [number, number];
    result: [number, number, string];
  }[];
}
const vectors = JSON.parse(
  readFileSync(new URL('../../fixtures/vectors/masks.json', import.meta.url), 'utf8'),
) as Vectors;

const numbered = <T>(list: readonly T[]) => list.map((item, index) => [index, item] as const);

function load({ width, height, data }: Stored): GreyPixels {
  return { width, height, data: new Uint8Array(Buffer.from(data, 'base64')) };
}

/** Any mode as a browser decodes it. */
function loadRgba(stored: Stored): RgbaPixels {
  const { width, height, data } = load(stored);
  const channels = data.length / (width * height);
  const out = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) out[i * 4 + c] = data[i * channels + (channels === 1 ? 0 : c)]!;
    out[i * 4 + 3] = channels === 4 ? data[i * 4 + 3]! : 255;
  }
  return { width, height, data: out };
}

function drawMask(width: number, height: number, boxes: readonly Box[], value = 255): GreyPixels {
  const data = new Uint8Array(width * height);
  for (const [left, top, right, bottom] of boxes) {
    for (let y = top; y < bottom; y++) data.fill(value, y * width + left, y * width + right);
  }
  return { width, height, data };
}

const toRegion = ([left, top, right, bottom]: Box): Region => ({ left, top, right, bottom });
const toBox = ({ left, top, right, bottom }: Region): Box => [left, top, right, bottom];

function expectBytes(made: { data: Uint8Array }, stored: Stored, tolerance = 1): void {
  const expected = Buffer.from(stored.data, 'base64');
  expect(made.data).toHaveLength(expected.length);
  const off = expected.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - made.data[i]!)),
    0,
  );
  expect(off).toBeLessThanOrEqual(tolerance);
}

test('every region around a mask is A1111’s', () => {
  expect(vectors.crop_region.length).toBeGreaterThan(100);
  for (const { width, height, boxes, value, pad, region } of vectors.crop_region) {
    const found = maskRegion(drawMask(width, height, boxes, value), pad);
    expect(found && toBox(found)).toEqual(region);
  }
});

test('every region grows to the job’s shape as A1111’s', () => {
  expect(vectors.expand.length).toBeGreaterThan(200);
  for (const { region, processing, image, expanded } of vectors.expand) {
    const grown = expandRegion(
      toRegion(region),
      { width: processing[0], height: processing[1] },
      { width: image[0], height: image[1] },
    );
    expect(toBox(grown)).toEqual(expanded);
  }
});

test('every resize mode ends at the size that was asked for', () => {
  for (const { mode, source, target, result } of vectors.resize_boxes) {
    const pixels = {
      width: source[0],
      height: source[1],
      data: new Uint8Array(source[0] * source[1] * 3),
    };
    const fitted = fitPixels(pixels, ...target, (['stretch', 'crop', 'fill'] as const)[mode]!);
    expect([fitted.width, fitted.height]).toEqual(result.slice(0, 2));
  }
});

test.each(numbered(vectors.flatten))('transparency %i is laid on its colour', (_, vector) => {
  expectBytes(flatten(loadRgba(vector.source), vector.background), vector.result);
});

test.each(numbered(vectors.binary_mask))('picture %i becomes a mask', (_, vector) => {
  expectBytes(readMask(loadRgba(vector.source), vector.round), vector.result, 0);
});

test.each(numbered(vectors.blur))('mask %i is softened', (_, vector) => {
  const { mask_blur_x: x, mask_blur_y: y, mask, result } = vector;
  expectBytes(blurMask(load(mask), x, y), result, 0);
});

test.each(numbered(vectors.fill))('masked area %i is filled from around it', (_, vector) => {
  const { source, mask, result } = vector;
  const { width, height, data } = load(source);
  expectBytes(fillMasked({ width, height, data }, load(mask)), result, 2);
});

test.each(numbered(vectors.latent_mask))('mask %i over the latent', (_, vector) => {
  const { width, height, boxes, latent, soft, rounded } = vector;
  const size = { width: latent[0], height: latent[1] };
  const mask = drawMask(width, height, boxes);
  for (const [i, value] of latentMask(mask, size, false).entries()) {
    expect(Math.abs(value - soft[i]!)).toBeLessThan(1.1 / 255);
  }
  expect([...latentMask(mask, size, true)]).toEqual(rounded);
});

describe('a result goes back into its picture', () => {
  const place = (box: Box | null) => box && { x: box[0], y: box[1], width: box[2], height: box[3] };

  test.each(numbered(vectors.overlay))('under overlay %i', (_, vector) => {
    const image = load(vector.image);
    const made = applyOverlay(image, loadRgba(vector.overlay), place(vector.paste_to));
    expectBytes(made, vector.result);
  });

  test.each(numbered(vectors.uncrop))('at place %i', (_, { image, size, paste_to, result }) => {
    const [width, height] = size;
    expectBytes(uncrop(load(image), { width, height }, place(paste_to)!), result);
  });
});

test('colours are hex or one of the basic names', () => {
  expect(parseColor('#0f8')).toEqual([0, 255, 136]);
  expect(parseColor(' #3a7F10 ')).toEqual([58, 127, 16]);
  expect(parseColor('red')).toEqual([255, 0, 0]);
  expect(parseColor('constructor')).toBeNull();
  expect(parseColor('url(x)')).toBeNull();
});
