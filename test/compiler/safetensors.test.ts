import { describe, expect, it } from 'vitest';
import { readSafetensorsHeader } from '../../web/compiler/safetensors.ts';
import { memorySource } from './lib/files.ts';
import { withHeader, writeSafetensors } from './lib/safetensors-bytes.ts';

const bytes = (count: number) => Uint8Array.from({ length: count }, (_, index) => index);
const good = {
  a: { dtype: 'F16', shape: [2, 3], bytes: bytes(12) },
  scalar: { dtype: 'F32', shape: [], bytes: bytes(4) },
  empty: { dtype: 'I64', shape: [0, 4], bytes: bytes(0) },
};
const read = (file: Uint8Array) =>
  readSafetensorsHeader(memorySource('unet/model.safetensors', file));
const header = (entries: unknown, data = 12) =>
  read(withHeader(JSON.stringify(entries), bytes(data)));

describe('a right file', () => {
  it('gives name, type, shape and the place of every tensor', async () => {
    const file = writeSafetensors(good, { format: 'pt' });
    const { tensors, metadata } = await read(file);
    expect(metadata).toEqual({ format: 'pt' });
    expect([...tensors.keys()]).toEqual(['a', 'scalar', 'empty']);
    const a = tensors.get('a')!;
    expect(a).toMatchObject({ dtype: 'F16', shape: [2, 3], sizeBytes: 12 });
    expect(file.subarray(a.offset, a.offset + a.sizeBytes)).toEqual(bytes(12));
    expect(tensors.get('scalar')).toMatchObject({ shape: [], sizeBytes: 4, offset: a.offset + 12 });
  });

  it('may name a tensor like a property of every object', async () => {
    const { tensors } = await read(
      writeSafetensors({ constructor: { dtype: 'U8', shape: [1], bytes: bytes(1) } }),
    );
    expect([...tensors.keys()]).toEqual(['constructor']);
  });

  it('stops when asked to', async () => {
    const source = memorySource('m.safetensors', writeSafetensors(good));
    const signal = AbortSignal.abort();
    await expect(readSafetensorsHeader(source, { signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});

describe('a wrong file', () => {
  const tensor = (change: object) => ({
    a: { dtype: 'F16', shape: [2, 3], data_offsets: [0, 12], ...change },
  });
  const withLength = (length: bigint) => {
    const file = writeSafetensors(good);
    new DataView(file.buffer).setBigUint64(0, length, true);
    return read(file);
  };
  const cases: [string, () => Promise<unknown>, RegExp][] = [
    ['empty', () => read(new Uint8Array()), /is 0 bytes long, too short/],
    ['seven bytes', () => read(bytes(7)), /is 7 bytes long, too short/],
    [
      'a web page',
      () => read(new TextEncoder().encode('<!doctype html><html>')),
      /claims a header/,
    ],
    ['a header over the limit', () => withLength(2n ** 40n), /header of 1099511627776 bytes/],
    ['a header beyond 2^53', () => withLength(2n ** 64n - 1n), /claims a header/],
    ['cut inside the header', () => withLength(5000n), /cut off: its header needs 5008 bytes/],
    ['no JSON', () => read(withHeader('{"a":', bytes(0))), /header\).*not valid JSON/],
    ['no object', () => read(withHeader('[1]', bytes(0))), /one JSON object/],
    ['no UTF-8', () => read(brokenText()), /corrupt header/],
    ['metadata of numbers', () => header({ __metadata__: { a: 1 } }), /__metadata__ entry "a"/],
    ['metadata as list', () => header({ __metadata__: [] }), /__metadata__ is no object/],
    ['an entry that is no object', () => header({ a: 7 }), /tensor "a" has no description/],
    ['an unknown type', () => header(tensor({ dtype: 'F12' })), /tensor "a".*"F12"/],
    ['a type of every object', () => header(tensor({ dtype: 'toString' })), /tensor "a"/],
    [
      'a negative size',
      () => header(tensor({ shape: [-2, 3] })),
      /tensor "a" has the shape \[-2,3\]/,
    ],
    ['a size of half', () => header(tensor({ shape: [1.5, 4] })), /tensor "a" has the shape/],
    ['one offset', () => header(tensor({ data_offsets: [0] })), /tensor "a" has the offsets \[0\]/],
    ['an end before the beginning', () => header(tensor({ data_offsets: [12, 0] })), /ends \(0\)/],
    ['a shape too large', () => header(tensor({ shape: [3, 3] })), /should take 18 bytes.*12 are/],
    [
      'a type too wide',
      () => header(tensor({ dtype: 'F32' })),
      /should take 24 bytes as F32 \[2, 3\]/,
    ],
    [
      'cut inside a tensor',
      () => header(tensor({}), 11),
      /tensor "a" ends at byte \d+, but the file/,
    ],
    [
      'overlapping tensors',
      () =>
        header({
          a: { dtype: 'U8', shape: [8], data_offsets: [0, 8] },
          b: { dtype: 'U8', shape: [8], data_offsets: [4, 12] },
        }),
      /tensors "a" and "b" overlap/,
    ],
  ];

  it.each(cases)('%s', async (_, open, message) => {
    const error = await open().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ name: 'GenerationError', code: 'invalid-model' });
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain('unet/model.safetensors');
  });

  function brokenText(): Uint8Array {
    const file = withHeader('{"aa": 1}', bytes(0));
    file[10] = 0xff;
    return file;
  }
});
