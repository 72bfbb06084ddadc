import { sizeOf } from '../onnx/shapes.ts';

/** TensorProto.DataType of the types that the code speaks of. */
export const FLOAT32 = 1;
export const INT32 = 6;
export const INT64 = 7;
export const FLOAT16 = 10;
export const FLOAT64 = 11;

/** Names and bits of ONNX's element types (onnx.proto3, TensorProto.DataType). */
const TYPES: Readonly<Record<number, readonly [name: string, bits: number]>> = {
  1: ['float32', 32],
  2: ['uint8', 8],
  3: ['int8', 8],
  4: ['uint16', 16],
  5: ['int16', 16],
  6: ['int32', 32],
  7: ['int64', 64],
  9: ['bool', 8],
  10: ['float16', 16],
  11: ['float64', 64],
  12: ['uint32', 32],
  13: ['uint64', 64],
  21: ['uint4', 4],
  22: ['int4', 4],
};

/** Types that the runtime's kernels do not compute with, by name, for errors. */
const OTHERS: Readonly<Record<number, string>> = {
  8: 'string',
  14: 'complex64',
  15: 'complex128',
  16: 'bfloat16',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  23: 'float4e2m1',
  24: 'float8e8m0',
  25: 'uint2',
  26: 'int2',
};

export function typeName(type: number): string {
  return TYPES[type]?.[0] ?? OTHERS[type] ?? `type ${type}`;
}

export function isKnownType(type: number): boolean {
  return TYPES[type] !== undefined;
}

/** Bytes of a tensor; of the four-bit types two are in a byte. */
export function tensorBytes(type: number, shape: readonly number[]): number {
  return Math.ceil((sizeOf(shape) * (TYPES[type]?.[1] ?? 0)) / 8);
}
