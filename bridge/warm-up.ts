import { parseBody } from './a1111/json-body.ts';
import { readPngInfo } from './a1111/png-info.ts';
import { img2imgRequest, pngInfoRequest } from './a1111/schemas.ts';

/** The smallest PNG: one grey pixel. */
const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==';
/** As long as what clients send for a picture. */
const BODY_BYTES = 4 * 1024 ** 2;

/**
 * Reads a picture as a request's is read, while nobody waits for it: what a start leaves to be compiled and
 * collected would else be paid for by the first client, some 30 ms.
 */
export async function warmUp(): Promise<void> {
  const text = JSON.stringify({ init_images: [PIXEL.padEnd(BODY_BYTES)] });
  const [image = ''] = parseBody(JSON.parse(text), img2imgRequest).init_images ?? [];
  await readPngInfo(parseBody({ image }, pngInfoRequest).image);
}
