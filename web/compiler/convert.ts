import { floatBitsToHalves, halvesToFloatBits } from './half.ts';
import type { SourceDtype } from './safetensors.ts';

/** Element types that weights are converted from, with their sizes in bytes. */
const SOURCE_BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2 } as const;

export type FloatSourceDtype = keyof typeof SOURCE_BYTES;
export type TargetDtype = 'float32' | 'float16';

export function isFloatSource(dtype: SourceDtype): dtype is FloatSourceDtype {
  return Object.hasOwn(SOURCE_BYTES, dtype);
}

export function sourceBytes(dtype: FloatSourceDtype): number {
  return SOURCE_BYTES[dtype];
}

export interface Converted {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Finite values that became infinite. */
  readonly overflows: number;
}

/**
 * Converts little-endian elements. Widening is exact; narrowing rounds to nearest, ties to even
 * (F64 by way of float32).
 */
export function convertElements(
  source: Uint8Array,
  from: FloatSourceDtype,
  to: TargetDtype,
): Converted {
  const count = source.byteLength / SOURCE_BYTES[from];
  if (from === 'F16' && to === 'float16') return { bytes: source.slice(), overflows: 0 };
  if (from === 'F32' && to === 'float32') return { bytes: source.slice(), overflows: 0 };
  const { bits, overflows } = toFloatBits(source, from, count);
  if (to === 'float32') return { bytes: new Uint8Array(bits.buffer), overflows };
  const halves = new Uint16Array(count);
  const narrowed = floatBitsToHalves(bits, halves);
  return { bytes: new Uint8Array(halves.buffer), overflows: overflows + narrowed };
}

function toFloatBits(
  source: Uint8Array,
  from: FloatSourceDtype,
  count: number,
): { bits: Uint32Array<ArrayBuffer>; overflows: number } {
  const { buffer, byteOffset } = aligned(source, SOURCE_BYTES[from]);
  switch (from) {
    case 'F32':
      return { bits: new Uint32Array(new Uint32Array(buffer, byteOffset, count)), overflows: 0 };
    case 'F16': {
      const bits = new Uint32Array(count);
      halvesToFloatBits(new Uint16Array(buffer, byteOffset, count), bits);
      return { bits, overflows: 0 };
    }
    case 'BF16': {
      const halves = new Uint16Array(buffer, byteOffset, count);
      const bits = new Uint32Array(count);
      for (let index = 0; index < count; index++) bits[index] = (halves[index] ?? 0) << 16;
      return { bits, overflows: 0 };
    }
    case 'F64': {
      const doubles = new Float64Array(buffer, byteOffset, count);
      const floats = Float32Array.from(doubles);
      let overflows = 0;
      floats.forEach((value, index) => {
        if (!Number.isFinite(value) && Number.isFinite(doubles[index])) overflows++;
      });
      return { bits: new Uint32Array(floats.buffer), overflows };
    }
  }
}

/**
 * Columns `from` to `to` of a row-major matrix [rows, columns], each column made a row: part of the
 * transpose. Elements are moved as they are.
 */
export function transposedStrip(
  matrix: Uint8Array,
  { rows, columns, elementBytes }: { rows: number; columns: number; elementBytes: number },
  from: number,
  to: number,
): Uint8Array {
  const { buffer, byteOffset } = aligned(matrix, elementBytes);
  const strip = new Uint8Array((to - from) * rows * elementBytes);
  const size = { rows, columns };
  if (elementBytes === 2) {
    const source = new Uint16Array(buffer, byteOffset, rows * columns);
    moveColumns(source, new Uint16Array(strip.buffer), size, from, to);
  } else if (elementBytes === 4) {
    const source = new Uint32Array(buffer, byteOffset, rows * columns);
    moveColumns(source, new Uint32Array(strip.buffer), size, from, to);
  } else {
    const source = new BigUint64Array(buffer, byteOffset, rows * columns);
    moveColumns(source, new BigUint64Array(strip.buffer), size, from, to);
  }
  return strip;
}

/** Rows moved before the next column: both the rows read and the rows written stay in the cache. */
const TILE = 64;

function moveColumns<Element>(
  source: { readonly [index: number]: Element },
  strip: { [index: number]: Element },
  { rows, columns }: { rows: number; columns: number },
  from: number,
  to: number,
): void {
  for (let tile = 0; tile < rows; tile += TILE) {
    const tileEnd = Math.min(tile + TILE, rows);
    for (let column = from; column < to; column++) {
      let target = (column - from) * rows + tile;
      for (let row = tile; row < tileEnd; row++) {
        strip[target++] = source[row * columns + column] as Element;
      }
    }
  }
}

/** Typed arrays need aligned memory; a view into a larger read may not be. */
function aligned(
  bytes: Uint8Array,
  elementBytes: number,
): { buffer: ArrayBufferLike; byteOffset: number } {
  return bytes.byteOffset % elementBytes === 0 ? bytes : bytes.slice();
}
