import { readFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readPngTexts } from '../../bridge/picture-text.ts';
import { concatBytes } from '../../protocol/bytes.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { readExifText, writeExifText } from '../../protocol/exif-text.ts';
import { crc32, makePngChunk, PNG_SIGNATURE, readPngChunks } from '../../protocol/png-chunks.ts';
import { readPngText, writePngText } from '../../protocol/png-text.ts';
import { pictureBombs } from '../promises/picture-bombs.ts';

const fixtures = JSON.parse(
  readFileSync(new URL('../fixtures/picture-texts/pillow.json', import.meta.url), 'utf8'),
) as {
  png: { name: string; texts: Record<string, string>; data: string }[];
  exif: { name: string; text: string; plain: string; data: string }[];
};

const decode = (data: string): Uint8Array => Uint8Array.from(Buffer.from(data, 'base64'));
const plainPng = decode(fixtures.png.at(-1)!.data);
const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** A PNG of a header, these chunks and an end. */
function pngOf(...chunks: Uint8Array[]): Uint8Array {
  const [header] = readPngChunks(plainPng);
  return concatBytes([
    PNG_SIGNATURE,
    makePngChunk('IHDR', header!.data),
    ...chunks,
    makePngChunk('IEND', new Uint8Array()),
  ]);
}

const isRefused = expect.objectContaining({ name: 'GenerationError', code: 'invalid-request' });

describe('PNG text', () => {
  test.each(fixtures.png)('reads Pillow’s $name', async ({ texts, data }) => {
    expect(await readPngText(decode(data))).toEqual(texts);
  });

  test.each(fixtures.png.slice(0, 2))(
    'writes the very bytes of Pillow’s $name',
    ({ texts, data }) => {
      expect(writePngText(plainPng, texts)).toEqual(decode(data));
    },
  );

  test('the checksum is CRC-32', () => {
    expect(crc32(ascii('123456789'))).toBe(0xcbf43926);
  });

  test('what was written is read again, and takes the place of what was there', async () => {
    const texts = fc.dictionary(
      fc.constantFrom('parameters', 'Title', 'a b'),
      fc.string({ unit: 'grapheme' }),
    );
    await fc.assert(
      fc.asyncProperty(texts, texts, async (first, second) => {
        const once = writePngText(plainPng, first);
        const twice = writePngText(once, second);
        expect(await readPngText(twice)).toEqual({ ...first, ...second });
      }),
    );
  });

  test.each(['', ' a', 'a ', 'a  b', 'a\0', 'x'.repeat(80), '雪'])(
    'refuses keyword “%s”',
    (keyword) => {
      expect(() => writePngText(plainPng, { [keyword]: 'x' })).toThrow(RangeError);
    },
  );

  test('a text that inflates too far is refused before it is inflated', async () => {
    const bomb = deflateSync(Buffer.alloc(64 << 20), { level: 9 });
    const zTXt = makePngChunk('zTXt', concatBytes([ascii('parameters\0\0'), bomb]));
    await expect(readPngText(pngOf(zTXt))).rejects.toEqual(isRefused);
    const iTXt = makePngChunk('iTXt', concatBytes([ascii('parameters\0\x01\0\0\0'), bomb]));
    await expect(readPngText(pngOf(iTXt))).rejects.toEqual(isRefused);
    const small = makePngChunk('tEXt', ascii(`k\0${'x'.repeat(600)}`));
    await expect(readPngText(pngOf(small), { maxTextBytes: 599 })).rejects.toEqual(isRefused);
    await expect(readPngText(pngOf(small, small), { maxTotalBytes: 1000 })).rejects.toEqual(
      isRefused,
    );
  });

  test('texts are no room for other things either: their count, their keywords, what is no text', async () => {
    const small = makePngChunk('teSt', new Uint8Array());
    const many = pngOf(...Array.from({ length: 17_000 }, () => small));
    await expect(readPngText(many)).rejects.toEqual(isRefused);
    const keyword = makePngChunk('tEXt', ascii(`${'k'.repeat(2 << 20)}\0v`));
    await expect(readPngText(pngOf(keyword))).rejects.toEqual(isRefused);
    const large = makePngChunk('teSt', new Uint8Array(9 << 20));
    expect(await readPngText(pngOf(large))).toEqual({});
  });

  test('what inflates for the bridge says what the web’s stream says', async () => {
    const zipped = (text: Uint8Array) =>
      pngOf(makePngChunk('zTXt', concatBytes([ascii('k\0\0'), deflateSync(text)])));
    const long = new Uint8Array((1 << 20) + 1).fill(120);
    expect(await readPngTexts(zipped(long.subarray(1)))).toEqual({ k: 'x'.repeat(1 << 20) });
    await expect(readPngTexts(zipped(long))).rejects.toEqual(isRefused);
    const five = Array.from({ length: 5 }, (_, at) =>
      makePngChunk('zTXt', concatBytes([ascii(`k${at}\0\0`), deflateSync(long.subarray(1))])),
    );
    expect(Object.keys(await readPngTexts(pngOf(...five.slice(1))))).toHaveLength(4);
    await expect(readPngTexts(pngOf(...five))).rejects.toEqual(isRefused);
    const broken = pngOf(makePngChunk('zTXt', ascii('k\0\0abcdefgh')));
    await expect(readPngTexts(broken)).rejects.toEqual(isRefused);
    for (const { texts, data } of fixtures.png) {
      expect(await readPngTexts(decode(data))).toEqual(texts);
    }
  });

  test.each([
    ['no PNG', ascii('GIF89a')],
    ['nothing', new Uint8Array()],
    ['the signature alone', PNG_SIGNATURE],
    ['no IEND', plainPng.subarray(0, -12)],
    ['cut in a chunk', plainPng.subarray(0, 60)],
    ['no header', concatBytes([PNG_SIGNATURE, makePngChunk('IEND', new Uint8Array())])],
    ['no keyword', pngOf(makePngChunk('tEXt', ascii('parameters')))],
    ['no language', pngOf(makePngChunk('iTXt', ascii('parameters\0\0\0en')))],
    ['another compression', pngOf(makePngChunk('zTXt', ascii('k\0\x01abc')))],
    ['a broken stream', pngOf(makePngChunk('zTXt', ascii('k\0\0abcdefgh')))],
    [
      'half a stream',
      pngOf(
        makePngChunk(
          'zTXt',
          concatBytes([ascii('k\0\0'), deflateSync('x'.repeat(99)).subarray(0, 6)]),
        ),
      ),
    ],
  ])('refuses %s', async (_, bytes) => {
    await expect(readPngText(bytes)).rejects.toEqual(isRefused);
  });

  test('refuses a text whose checksum does not fit, and no other chunk’s', async () => {
    const text = makePngChunk('tEXt', ascii('k\0v'));
    text[8]! ^= 1;
    await expect(readPngText(pngOf(text))).rejects.toEqual(isRefused);
    const other = makePngChunk('teSt', ascii('anything'));
    other[8]! ^= 1;
    expect(await readPngText(pngOf(other))).toEqual({});
  });

  test('any bytes are either read or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), fc.nat(200), async (noise, at) => {
        const bytes = Uint8Array.from(decode(fixtures.png[3]!.data));
        bytes.set(noise.subarray(0, Math.max(0, bytes.length - at)), at);
        const result = await readPngText(bytes).catch((error: unknown) => error);
        expect(result instanceof Error ? result instanceof GenerationError : true).toBe(true);
      }),
    );
  });
});

