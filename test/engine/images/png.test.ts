import { inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkPngChunk, readPngChunks } from '../../../protocol/png-chunks.ts';
import { readPngText } from '../../../protocol/png-text.ts';
import { encodeImage } from '../../../web/engine/images/encode-image.ts';
import type { Pixels } from '../../../web/engine/images/pixels.ts';
import { encodePng } from '../../../web/engine/images/png.ts';

/** Undoes the filters by the letter of the standard (§9.2): a decoder that shares nothing with the encoder. */
function decode(bytes: Uint8Array): Pixels {
  const chunks = readPngChunks(bytes);
  for (const chunk of chunks) checkPngChunk(bytes, chunk);
  const header = Buffer.from(chunks[0]!.data);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  expect([...header.subarray(8)]).toEqual([8, 2, 0, 0, 0]);
  const raw = inflateSync(
    Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data)),
  );
  const stride = width * 3;
  expect(raw.length).toBe(height * (stride + 1));
  const data = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)]!;
    for (let i = 0; i < stride; i++) {
      const a = i < 3 ? 0 : data[y * stride + i - 3]!;
      const b = y === 0 ? 0 : data[(y - 1) * stride + i]!;
      const c = i < 3 || y === 0 ? 0 : data[(y - 1) * stride + i - 3]!;
      const p = a + b - c;
      const distances = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)];
      const paeth = [a, b, c][distances.indexOf(Math.min(...distances))]!;
      const predicted = [0, a, b, Math.floor((a + b) / 2), paeth][filter]!;
      data[y * stride + i] = raw[y * (stride + 1) + 1 + i]! + predicted;
    }
  }
  return { width, height, data };
}

const pixels = fc
  .record({ width: fc.integer({ min: 1, max: 12 }), height: fc.integer({ min: 1, max: 12 }) })
  .chain(({ width, height }) =>
    fc
      .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
      .map((data) => ({ width, height, data: Uint8Array.from(data) })),
  );

/** A smooth picture, for which every filter is worth something. */
const GRADIENT: Pixels = {
  width: 64,
  height: 64,
  data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => {
    const [x, y, channel] = [Math.floor(i / 3) % 64, Math.floor(i / 192), i % 3];
    return (x * 2 + y * (channel + 1) + ((x * y) >> 5)) & 0xff;
  }),
};

describe('PNG', () => {
  test('holds any pixels', async () => {
    await fc.assert(
      fc.asyncProperty(pixels, async (picture) => {
        expect(decode(await encodePng(picture))).toEqual(picture);
      }),
    );
  });

  test('is the same bytes for the same pixels', async () => {
    expect(await encodePng(GRADIENT)).toEqual(await encodePng(GRADIENT));
    expect(decode(await encodePng(GRADIENT))).toEqual(GRADIENT);
  });

  test('filters rows: a smooth picture takes a fraction of its bytes', async () => {
    expect((await encodePng(GRADIENT)).length).toBeLessThan(GRADIENT.data.length / 8);
  });

  test('carries the infotext where A1111 puts it', async () => {
    for (const infotext of ['a cat\nSteps: 20, Seed: 1', 'ein Kätzchen, 猫\nSteps: 20']) {
      const file = await encodeImage(GRADIENT, 'png', infotext);
      expect(await readPngText(file)).toEqual({ parameters: infotext });
      expect(decode(file)).toEqual(GRADIENT);
    }
  });
});
