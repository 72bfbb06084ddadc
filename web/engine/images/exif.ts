/**
 * EXIF with one field, the user comment, where A1111 keeps a JPEG's or WebP's infotext
 * (Exif 2.32 §4.6.5; text as UTF-16, big-endian, as `piexif` writes it).
 */

const TAG_EXIF_IFD = 0x8769;
const TAG_USER_COMMENT = 0x9286;
const TYPE_LONG = 4;
const TYPE_UNDEFINED = 7;
const CHARSET = 'UNICODE\0';
/** A JPEG segment's length has 16 bits and counts itself and the marker `Exif`. */
const MAX_TIFF_BYTES = 0xffff - 2 - 6;
const HEADER_BYTES = 8;
const DIRECTORY_BYTES = 2 + 12 + 4;
const COMMENT_OFFSET = HEADER_BYTES + 2 * DIRECTORY_BYTES;
const MAX_CHARACTERS = Math.floor((MAX_TIFF_BYTES - COMMENT_OFFSET - CHARSET.length) / 2);

/** The TIFF block with `text` as user comment; text beyond what a JPEG segment holds is cut off. */
export function createExif(text: string): Uint8Array<ArrayBuffer> {
  const kept = text.slice(0, MAX_CHARACTERS);
  const commentBytes = CHARSET.length + kept.length * 2;
  const out = new Uint8Array(COMMENT_OFFSET + commentBytes);
  const view = new DataView(out.buffer);
  out.set(ascii('MM'));
  view.setUint16(2, 42);
  view.setUint32(4, HEADER_BYTES);
  const exifOffset = HEADER_BYTES + DIRECTORY_BYTES;
  writeDirectory(view, HEADER_BYTES, TAG_EXIF_IFD, TYPE_LONG, 1, exifOffset);
  writeDirectory(view, exifOffset, TAG_USER_COMMENT, TYPE_UNDEFINED, commentBytes, COMMENT_OFFSET);
  out.set(ascii(CHARSET), COMMENT_OFFSET);
  for (let i = 0; i < kept.length; i++) {
    view.setUint16(COMMENT_OFFSET + CHARSET.length + 2 * i, kept.charCodeAt(i));
  }
  return out;
}

/** An image file directory with a single entry. */
function writeDirectory(
  view: DataView,
  offset: number,
  tag: number,
  type: number,
  count: number,
  value: number,
): void {
  view.setUint16(offset, 1);
  view.setUint16(offset + 2, tag);
  view.setUint16(offset + 4, type);
  view.setUint32(offset + 6, count);
  view.setUint32(offset + 10, value);
}

/** A JPEG with the block behind its first marker. */
export function addExifToJpeg(jpeg: Uint8Array, exif: Uint8Array): Uint8Array<ArrayBuffer> {
  const segment = new Uint8Array(4 + 6 + exif.length);
  segment.set([0xff, 0xe1]);
  new DataView(segment.buffer).setUint16(2, 2 + 6 + exif.length);
  segment.set(ascii('Exif\0\0'), 4);
  segment.set(exif, 10);
  return join([jpeg.subarray(0, 2), segment, jpeg.subarray(2)]);
}

const EXIF_FLAG = 0x08;

/** A WebP with the block as its last chunk; a simple file becomes an extended one (`VP8X`). */
export function addExifToWebp(
  webp: Uint8Array,
  exif: Uint8Array,
  { width, height }: { width: number; height: number },
): Uint8Array<ArrayBuffer> {
  let body = webp.subarray(12);
  const first = String.fromCharCode(...body.subarray(0, 4));
  let extended: Uint8Array;
  if (first === 'VP8X') {
    extended = body.slice(0, 18);
    body = body.subarray(18);
  } else {
    const header = new Uint8Array(10);
    writeUint24(header, 4, width - 1);
    writeUint24(header, 7, height - 1);
    extended = riffChunk('VP8X', header);
  }
  extended[8] = (extended[8] ?? 0) | EXIF_FLAG;
  const chunks = join([ascii('WEBP'), extended, body, riffChunk('EXIF', exif)]);
  return riffChunk('RIFF', chunks);
}

function riffChunk(name: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(8 + body.length + (body.length % 2));
  out.set(ascii(name));
  new DataView(out.buffer).setUint32(4, body.length, true);
  out.set(body, 8);
  return out;
}

function writeUint24(out: Uint8Array, offset: number, value: number): void {
  out[offset] = value & 0xff;
  out[offset + 1] = (value >> 8) & 0xff;
  out[offset + 2] = (value >> 16) & 0xff;
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}
