import { describe, expect, test } from 'vitest';
import { ShardBlob } from '../../../web/engine/models/shard-blob.ts';

const BYTES = Uint8Array.from({ length: 250 }, (_, index) => index);
const chunks = () => [0, 100, 200].map((at) => new Blob([BYTES.subarray(at, at + 100)]));
const OPTIONS = { pieceBytes: 30, retryDelaysMs: [0, 0] };

async function streamed(blob: Blob): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of blob.stream()) parts.push(part);
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

describe('stored chunks as one Blob', () => {
  test.each([
    [0, 250],
    [0, 100],
    [90, 110],
    [100, 200],
    [199, 250],
    [120, 120],
    [240, 999],
  ])('give bytes %i to %i, at once and as a stream', async (begin, end) => {
    const slice = new ShardBlob(chunks(), OPTIONS).slice(begin, end);
    const wanted = BYTES.slice(begin, end);
    expect(slice).toBeInstanceOf(Blob);
    expect(slice.size).toBe(wanted.length);
    expect(new Uint8Array(await slice.arrayBuffer())).toEqual(wanted);
    expect(await streamed(slice)).toEqual(wanted);
  });

  test('can be sliced again', async () => {
    const inner = new ShardBlob(chunks(), OPTIONS).slice(50, 220).slice(40, 70);
    expect(await streamed(inner)).toEqual(BYTES.slice(90, 120));
  });

  test('never make more than a piece at a time', async () => {
    for await (const part of new ShardBlob(chunks(), OPTIONS).stream()) {
      expect(part.length).toBeLessThanOrEqual(30);
    }
  });

  test.each([
    [2, true],
    [3, false],
  ])('read again what failed %i times', async (failures, isGiven) => {
    const [first, ...rest] = chunks();
    let left = failures;
    first!.slice = (...range) => {
      const slice = Blob.prototype.slice.apply(new Blob([BYTES.subarray(0, 100)]), range);
      if (left-- > 0) slice.arrayBuffer = () => Promise.reject(new TypeError('network error'));
      return slice;
    };
    const read = streamed(new ShardBlob([first!, ...rest], OPTIONS));
    if (isGiven) expect(await read).toEqual(BYTES);
    else await expect(read).rejects.toThrow('network error');
  });
});
