import { describe, expect, it } from 'vitest';
import type { ModelListing } from '../../../protocol/catalog.ts';
import { upscaleParams } from '../../../protocol/generation.ts';
import type { Pixels } from '../../../web/engine/images/pixels.ts';
import { LANCZOS, resize } from '../../../web/engine/images/resample.ts';
import {
  blendPixels,
  cropMiddle,
  enlarge,
  enlargeTo,
  resizeNearest,
} from '../../../web/engine/upscaling/enlarge.ts';
import { type UpscalerNetwork, upscaleTiled } from '../../../web/engine/upscaling/tiled-upscale.ts';
import { featherWeights, planTiles } from '../../../web/engine/upscaling/tiles.ts';
import { upscalePicture } from '../../../web/engine/upscaling/upscale-job.ts';
import { createUpscalers } from '../../../web/engine/upscaling/upscalers.ts';
import { fixtureFiles } from '../../compiler/lib/parts.ts';
import { readReferences } from '../../compiler/lib/references.ts';
import { nodeRuntime } from '../../fakes/engine-access.ts';

function picture(width: number, height: number): Pixels {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, at) => (at * 37 + (at >> 4)) % 256,
  );
  return { width, height, data };
}

/** Repeats every pixel, which no tiling can tell from the whole. */
function repeating(scale: number, multiple = 1): UpscalerNetwork & { sizes: string[] } {
  const sizes: string[] = [];
  return {
    ...{ scale, multiple, sizes },
    async run(image, height, width) {
      sizes.push(`${width}x${height}`);
      const [rows, columns] = [height * scale, width * scale];
      return Float32Array.from({ length: 3 * rows * columns }, (_, at) => {
        const [channel, rest] = [Math.floor(at / (rows * columns)), at % (rows * columns)];
        const [y, x] = [Math.floor(rest / columns), rest % columns];
        const from = Math.floor(y / scale) * width + Math.floor(x / scale);
        return image[channel * height * width + from]!;
      });
    },
  };
}

describe('tiles', () => {
  it.each([
    [192, 192, 16],
    [193, 192, 16],
    [500, 192, 16],
    [4096, 192, 16],
  ])('of %i pixels cover them, and their weights add up to 1', (size, tile, overlap) => {
    for (const scale of [1, 4]) {
      const sums = new Float32Array(size * scale);
      const spans = planTiles(size, tile, overlap);
      for (const span of spans) {
        featherWeights(span, scale).forEach((weight, at) => {
          sums[span.start * scale + at]! += weight;
        });
        if (spans.length > 1 && span !== spans.at(-1))
          expect(span.after).toBeGreaterThanOrEqual(overlap);
      }
      for (const sum of sums) expect(sum).toBeCloseTo(1, 5);
    }
  });

  it.each([1, 2, 4])(
    'of a network of scale %i make the picture that it makes of the whole',
    async (scale) => {
      const source = picture(401, 230);
      const network = repeating(scale, scale === 1 ? 4 : 1);
      const tiled = await upscaleTiled(source, network);
      expect([tiled.width, tiled.height]).toEqual([401 * scale, 230 * scale]);
      expect(Buffer.compare(tiled.data, resizeNearest(source, 401 * scale, 230 * scale).data)).toBe(
        0,
      );
      expect(new Set(network.sizes).size).toBe(1);
    },
  );

  it('a small picture is filled up to what the network takes', async () => {
    const network = repeating(2, 2);
    const { width, height } = await upscaleTiled(picture(13, 9), network);
    expect([width, height, network.sizes]).toEqual([26, 18, ['14x10']]);
  });

  it('stop when the job is cancelled', async () => {
    const abort = new AbortController();
    const network = repeating(1);
    const running = upscaleTiled(picture(500, 500), network, {
      signal: abort.signal,
      onTile: () => abort.abort(),
    });
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
    expect(network.sizes).toHaveLength(1);
  });
});

