import { concatBytes, latin1Text, startsWithBytes, viewOf } from './bytes.ts';
import { GenerationError } from './errors.ts';

const EXIF_ID = Uint8Array.from('Exif\0\0', (letter) => letter.charCodeAt(0));
const EXIF_FLAG = 0x08;
const ALPHA_FLAG = 0x10;
/** A still picture has some ten chunks, an animation two for each of its frames. */
const MAX_CHUNKS = 2_000;

interface Chunk {
  /** Four characters, such as `VP8X` or `EXIF`. */
  readonly id: string;
  readonly data: Uint8Array;
}

/** The chunks of a WebP file. Throws `invalid-request` where it is none, or cut short. */
function readChunks(bytes: Uint8Array): Chunk[] {
  const isWebp =
    bytes.length >= 12 &&
    latin1Text(bytes.subarray(0, 4)) === 'RIFF' &&
    latin1Text(bytes.subarray(8, 12)) === 'WEBP';
  if (!isWebp) throw broken('it does not start like a WebP or a JPEG');
  const view = viewOf(bytes);
  const end = 8 + view.getUint32(4, true);
  if (end > bytes.length) throw broken('it is cut short');
  const chunks: Chunk[] = [];
  for (let at = 12; at + 8 <= end; ) {
    const size = view.getUint32(at + 4, true);
    if (at + 8 + size > end) throw broken('a chunk is cut short');
    if (chunks.length >= MAX_CHUNKS) throw broken('it has too many chunks');
    const id = latin1Text(bytes.subarray(at, at + 4));
    chunks.push({ id, data: bytes.subarray(at + 8, at + 8 + size) });
    at += 8 + size + (size & 1);
  }
  return chunks;
}

/** The TIFF data of a WebP's EXIF chunk, or null. */
export function webpExif(bytes: Uint8Array): Uint8Array | null {
  const data = readChunks(bytes).find(({ id }) => id === 'EXIF')?.data;
  if (!data) return null;
  // By the format's own rule there is no `Exif` in front; some writers put it there.
  return startsWithBytes(data, EXIF_ID) ? data.subarray(EXIF_ID.length) : data;
}

/** A copy of a WebP with this EXIF data in place of its own; a simple file becomes an extended one. */
export function withWebpExif(bytes: Uint8Array, tiff: Uint8Array): Uint8Array<ArrayBuffer> {
  const chunks = readChunks(bytes);
  const header = extendedHeader(chunks);
  const others = chunks.filter(({ id }) => id !== 'VP8X' && id !== 'EXIF');
  const body = [{ id: 'VP8X', data: header }, ...others, { id: 'EXIF', data: tiff }].map(makeChunk);
  const size = body.reduce((sum, part) => sum + part.length, 4);
  const head = Uint8Array.from('RIFF\0\0\0\0WEBP', (letter) => letter.charCodeAt(0));
  viewOf(head).setUint32(4, size, true);
  return concatBytes([head, ...body]);
}

function makeChunk({ id, data }: Chunk): Uint8Array {
  const chunk = new Uint8Array(8 + data.length + (data.length & 1));
  chunk.set(Uint8Array.from(id, (letter) => letter.charCodeAt(0)));
  viewOf(chunk).setUint32(4, data.length, true);
  chunk.set(data, 8);
  return chunk;
}

/** The data of a VP8X chunk that says there is EXIF data: the file's own, or one made from its bitstream. */
function extendedHeader(chunks: readonly Chunk[]): Uint8Array {
  const own = chunks.find(({ id }) => id === 'VP8X')?.data;
  if (own && own.length >= 10) {
    const header = Uint8Array.from(own);
    header[0] = (header[0] ?? 0) | EXIF_FLAG;
    return header;
  }
  const { width, height, hasAlpha } = bitstreamSize(chunks);
  const header = new Uint8Array(10);
  header[0] = EXIF_FLAG | (hasAlpha ? ALPHA_FLAG : 0);
  for (let i = 0; i < 3; i++) {
    header[4 + i] = (width - 1) >> (8 * i);
    header[7 + i] = (height - 1) >> (8 * i);
  }
  return header;
}

/** Size in pixels from the lossy (RFC 6386, 9.1) or lossless bitstream's own header. */
function bitstreamSize(chunks: readonly Chunk[]): {
  width: number;
  height: number;
  hasAlpha: boolean;
} {
  const lossy = chunks.find(({ id }) => id === 'VP8 ')?.data;
  if (lossy && lossy.length >= 10 && startsWithBytes(lossy, Uint8Array.of(0x9d, 0x01, 0x2a), 3)) {
    const view = viewOf(lossy);
    return {
      width: view.getUint16(6, true) & 0x3fff,
      height: view.getUint16(8, true) & 0x3fff,
      hasAlpha: false,
    };
  }
  const lossless = chunks.find(({ id }) => id === 'VP8L')?.data;
  if (lossless && lossless.length >= 5 && lossless[0] === 0x2f) {
    const bits = viewOf(lossless).getUint32(1, true);
    return {
      width: (bits & 0x3fff) + 1,
      height: ((bits >>> 14) & 0x3fff) + 1,
      hasAlpha: ((bits >>> 28) & 1) === 1,
    };
  }
  throw broken('it holds no picture');
}

function broken(what: string): GenerationError {
  return new GenerationError(
    'invalid-request',
    `The WebP picture is broken: ${what}. Send the whole, unchanged file.`,
  );
}
