import { concatBytes, latin1Bytes, latin1Text } from './bytes.ts';
import { GenerationError } from './errors.ts';
import {
  broken,
  checkPngChunk,
  makePngChunk,
  PNG_SIGNATURE,
  type PngChunk,
  readPngChunks,
  walkPngChunks,
} from './png-chunks.ts';
import { webPlatform } from './web-platform.ts';

export interface ReadPngTextOptions {
  /** Largest text of one chunk in bytes, after inflating. */
  readonly maxTextBytes?: number;
  /** Largest size of all texts together in bytes. */
  readonly maxTotalBytes?: number;
  /** What inflates compressed texts; the web's own streams where none is given. */
  readonly inflate?: Inflate;
}

/** Inflates a zlib stream; null where it gives more than `limit` bytes. Throws for one that is broken. */
export type Inflate = (
  data: Uint8Array,
  limit: number,
) => Uint8Array | null | Promise<Uint8Array | null>;

const TEXT_TYPES: ReadonlySet<string> = new Set(['tEXt', 'zTXt', 'iTXt']);
/** Twice the chunks that the largest picture of a request has. */
const MAX_CHUNKS = 16_384;
/** Room in a chunk for what stands before its text: keyword, language, translated keyword. */
const MAX_TEXT_HEAD_BYTES = 1024;

/**
 * The text chunks of a PNG by keyword, compressed ones too; of equal keywords the last counts. `parameters` is where
 * A1111 keeps the infotext. Throws `invalid-request` for a file that is no whole PNG, for a text chunk that is broken,
 * and for texts that inflate beyond the limits (1 MiB a chunk, 4 MiB in all).
 */
export async function readPngText(
  bytes: Uint8Array,
  options: ReadPngTextOptions = {},
): Promise<Record<string, string>> {
  const { maxTextBytes = 1 << 20, maxTotalBytes = 4 << 20, inflate = inflateByStream } = options;
  const texts: { keyword: string; isUtf8: boolean; text: Uint8Array }[] = [];
  let room = maxTotalBytes;
  for (const chunk of walkPngChunks(bytes, MAX_CHUNKS)) {
    if (!TEXT_TYPES.has(chunk.type)) continue;
    const limit = Math.min(maxTextBytes, room);
    // Before it is looked at more closely; compressed it is smaller, or none that anybody wrote.
    if (chunk.data.length > limit + MAX_TEXT_HEAD_BYTES) throw tooLong();
    const { keyword, isUtf8, isDeflated, data } = splitTextChunk(chunk);
    const text = isDeflated ? await inflated(inflate, data, limit) : data;
    if (text === null || text.length > limit) throw tooLong();
    checkPngChunk(bytes, chunk);
    room -= Math.max(text.length, chunk.data.length);
    texts.push({ keyword, isUtf8, text });
  }
  // Read last: a picture that holds too much does not cost that.
  return Object.fromEntries(
    texts.map(({ keyword, isUtf8, text }) => [keyword, isUtf8 ? utf8Text(text) : latin1Text(text)]),
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

async function inflated(
  inflate: Inflate,
  data: Uint8Array,
  limit: number,
): Promise<Uint8Array | null> {
  try {
    return await inflate(data, limit);
  } catch {
    throw broken('a compressed text can not be read');
  }
}

/** Inflates by the web's own stream, and stops as soon as it gives more than `limit` bytes. */
async function inflateByStream(data: Uint8Array, limit: number): Promise<Uint8Array | null> {
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
  for (;;) {
    const { done, value } = await reader.read();
    if (done || !value) break;
    size += value.length;
    if (size > limit) {
      await reader.cancel();
      return null;
    }
    parts.push(value);
  }
  await written;
  return concatBytes(parts);
}
