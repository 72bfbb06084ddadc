import { GenerationError } from '../../../protocol/errors.ts';
import type { RgbaPixels } from './rgba.ts';

/** Larger pictures would take gigabytes once decoded. */
const MAX_PIXELS = 64 * 2 ** 20;

/**
 * Decodes a picture that a client sent as base64 of a PNG, JPEG, WebP or GIF file: upright, with
 * its transparency. `what` names the picture in errors. Rejects with `invalid-request` for anything else.
 */
export async function decodeImage(base64: string, what: string): Promise<RgbaPixels> {
  const bitmap = await decodeBitmap(decodeBase64(base64, what), what);
  try {
    const { width, height } = bitmap;
    if (width * height > MAX_PIXELS) {
      throw new GenerationError(
        'invalid-request',
        `${what} is ${width}×${height}; pictures of more than 67 megapixels are not taken.`,
      );
    }
    const context = new OffscreenCanvas(width, height).getContext('2d', {
      willReadFrequently: true,
    });
    if (!context) throw new GenerationError('internal', 'This browser gives the worker no canvas.');
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return { width, height, data: new Uint8Array(data) };
  } finally {
    bitmap.close();
  }
}

function decodeBase64(base64: string, what: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    throw new GenerationError('invalid-request', `${what} is not valid base64.`);
  }
}

async function decodeBitmap(bytes: Uint8Array<ArrayBuffer>, what: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(new Blob([bytes]), {
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
  } catch (error) {
    throw new GenerationError(
      'invalid-request',
      `${what} is no picture that this browser reads: send a PNG, JPEG or WebP file.`,
      { cause: error },
    );
  }
}
