import { concatBytes, latin1Bytes, latin1Text } from './bytes.ts';
import { GenerationError } from './errors.ts';
import {
  broken,
  checkPngChunk,
  makePngChunk,
  PNG_SIGNATURE,
  type PngChunk,
  readPngChunks,
} from './png-chunks.ts';
import { webPlatform } from './web-platform.ts';

export interface ReadPngTextOptions {
  /** Largest text of one chunk in bytes, after inflating. */
  readonly maxTextBytes?: number;
  /** Largest size of all texts together in bytes. */
  readonly maxTotalBytes?: number;
}

const TEXT_TYPES: ReadonlySet<string> = new Set(['tEXt', 'zTXt', 'iTXt']);

/**
 * The text chunks of a PNG by keyword, compressed ones too; of equal keywords the last counts. `parameters` is where
 * A1111 keeps the infotext. Throws `invalid-request` for a file that is no whole PNG, for a text chunk that is broken,
 * and for texts that inflate beyond the limits (1 MiB a chunk, 8 MiB in all).
 */
export async function readPngText(
  bytes: Uint8Array,
  options: ReadPngTextOptions = {},
): Promise<Record<string, string>> {
  const { maxTextBytes = 1 << 20, maxTotalBytes = 8 << 20 } = options;
  const texts: { keyword: string; isUtf8: boolean; parts: readonly Uint8Array[] }[] = [];
  let room = maxTotalBytes;
  for (const chunk of readPngChunks(bytes)) {
    if (!TEXT_TYPES.has(chunk.type)) continue;
    checkPngChunk(bytes, chunk);
    const { keyword, isUtf8, isDeflated, data } = splitTextChunk(chunk);
    const limit = Math.min(maxTextBytes, room);
    const parts = isDeflated ? await inflate(data, limit) : [data];
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    if (size > limit) throw tooLong();
    room -= size;
    texts.push({ keyword, isUtf8, parts });
  }
  // Joined and read last: a picture that holds too much costs neither.
  return Object.fromEntries(
    texts.map(({ keyword, isUtf8, parts }) => {
      const text = concatBytes(parts);
      return [keyword, isUtf8 ? utf8Text(text) : latin1Text(text)];
    }),
  );
}

/**
 * A copy of a PNG with these texts in it, in front of the pixels; texts that it had under the same keywords go.
 * As Pillow does, a Latin-1 text becomes a tEXt chunk and any other an iTXt chunk. Throws `invalid-request` for a
 * file that is no whole PNG, and `RangeError` for a keyword that PNG does not allow.
 */
export function writePngText(
  bytes: Uint8Array,
  texts: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const [header, ...rest] = readPngChunks(bytes);
  if (!header) throw broken('it has no header');
  const kept = rest.filter(
    (chunk) => !(TEXT_TYPES.has(chunk.type) && Object.hasOwn(texts, splitTextChunk(chunk).keyword)),
  );
  return concatBytes([
    PNG_SIGNATURE,
    bytes.subarray(header.start, header.end),
    ...Object.entries(texts).map(([keyword, text]) => makeTextChunk(keyword, text)),
    ...kept.map(({ start, end }) => bytes.subarray(start, end)),
  ]);
}

function makeTextChunk(keyword: string, text: string): Uint8Array<ArrayBuffer> {
  const key = latin1Bytes(keyword);
  // 1 to 79 printable Latin-1 characters, blanks single and inside (PNG specification, 11.3.3.1).
  if (!key || !/^[!-~\xa1-\xff]+(?: [!-~\xa1-\xff]+)*$/.test(keyword) || key.length > 79) {
    throw new RangeError('a PNG keyword is 1 to 79 printable Latin-1 characters');
  }
  const plain = latin1Bytes(text);
  if (plain) return makePngChunk('tEXt', concatBytes([key, new Uint8Array(1), plain]));
  // No compression, no language, no translated keyword.
  const utf8 = new webPlatform.TextEncoder().encode(text);
  return makePngChunk('iTXt', concatBytes([key, new Uint8Array(5), utf8]));
}

interface TextChunk {
  readonly keyword: string;
  readonly isUtf8: boolean;
  readonly isDeflated: boolean;
  readonly data: Uint8Array;
}

function splitTextChunk({ type, data }: PngChunk): TextChunk {
  const [key, rest] = splitAtZero(data, type);
  const keyword = latin1Text(key);
  if (type === 'tEXt') return { keyword, isUtf8: false, isDeflated: false, data: rest };
  if (type === 'zTXt') {
    checkMethod(rest[0], type);
    return { keyword, isUtf8: false, isDeflated: true, data: rest.subarray(1) };
  }
  const [flag, method] = rest;
  if (flag !== 0) checkMethod(method, type);
  const [, afterLanguage] = splitAtZero(rest.subarray(2), type);
  const [, text] = splitAtZero(afterLanguage, type);
  return { keyword, isUtf8: true, isDeflated: flag !== 0, data: text };
}

function splitAtZero(data: Uint8Array, type: string): [Uint8Array, Uint8Array] {
  const zero = data.indexOf(0);
  if (zero < 0) throw broken(`its ${type} chunk is not divided into keyword and text`);
  return [data.subarray(0, zero), data.subarray(zero + 1)];
}

function checkMethod(method: number | undefined, type: string): void {
  if (method !== 0) throw broken(`its ${type} chunk is compressed in an unknown way`);
}

function utf8Text(bytes: Uint8Array): string {
  return new webPlatform.TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}

function tooLong(): GenerationError {
  return new GenerationError(
    'invalid-request',
    'The picture holds more text than is read from one. Remove its text chunks, or send the infotext alone.',
  );
}

/** Inflates a zlib stream and stops as soon as it gives more than `limit` bytes. */
async function inflate(data: Uint8Array, limit: number): Promise<readonly Uint8Array[]> {
  const { readable, writable } = new webPlatform.DecompressionStream('deflate');
  const reader = readable.getReader();
  const writer = writable.getWriter();
  // A broken stream fails the reader as well; the writer's own rejection would be reported as unhandled.
  const written = writer
    .write(data)
    .then(() => writer.close())
    .catch(() => {});
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || !value) break;
      size += value.length;
      if (size > limit) {
        await reader.cancel();
        throw tooLong();
      }
      parts.push(value);
    }
  } catch (error) {
    if (error instanceof GenerationError) throw error;
    throw broken('a compressed text can not be read');
  }
  await written;
  return parts;
}
