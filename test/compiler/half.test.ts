import { describe, expect, it } from 'vitest';
import { convertElements } from '../../web/compiler/convert.ts';
import { floatToHalf, halfToFloat } from '../../web/compiler/half.ts';

/** What IEEE 754 says a half's bits mean, written without bit tricks. */
function meaning(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = (half & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

/** The nearest half by search over all finite ones, ties to the even pattern. */
function nearest(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  // 65520 is half way to what would be the next half, 65536: from there on infinity.
  if (size >= 65520) return sign | 0x7c00;
  let [low, high] = [0, 0x7bff];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (meaning(middle) <= size) low = middle;
    else high = middle - 1;
  }
  if (low === 0x7bff) return sign | low;
  const [below, above] = [size - meaning(low), meaning(low + 1) - size];
  const isUp = above < below || (above === below && (low & 1) === 1);
  return sign | (isUp ? low + 1 : low);
}

describe('half precision', () => {
  it('widens every one of the 65,536 patterns exactly, and narrows it back', () => {
    for (let half = 0; half < 65536; half++) {
      const value = halfToFloat(half);
      if (!Object.is(value, meaning(half))) expect(value).toBe(meaning(half));
      if (!Number.isNaN(value) && floatToHalf(value) !== half)
        expect(floatToHalf(value)).toBe(half);
    }
    expect(halfToFloat(0x7c01)).toBeNaN();
    expect(meaning(floatToHalf(Number.NaN))).toBeNaN();
  });

  it('rounds the middle between any two neighbours to the even one, and a hair off it to the near one', () => {
    for (let half = 0; half < 0x7bff; half++) {
      const middle = (meaning(half) + meaning(half + 1)) / 2;
      const even = half % 2 === 0 ? half : half + 1;
      const hair = middle * 2 ** -22;
      const found = [middle, middle - hair, middle + hair].map(floatToHalf);
      if (found.join() !== [even, half, half + 1].join()) {
        expect(found).toEqual([even, half, half + 1]);
      }
    }
  });

  it('agrees with a search for the nearest half on numbers of every size', () => {
    let state = 12345;
    const random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    for (let index = 0; index < 20000; index++) {
      const value = Math.fround((random() * 2 - 1) * 2 ** (random() * 60 - 40));
      if (floatToHalf(value) !== nearest(value)) expect(floatToHalf(value)).toBe(nearest(value));
    }
    for (const value of [
      0,
      -0,
      65504,
      65519.99,
      65520,
      -65520,
      1e30,
      2 ** -24,
      2 ** -25,
      2 ** -26,
    ]) {
      expect(floatToHalf(value)).toBe(nearest(value));
    }
  });
});

describe('conversion of weights', () => {
  const values = [1, -2.5, 0.1, 65504, 2 ** -24];
  const floats = Float32Array.from(values);
  const bytesOf = (array: ArrayBufferView<ArrayBuffer>) =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

  it('reads F32, F16, BF16 and F64', () => {
    const bfloats = Uint16Array.from(
      new Uint32Array(Float32Array.of(1, -2.5, 2 ** -120).buffer),
      (bits) => bits >>> 16,
    );
    const asFloats = (
      source: ArrayBufferView<ArrayBuffer>,
      dtype: 'F64' | 'F32' | 'F16' | 'BF16',
    ) => [...new Float32Array(convertElements(bytesOf(source), dtype, 'float32').bytes.buffer)];
    expect(asFloats(floats, 'F32')).toEqual([...floats]);
    expect(asFloats(Float64Array.from(values), 'F64')).toEqual([...floats]);
    expect(asFloats(bfloats, 'BF16')).toEqual([1, -2.5, 2 ** -120]);
    const halves = Uint16Array.from(values, floatToHalf);
    expect(asFloats(halves, 'F16')).toEqual(values.map((value) => halfToFloat(floatToHalf(value))));
    const narrowed = convertElements(bytesOf(floats), 'F32', 'float16');
    expect([...new Uint16Array(narrowed.bytes.buffer)]).toEqual([...halves]);
  });

  it('reads from memory that is not aligned', () => {
    const shifted = new Uint8Array(floats.byteLength + 1);
    shifted.set(bytesOf(floats), 1);
    const { bytes } = convertElements(shifted.subarray(1), 'F32', 'float16');
    expect([...new Uint16Array(bytes.buffer)]).toEqual(values.map(floatToHalf));
  });

  it('counts finite values that became infinite, and only those', () => {
    const source = Float32Array.of(65519, 65520, -1e9, Number.POSITIVE_INFINITY, Number.NaN);
    expect(convertElements(bytesOf(source), 'F32', 'float16').overflows).toBe(2);
    const doubles = Float64Array.of(1e300, 1);
    expect(convertElements(bytesOf(doubles), 'F64', 'float32').overflows).toBe(1);
  });
});
