import { concatBytes, startsWithBytes, viewOf } from './bytes.ts';
import { GenerationError } from './errors.ts';

const EXIF_ID = Uint8Array.from('Exif\0\0', (letter) => letter.charCodeAt(0));
const APP0 = 0xe0;
const APP1 = 0xe1;
const START_OF_SCAN = 0xda;
const END_OF_IMAGE = 0xd9;
const MAX_SEGMENT_BYTES = 0xffff;
/** Segments and fill bytes in front of the pixels: the largest colour profile takes 255 segments. */
const MAX_PARTS = 2_000;

interface Segment {
  readonly marker: number;
  /** Place of the whole segment, its marker included. */
  readonly start: number;
  readonly end: number;
  readonly data: Uint8Array;
}

/** The segments in front of the pixels. Throws `invalid-request` where the file is cut short before them. */
function readSegments(bytes: Uint8Array): Segment[] {
  const view = viewOf(bytes);
  const segments: Segment[] = [];
  let fillBytes = 0;
  for (let at = 2; ; ) {
    // Fill bytes may stand before any marker.
    while (bytes[at] === 0xff && bytes[at + 1] === 0xff && fillBytes <= MAX_PARTS) {
      at++;
      fillBytes++;
    }
    if (segments.length + fillBytes > MAX_PARTS) throw broken('it has too many segments');
    const marker = bytes[at + 1];
    if (bytes[at] !== 0xff || marker === undefined) throw broken('a segment is missing');
    if (marker === START_OF_SCAN || marker === END_OF_IMAGE) return segments;
    if (at + 4 > bytes.length) throw broken('it ends before its pixels');
    const end = at + 2 + view.getUint16(at + 2);
    if (end < at + 4 || end > bytes.length) throw broken('it ends before its pixels');
    segments.push({ marker, start: at, end, data: bytes.subarray(at + 4, end) });
    at = end;
  }
}

function isExif({ marker, data }: Segment): boolean {
  return marker === APP1 && startsWithBytes(data, EXIF_ID);
}

/** The TIFF data of a JPEG's EXIF segment, or null. */
export function jpegExif(bytes: Uint8Array): Uint8Array | null {
  return readSegments(bytes).find(isExif)?.data.subarray(EXIF_ID.length) ?? null;
}

/** A copy of a JPEG with this EXIF data in place of its own, behind the JFIF segment. */
export function withJpegExif(bytes: Uint8Array, tiff: Uint8Array): Uint8Array<ArrayBuffer> {
  const size = 2 + EXIF_ID.length + tiff.length;
  if (size > MAX_SEGMENT_BYTES) {
    throw new GenerationError(
      'invalid-request',
      'The infotext is too long for a JPEG picture. Choose PNG or WebP, or shorten the prompt.',
    );
  }
  const segments = readSegments(bytes);
  const kept = segments.filter((segment) => !isExif(segment));
  const first = kept.filter(({ marker }) => marker === APP0);
  const others = kept.filter(({ marker }) => marker !== APP0);
  const slice = ({ start, end }: Segment): Uint8Array => bytes.subarray(start, end);
  return concatBytes([
    bytes.subarray(0, 2),
    ...first.map(slice),
    Uint8Array.of(0xff, APP1, size >> 8, size & 0xff),
    EXIF_ID,
    tiff,
    ...others.map(slice),
    bytes.subarray(segments.at(-1)?.end ?? 2),
  ]);
}

function broken(what: string): GenerationError {
  return new GenerationError(
    'invalid-request',
    `The JPEG picture is broken: ${what}. Send the whole, unchanged file.`,
  );
}
