/**
 * IEEE 754 half precision as bit patterns, by tables (van der Zijp, "Fast Half Float Conversions"),
 * with rounding to nearest, ties to even.
 */

interface HalfTables {
  /** float32 bits of every half. */
  readonly toFloatBits: Uint32Array;
  /** By sign and exponent of a float32: the half's bits without mantissa. */
  readonly base: Uint16Array;
  /** How far the mantissa moves right. */
  readonly shift: Uint8Array;
  /** 0x800000 where the leading one must be written out, for halves that are subnormal. */
  readonly implicit: Uint32Array;
}

let tables: HalfTables | undefined;

function halfTables(): HalfTables {
  tables ??= { toFloatBits: makeToFloatBits(), ...makeToHalf() };
  return tables;
}

function makeToFloatBits(): Uint32Array {
  const bits = new Uint32Array(65536);
  for (let half = 0; half < 65536; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >> 10) & 31;
    let mantissa = half & 1023;
    if (exponent === 31) {
      bits[half] = sign | 0x7f800000 | (mantissa << 13);
    } else if (exponent > 0) {
      bits[half] = sign | ((exponent + 112) << 23) | (mantissa << 13);
    } else if (mantissa === 0) {
      bits[half] = sign;
    } else {
      let scale = 113;
      while ((mantissa & 1024) === 0) {
        mantissa <<= 1;
        scale--;
      }
      bits[half] = sign | (scale << 23) | ((mantissa & 1023) << 13);
    }
  }
  return bits;
}

function makeToHalf(): Pick<HalfTables, 'base' | 'shift' | 'implicit'> {
  const base = new Uint16Array(512);
  const shift = new Uint8Array(512);
  const implicit = new Uint32Array(512);
  for (let index = 0; index < 512; index++) {
    const sign = (index & 256) << 7;
    const exponent = (index & 255) - 127;
    if (exponent < -25) {
      [base[index], shift[index]] = [sign, 31];
    } else if (exponent < -14) {
      // Subnormal: the result counts units of 2^-24.
      [base[index], shift[index], implicit[index]] = [sign, -1 - exponent, 0x800000];
    } else if (exponent < 16) {
      [base[index], shift[index]] = [sign | ((exponent + 15) << 10), 13];
    } else {
      [base[index], shift[index]] = [sign | 0x7c00, 31];
    }
  }
  return { base, shift, implicit };
}

const floatScratch = new Float32Array(1);
const bitsScratch = new Uint32Array(floatScratch.buffer);
const halfScratch = new Uint16Array(1);

/** The half nearest to `value`; beyond 65504 infinity, as IEEE 754 has it. */
export function floatToHalf(value: number): number {
  floatScratch[0] = value;
  floatBitsToHalves(bitsScratch, halfScratch);
  return halfScratch[0] ?? 0;
}

export function halfToFloat(half: number): number {
  bitsScratch[0] = halfTables().toFloatBits[half & 0xffff] ?? 0;
  return floatScratch[0] ?? 0;
}

/**
 * Rounds float32 bit patterns to halves. Returns how many finite values became infinite, which a
 * caller that converts weights treats as an error.
 */
export function floatBitsToHalves(source: Uint32Array, target: Uint16Array): number {
  const { base, shift, implicit } = halfTables();
  let overflows = 0;
  for (let index = 0; index < source.length; index++) {
    const bits = source[index] as number;
    const key = bits >>> 23;
    const mantissa = (bits & 0x7fffff) | (implicit[key] as number);
    const by = shift[key] as number;
    if (by === 31) {
      if ((key & 255) === 255 && mantissa !== 0) {
        // NaN stays NaN: keep the payload's top, set the quiet bit.
        target[index] = (base[key] as number) | 0x200 | (mantissa >>> 13);
      } else {
        if ((key & 255) !== 255 && (base[key] as number) & 0x7c00) overflows++;
        target[index] = base[key] as number;
      }
      continue;
    }
    const rest = mantissa & ((1 << by) - 1);
    const half = 1 << (by - 1);
    let result = (base[key] as number) + (mantissa >>> by);
    if (rest > half || (rest === half && (result & 1) === 1)) result++;
    if ((result & 0x7fff) === 0x7c00) overflows++;
    target[index] = result;
  }
  return overflows;
}

/** Widens halves to float32 bit patterns, exactly. */
export function halvesToFloatBits(source: Uint16Array, target: Uint32Array): void {
  const { toFloatBits } = halfTables();
  for (let index = 0; index < source.length; index++) {
    target[index] = toFloatBits[source[index] as number] as number;
  }
}
