import { afterEach, expect, test, vi } from 'vitest';
import { encodeImage } from '../../../web/engine/images/encode-image.ts';

/** What a browser's canvas is asked for; its encoders themselves are the browser's. */

const PICTURE = { width: 2, height: 1, data: new Uint8Array(6).fill(9) };
const asked: { type: string; quality: number }[] = [];

class FakeCanvas {
  getContext = () => ({ putImageData() {} });
  convertToBlob(options: { type: string; quality: number }) {
    asked.push(options);
    return Promise.resolve(new Blob([Uint8Array.of(1)], { type: options.type }));
  }
}
class FakeImageData {}

afterEach(() => vi.unstubAllGlobals());

test.each([
  ['jpg', {}, 'image/jpeg', 0.8],
  ['jpg', { quality: 35 }, 'image/jpeg', 0.35],
  ['jpg', { quality: 100, isLossless: true }, 'image/jpeg', 1],
  ['webp', { quality: 35 }, 'image/webp', 0.35],
  // 1 would be without loss.
  ['webp', { quality: 100 }, 'image/webp', 0.99],
  ['webp', { quality: 35, isLossless: true }, 'image/webp', 1],
] as const)('%s with %j', async (format, options, type, quality) => {
  vi.stubGlobal('OffscreenCanvas', FakeCanvas);
  vi.stubGlobal('ImageData', FakeImageData);
  expect(await encodeImage(PICTURE, format, '', options)).toEqual(Uint8Array.of(1));
  expect(asked.pop()).toEqual({ type, quality });
});