describe('a picture is enlarged as in A1111', () => {
  it('in passes until the size is reached, then to sides of multiples of 8', async () => {
    const factors: string[] = [];
    const larger = await enlarge(picture(20, 10), 5, async (pixels) => {
      factors.push(`${pixels.width}x${pixels.height}`);
      return resizeNearest(pixels, pixels.width * 2, pixels.height * 2);
    });
    expect(factors).toEqual(['20x10', '40x20', '80x40']);
    expect([larger.width, larger.height]).toEqual([96, 48]);
  });

  it('by 1 in one pass, and never without end', async () => {
    let passes = 0;
    const same = await enlarge(picture(16, 16), 1, async (pixels) => {
      passes += 1;
      return pixels;
    });
    expect([same.width, passes]).toEqual([16, 1]);
  });

  it('to a size of its own for hires fix, by a filter, a network or Lanczos alone', async () => {
    const source = picture(16, 8);
    const asked: string[] = [];
    const find = (name: string) =>
      name === 'tiny'
        ? async (pixels: Pixels) => {
            asked.push(`${pixels.width}x${pixels.height}`);
            return resizeNearest(pixels, pixels.width * 2, pixels.height * 2);
          }
        : null;
    const large = await enlargeTo(source, { width: 50, height: 20 }, 'tiny', { find });
    expect([large.width, large.height, asked]).toEqual([50, 20, ['16x8', '32x16']]);
    const nearest = await enlargeTo(source, { width: 32, height: 16 }, 'Nearest');
    expect(nearest.data).toEqual(resizeNearest(source, 32, 16).data);
    const plain = await enlargeTo(source, { width: 50, height: 20 }, 'None');
    expect(plain.data).toEqual(resize(source, 50, 20, LANCZOS).data);
    await expect(enlargeTo(source, { width: 32, height: 16 }, 'gone', { find })).rejects.toThrow(
      'There is no upscaler named "gone".',
    );
    const aborted = { find, signal: AbortSignal.abort() };
    await expect(
      enlargeTo(source, { width: 32, height: 16 }, 'tiny', aborted),
    ).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('the nearest pixel is the one under the centre', () => {
    const row = { width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 7, 8, 9) };
    expect([...resizeNearest(row, 3, 1).data]).toEqual([1, 2, 3, 7, 8, 9, 7, 8, 9]);
  });

  it('the middle is cut out', () => {
    const four = { width: 4, height: 1, data: Uint8Array.of(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3) };
    expect([...cropMiddle(four, 2, 1).data]).toEqual([1, 1, 1, 2, 2, 2]);
    expect([...cropMiddle(four, 2, 2).data.subarray(0, 6)]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('two results are blended, cut off to whole numbers', () => {
    const of = (...data: number[]) => ({ width: 1, height: 1, data: Uint8Array.from(data) });
    expect([...blendPixels(of(10, 200, 0), of(13, 100, 255), 0.5).data]).toEqual([11, 150, 127]);
  });
});

describe('the extras', () => {
  const by = () => async (pixels: Pixels, factor: number) =>
    resize(pixels, Math.round(pixels.width * factor), Math.round(pixels.height * factor), LANCZOS);

  it('tell what was done, in order', async () => {
    const params = upscaleParams.parse({
      upscaler: 'Lanczos',
      secondUpscaler: 'Nearest',
      secondVisibility: 0.4,
    });
    const { pixels, infotext } = await upscalePicture(picture(8, 16), params, by);
    expect([pixels.width, pixels.height]).toEqual([16, 32]);
    expect(Object.entries(infotext)).toEqual([
      ['Postprocess upscale by', 2],
      ['Postprocess upscaler', 'Lanczos'],
      ['Postprocess upscaler 2', 'Nearest'],
    ]);
  });

  it('cover a size and cut it out', async () => {
    const params = upscaleParams.parse({ upscaler: 'Lanczos', width: 32, height: 32 });
    const { pixels, infotext } = await upscalePicture(picture(8, 16), params, by);
    expect([pixels.width, pixels.height]).toEqual([32, 32]);
    expect(Object.entries(infotext)).toEqual([
      ['Postprocess upscale to', '32x32'],
      ['Postprocess crop to', '32x32'],
      ['Postprocess upscaler', 'Lanczos'],
    ]);
  });

  it('cover a size and leave the rest where cropping is off', async () => {
    const params = upscaleParams.parse({
      upscaler: 'Lanczos',
      width: 32,
      height: 32,
      isCropped: false,
    });
    const { pixels } = await upscalePicture(picture(8, 16), params, by);
    expect([pixels.width, pixels.height]).toEqual([32, 64]);
  });
});

describe('upscalers by name', () => {
  const listing: ModelListing = {
    ...{ kind: 'esrgan', name: 'tiny', source: 'bridge', filename: 'tiny.safetensors', url: 'x/' },
    ...{ files: [{ path: 'tiny.safetensors', sizeBytes: 1 }], version: 'v1' },
  };

  async function setUp() {
    const files = await fixtureFiles('esrgan/esrgan-tiny-x4-old.safetensors');
    let opened = 0;
    const runtime = nodeRuntime();
    const upscalers = createUpscalers({
      sources: {
        listings: [listing],
        open() {
          opened += 1;
          return files;
        },
      },
      acquire: async () => runtime,
    });
    return { upscalers, opened: () => opened };
  }

  it('a network gives the reference’s picture, loaded once for several pictures', async () => {
    const references = await readReferences('esrgan-tiny');
    const { data, shape } = references.tensor('16x24.image');
    const [, , height = 0, width = 0] = shape;
    const bytes = Uint8Array.from({ length: height * width * 3 }, (_, at) =>
      Math.round(255 * data[(at % 3) * height * width + Math.floor(at / 3)]!),
    );
    const { upscalers, opened } = await setUp();
    const larger = await upscalers.upscale({ width, height, data: bytes }, 'tiny', 4);
    await upscalers.upscale(picture(8, 8), 'tiny', 4);
    expect(opened()).toBe(1);
    expect([larger.width, larger.height]).toEqual([96, 64]);
    // The picture that goes in has 8 bits here, so the result is near the reference's, not equal to it.
    const expected = references.tensor('16x24.out').data;
    let sum = 0;
    larger.data.forEach((value, at) => {
      const wanted = expected[(at % 3) * 64 * 96 + Math.floor(at / 3)]!;
      sum += Math.abs(value - 255 * Math.min(1, Math.max(0, wanted)));
    });
    expect(sum / larger.data.length).toBeLessThan(1);
    await upscalers.release();
  });

  it('Lanczos and Nearest need no device', async () => {
    const upscalers = createUpscalers({
      sources: { listings: [], open: () => ({ name: '', files: [] }) },
      acquire: () => Promise.reject(new Error('a device was asked for')),
    });
    for (const name of ['Lanczos', 'Nearest']) {
      const { width, height } = await upscalers.upscale(picture(16, 8), name, 2);
      expect([width, height]).toEqual([32, 16]);
    }
  });

  it('an unknown name and a picture beyond all measure have their sentences', async () => {
    const { upscalers } = await setUp();
    await expect(upscalers.upscale(picture(8, 8), 'gone', 2)).rejects.toThrow(
      'There is no upscaler "gone".',
    );
    await expect(upscalers.upscale(picture(512, 512), 'Lanczos', 64)).rejects.toThrow(
      'The picture would become 32768×32768; at most 67 megapixels are made.',
    );
  });
});
