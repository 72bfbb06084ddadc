import { concatBytes, latin1Text, startsWithBytes, textOfCodes, viewOf } from './bytes.ts';
import { GenerationError } from './errors.ts';
import { jpegExif, withJpegExif } from './jpeg-segments.ts';
import { webPlatform } from './web-platform.ts';
import { webpExif, withWebpExif } from './webp-chunks.ts';

const JPEG_START = Uint8Array.of(0xff, 0xd8, 0xff);
const EXIF_POINTER_TAG = 0x8769;
const USER_COMMENT_TAG = 0x9286;
const UNDEFINED_TYPE = 7;
const LONG_TYPE = 4;
const UNICODE_CODE = Uint8Array.from('UNICODE\0', (letter) => letter.charCodeAt(0));
const ASCII_CODE = Uint8Array.from('ASCII\0\0\0', (letter) => letter.charCodeAt(0));
/** Directory entries looked at: cameras write some fifty. */
const MAX_ENTRIES = 1000;
const MAX_COMMENT_BYTES = 1 << 20;

/**
 * The EXIF user comment of a JPEG or WebP picture, which is where A1111 keeps the infotext there; null where it has
 * none, or none that can be read. Throws `invalid-request` for a file that is neither, or that is cut short, and for
 * a comment of more than 1 MiB.
 */
export function readExifText(bytes: Uint8Array): string | null {
  const tiff = isJpeg(bytes) ? jpegExif(bytes) : webpExif(bytes);
  const comment = tiff && userComment(tiff);
  if (!comment) return null;
  if (comment.length > MAX_COMMENT_BYTES) {
    throw new GenerationError(
      'invalid-request',
      'The picture holds more text than is read from one. Remove its EXIF data, or send the infotext alone.',
    );
  }
  return commentText(comment);
}

/**
 * A copy of a JPEG or WebP picture whose EXIF data is this user comment alone, as A1111 writes it: code `UNICODE`,
 * UTF-16 with the high byte first. Throws `invalid-request` for a file that is neither, and for a text too long for a
 * JPEG (about 32,700 characters): that picture can be saved as PNG or WebP.
 */
export function writeExifText(bytes: Uint8Array, text: string): Uint8Array<ArrayBuffer> {
  const tiff = makeTiff(concatBytes([UNICODE_CODE, utf16Bytes(text)]));
  return isJpeg(bytes) ? withJpegExif(bytes, tiff) : withWebpExif(bytes, tiff);
}

function isJpeg(bytes: Uint8Array): boolean {
  return startsWithBytes(bytes, JPEG_START);
}

function utf16Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 2);
  const view = viewOf(bytes);
  for (let i = 0; i < text.length; i++) view.setUint16(i * 2, text.charCodeAt(i));
  return bytes;
}

/** A TIFF header, a directory that points to the EXIF directory, and that with the comment in it. */
function makeTiff(comment: Uint8Array): Uint8Array<ArrayBuffer> {
  const exifOffset = 26;
  const commentOffset = 44;
  const head = new Uint8Array(commentOffset);
  const view = viewOf(head);
  view.setUint32(0, 0x4d4d002a);
  view.setUint32(4, 8);
  writeDirectory(view, 8, EXIF_POINTER_TAG, LONG_TYPE, 1, exifOffset);
  writeDirectory(view, exifOffset, USER_COMMENT_TAG, UNDEFINED_TYPE, comment.length, commentOffset);
  return concatBytes([head, comment]);
}

function writeDirectory(
  view: DataView,
  at: number,
  tag: number,
  type: number,
  count: number,
  value: number,
): void {
  view.setUint16(at, 1);
  view.setUint16(at + 2, tag);
  view.setUint16(at + 4, type);
  view.setUint32(at + 6, count);
  view.setUint32(at + 10, value);
}

interface Entry {
  readonly count: number;
  /** The value, or where it lies. */
  readonly value: number;
}

/** The bytes of the user comment in TIFF data of either byte order; null where they are not to be found. */
function userComment(tiff: Uint8Array): Uint8Array | null {
  const view = viewOf(tiff);
  if (tiff.length < 8) return null;
  const order = view.getUint16(0);
  if (order !== 0x4d4d && order !== 0x4949) return null;
  const littleEndian = order === 0x4949;
  const pointer = findEntry(view, view.getUint32(4, littleEndian), EXIF_POINTER_TAG, littleEndian);
  const comment = pointer && findEntry(view, pointer.value, USER_COMMENT_TAG, littleEndian);
  if (!comment || comment.count <= 4) return null;
  const end = comment.value + comment.count;
  return end <= tiff.length ? tiff.subarray(comment.value, end) : null;
}

function findEntry(view: DataView, at: number, tag: number, littleEndian: boolean): Entry | null {
  if (at + 2 > view.byteLength) return null;
  const entries = Math.min(view.getUint16(at, littleEndian), MAX_ENTRIES);
  for (let i = 0; i < entries; i++) {
    const entry = at + 2 + i * 12;
    if (entry + 12 > view.byteLength) return null;
    if (view.getUint16(entry, littleEndian) === tag) {
      return {
        count: view.getUint32(entry + 4, littleEndian),
        value: view.getUint32(entry + 8, littleEndian),
      };
    }
  }
  return null;
}

function commentText(comment: Uint8Array): string {
  if (startsWithBytes(comment, UNICODE_CODE)) return utf16Text(comment.subarray(8));
  if (startsWithBytes(comment, ASCII_CODE)) return latin1Text(comment.subarray(8));
  // Without a code the bytes are taken as UTF-8, what does not fit left out.
  const text = new webPlatform.TextDecoder('utf-8').decode(comment);
  return text.replace(/^\0+/, '').replaceAll('\ufffd', '');
}

/** UTF-16, by the standard in the file's byte order but mostly high byte first: the order with more zero high bytes. */
function utf16Text(bytes: Uint8Array): string {
  let zeros = 0;
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    zeros += Number(bytes[i] === 0) - Number(bytes[i + 1] === 0);
  }
  const view = viewOf(bytes);
  const codes = new Uint16Array(bytes.length >> 1);
  for (let i = 0; i < codes.length; i++) codes[i] = view.getUint16(i * 2, zeros < 0);
  return textOfCodes(codes);
}
