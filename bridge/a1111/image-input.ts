import { GENERATION_LIMITS } from '../../protocol/generation.ts';
import { ApiError } from './errors.ts';

/** A picture that came in a request: its bytes, and what its header says of it. */
export interface InputImage {
  readonly bytes: Buffer;
  readonly format: 'png' | 'jpeg' | 'webp';
  readonly width: number;
  readonly height: number;
}

/** A1111 answers 500 with these words; here the fault is the request's. Clients match the words. */
const INVALID_IMAGE = 'Invalid encoded image';
const MAX_PIXELS = GENERATION_LIMITS.maxSide ** 2;
/** Chunks, segments and fill bytes in front of the size or the pixels; a real file has some hundreds. */
const MAX_PARTS = 2_000;
/** Characters of base64 that are decoded first: nearly every file tells its size in them. */
const HEAD_CHARACTERS = 64 * 1024;

type Header = Omit<InputImage, 'bytes'> & { readonly frames: number };

function invalidImage(): ApiError {
  return new ApiError(422, INVALID_IMAGE);
}

/** The four letters of a PNG chunk as a number: no text is made of every chunk. */
const PIXELS = Buffer.from('IDAT').readUInt32BE();
const ANIMATION = Buffer.from('acTL').readUInt32BE();

function pngHeader(bytes: Buffer): Header {
  if (bytes.toString('latin1', 12, 16) !== 'IHDR') throw invalidImage();
  const size = { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  // The animation chunk has to stand before the first pixel data.
  let frames = 1;
  for (let at = 8, parts = 0; at + 8 <= bytes.length; parts += 1) {
    if (parts > MAX_PARTS) throw invalidImage();
    const name = bytes.readUInt32BE(at + 4);
    if (name === PIXELS) break;
    if (name === ANIMATION) frames = bytes.readUInt32BE(at + 8);
    at += bytes.readUInt32BE(at) + 12;
  }
  return { format: 'png', ...size, frames };
}

/** Start-of-frame markers: all of C0–CF but the tables C4, C8 and CC. */
function isStartOfFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

function jpegHeader(bytes: Buffer): Header {
  let at = 2;
  for (let parts = 0; parts <= MAX_PARTS; parts += 1) {
    if (bytes.readUInt8(at) !== 0xff) throw invalidImage();
    const marker = bytes.readUInt8(at + 1);
    if (marker === 0xff) {
      at += 1;
    } else if (isStartOfFrame(marker)) {
      const size = { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
      return { format: 'jpeg', ...size, frames: 1 };
    } else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
    } else {
      at += 2 + bytes.readUInt16BE(at + 2);
    }
  }
  throw invalidImage();
}

function webpHeader(bytes: Buffer): Header {
  const chunk = bytes.toString('latin1', 12, 16);
  const still = (width: number, height: number): Header => ({
    format: 'webp',
    width,
    height,
    frames: 1,
  });
  if (chunk === 'VP8 ') {
    return still(bytes.readUInt16LE(26) & 0x3fff, bytes.readUInt16LE(28) & 0x3fff);
  }
  if (chunk === 'VP8L') {
    const bits = bytes.readUInt32LE(21);
    return still((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
  }
  if (chunk !== 'VP8X') throw invalidImage();
  const isAnimated = (bytes.readUInt8(20) & 0x02) !== 0;
  return {
    ...still(bytes.readUIntLE(24, 3) + 1, bytes.readUIntLE(27, 3) + 1),
    frames: isAnimated ? 2 : 1,
  };
}

const PNG_MAGIC = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** What the header says; null where the bytes end before it does. */
function readHeader(bytes: Buffer): Header | null {
  try {
    if (bytes.subarray(0, 8).equals(PNG_MAGIC)) return pngHeader(bytes);
    if (bytes[0] === 0xff && bytes[1] === 0xd8) return jpegHeader(bytes);
    const [riff, webp] = [bytes.toString('latin1', 0, 4), bytes.toString('latin1', 8, 12)];
    if (riff === 'RIFF' && webp === 'WEBP') return webpHeader(bytes);
  } catch (error) {
    // Reading beyond the end.
    if (error instanceof RangeError) return null;
    throw error;
  }
  if (bytes.toString('latin1', 0, 4) === 'GIF8') {
    throw new ApiError(422, 'GIF pictures are not accepted: send PNG, JPEG or WebP.');
  }
  throw invalidImage();
}

function checkSize({ width, height }: Header): void {
  const { maxSide } = GENERATION_LIMITS;
  if (width === 0 || height === 0) throw invalidImage();
  if (width > maxSide || height > maxSide || width * height > MAX_PIXELS) {
    throw new ApiError(
      422,
      `The picture is ${width} × ${height} pixels; at most ${maxSide} a side are accepted.`,
    );
  }
}

/**
 * Reads a picture out of a request: base64 with or without a `data:` prefix, white space tolerated, whatever type the
 * prefix claims. Only headers are looked at, the size before the rest is read out of base64; no pixel is decoded.
 * Throws `ApiError` 422: A1111's "Invalid encoded image" for what is no picture, a sentence for addresses, other
 * formats, animations and sizes beyond the limit.
 */
export function readImage(text: string): InputImage {
  const trimmed = text.trimStart();
  if (/^https?:/i.test(trimmed)) {
    throw new ApiError(
      422,
      'Requests not allowed: this server opens no connections. Send the picture itself, as base64.',
    );
  }
  const comma = /^data:[^,]{0,200},/i.exec(trimmed)?.[0].length ?? 0;
  const encoded = comma === 0 ? trimmed : trimmed.slice(comma);
  const head = readHeader(Buffer.from(encoded.slice(0, HEAD_CHARACTERS), 'base64'));
  if (head) checkSize(head);
  const bytes = Buffer.from(encoded, 'base64');
  const whole = readHeader(bytes);
  if (!whole) throw invalidImage();
  checkSize(whole);
  const { frames, ...header } = whole;
  if (frames > 1) throw new ApiError(422, 'Animated pictures are not accepted: send one frame.');
  return { bytes, ...header };
}