describe('EXIF text', () => {
  test.each(fixtures.exif)('reads piexif’s $name', ({ text, data, plain }) => {
    expect(readExifText(decode(data))).toBe(text);
    expect(readExifText(decode(plain))).toBeNull();
  });

  test.each(fixtures.exif)('writes what it reads: $name', ({ text, data, plain }) => {
    expect(readExifText(writeExifText(decode(plain), text))).toBe(text);
    expect(readExifText(writeExifText(decode(data), 'another'))).toBe('another');
  });

  test('a text of more than 1 MiB is not read, nor is a file of very many parts', () => {
    const webp = decode(fixtures.exif[1]!.plain);
    const most = 'x'.repeat((1 << 19) - 4);
    expect(readExifText(writeExifText(webp, most))).toBe(most);
    expect(() => readExifText(writeExifText(webp, `${most}x`))).toThrow(isRefused);
    const parts = pictureBombs().filter(({ name }) => /^a (JPEG|WebP) of very many/.test(name));
    expect(parts).toHaveLength(2);
    for (const { bytes } of parts) expect(() => readExifText(bytes)).toThrow('too many');
    const filled = Buffer.concat([Buffer.from('ffd8', 'hex'), Buffer.alloc(1 << 20, 0xff)]);
    expect(() => readExifText(filled)).toThrow('too many');
  });

  test('a text too long for a JPEG is refused, and fits a WebP', () => {
    const long = 'x'.repeat(40_000);
    expect(() => writeExifText(decode(fixtures.exif[0]!.plain), long)).toThrow(
      'too long for a JPEG',
    );
    expect(readExifText(writeExifText(decode(fixtures.exif[1]!.plain), long))).toBe(long);
  });

  test('any bytes are either read or refused', () => {
    fc.assert(
      fc.property(fc.nat(5), fc.uint8Array({ maxLength: 40 }), fc.nat(120), (which, noise, at) => {
        const bytes = Uint8Array.from(decode(fixtures.exif[which]!.data));
        bytes.set(noise.subarray(0, Math.max(0, bytes.length - at)), at);
        try {
          readExifText(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(GenerationError);
        }
      }),
    );
  });
});
