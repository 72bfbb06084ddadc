import { concatBytes, latin1Text, startsWithBytes, viewOf } from './bytes.ts';
import { GenerationError } from './errors.ts';

/** The eight bytes at the start of every PNG. */
export const PNG_SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

export interface PngChunk {
  /** Four letters. */
  readonly type: string;
  readonly data: Uint8Array;
  /** Place of the whole chunk in the file. */
  readonly start: number;
  readonly end: number;
}

const CHUNK_OVERHEAD = 12;
/** More chunks than any real file has: real ones have one IDAT for each 8 KiB at least. */
const MAX_CHUNKS = 200_000;

/**
 * The chunks of a PNG up to IEND one by one, unknown ones too; what follows IEND is ignored. Throws `invalid-request`
 * where the file is no PNG, is cut short, does not begin with its header, has no end, or more than `maxChunks`.
 */
export function* walkPngChunks(bytes: Uint8Array, maxChunks = MAX_CHUNKS): Generator<PngChunk> {
  if (!startsWithBytes(bytes, PNG_SIGNATURE)) throw broken('it does not start like a PNG');
  const view = viewOf(bytes);
  let start = PNG_SIGNATURE.length;
  for (let count = 0; ; count += 1) {
    if (start + CHUNK_OVERHEAD > bytes.length) throw broken('it ends before its last chunk');
    const size = view.getUint32(start);
    const end = start + CHUNK_OVERHEAD + size;
    const type = latin1Text(bytes.subarray(start + 4, start + 8));
    if (!/^[A-Za-z]{4}$/.test(type)) throw broken('a chunk has no valid type');
    if (end > bytes.length) throw broken(`its ${type} chunk is cut short`);
    if (count === 0 && (type !== 'IHDR' || size !== 13)) {
      throw broken('its header is not where it should be');
    }
    if (count >= maxChunks) throw broken('it has too many chunks');
    yield { type, data: bytes.subarray(start + 8, end - 4), start, end };
    start = end;
    if (type === 'IEND') return;
  }
}

/** All chunks of a PNG up to IEND. Throws as `walkPngChunks` does. */
export function readPngChunks(bytes: Uint8Array): PngChunk[] {
  return [...walkPngChunks(bytes)];
}

/** Throws `invalid-request` where a chunk's checksum does not fit. */
export function checkPngChunk(bytes: Uint8Array, { type, start, end }: PngChunk): void {
  const stored = viewOf(bytes).getUint32(end - 4);
  if (crc32(bytes.subarray(start + 4, end - 4)) !== stored) {
    throw broken(`the checksum of its ${type} chunk does not fit`);
  }
}

/** A whole chunk with its length and checksum. */
export function makePngChunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const typeBytes = Uint8Array.from(type, (letter) => letter.charCodeAt(0));
  const chunk = concatBytes([new Uint8Array(4), typeBytes, data, new Uint8Array(4)]);
  const view = viewOf(chunk);
  view.setUint32(0, data.length);
  view.setUint32(chunk.length - 4, crc32(chunk.subarray(4, chunk.length - 4)));
  return chunk;
}

export function broken(what: string): GenerationError {
  return new GenerationError(
    'invalid-request',
    `The PNG picture is broken: ${what}. Send the whole, unchanged file.`,
  );
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 as PNG, zlib and gzip have it, as an unsigned number. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
