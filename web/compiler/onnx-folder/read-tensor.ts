import { concatBytes } from '../../../protocol/bytes.ts';
import { invalidModel, unsupportedModel } from '../errors.ts';
import { type ProtoField, readFields, readIntegers, readString } from '../onnx/protobuf.ts';
import type { ByteCursor } from './byte-cursor.ts';
import { isKnownType, tensorBytes, typeName } from './element-types.ts';
import type { Tensor } from './graph.ts';

/** Larger data stays in its file; smaller is part of the graph. */
const MAX_INLINE_BYTES = 64 * 1024;
/** Numbers that are stored one by one must be read to be copied. */
const MAX_LISTED_BYTES = 64 * 1024 * 1024;

/** TensorProto's fields (onnx.proto3) that hold data as lists of numbers. */
const FLOAT_DATA = 4;
const INT32_DATA = 5;
const INT64_DATA = 7;
const RAW_DATA = 9;
const DOUBLE_DATA = 10;
const UINT64_DATA = 11;
/** Fields whose packed form is the tensor's bytes. */
const PLAIN = new Set([FLOAT_DATA, RAW_DATA, DOUBLE_DATA]);

/** A tensor while its fields are read. */
class TensorReader {
  name = '';
  type = 0;
  readonly shape: number[] = [];
  readonly external = new Map<string, string>();
  isExternal = false;
  /** Data in the file, where it is too large for the graph. */
  part: { offset: number; sizeBytes: number } | null = null;
  readonly lists = new Map<number, number[]>();
  readonly pieces: Uint8Array[] = [];
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  add(field: ProtoField): void {
    const { number, value, bytes } = field;
    switch (number) {
      case 1:
        this.shape.push(...readIntegers(field));
        break;
      case 2:
        this.type = value;
        break;
      case 8:
        this.name = readString(field);
        break;
      case FLOAT_DATA:
      case DOUBLE_DATA:
      case RAW_DATA:
        this.pieces.push(bytes.byteLength > 0 ? bytes : oneFloat(number, value));
        break;
      case INT32_DATA:
      case INT64_DATA:
      case UINT64_DATA:
        this.lists.set(number, [...(this.lists.get(number) ?? []), ...readIntegers(field)]);
        break;
      case 13: {
        const entries = new Map(
          [...readFields(bytes)].map((inner) => [inner.number, readString(inner)]),
        );
        this.external.set(entries.get(1) ?? '', entries.get(2) ?? '');
        break;
      }
      case 14:
        this.isExternal = value === 1;
        break;
      // doc_string and metadata_props say nothing that counts.
      case 12:
      case 16:
        break;
      default:
        throw unsupportedModel(
          this.#file,
          `tensor "${this.name}" has ${number === 3 ? 'a segment' : number === 6 ? 'strings' : `the field ${number}`}, which this version of Easel does not read.`,
        );
    }
  }

  finish(): Tensor {
    const { name, type, shape } = this;
    if (!isKnownType(type)) {
      throw unsupportedModel(
        this.#file,
        `tensor "${name}" is ${typeName(type)}, which the runtime has no arithmetic for. Export the model in float32 or float16.`,
      );
    }
    if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      throw invalidModel(this.#file, `tensor "${name}" has the shape [${shape.join(', ')}].`);
    }
    const expected = tensorBytes(type, shape);
    const data = this.#data(expected);
    const found = data.type === 'inline' ? data.bytes.byteLength : data.sizeBytes;
    if (found !== expected) {
      throw invalidModel(
        this.#file,
        `tensor "${name}" [${shape.join(', ')}] of ${typeName(type)} takes ${expected} bytes, but has ${found}.`,
      );
    }
    return { name, type, shape, data };
  }

  #data(expected: number): Tensor['data'] {
    if (this.isExternal) {
      const location = this.external.get('location') ?? '';
      const offset = Number(this.external.get('offset') ?? 0);
      const sizeBytes = Number(this.external.get('length') ?? expected);
      if (location === '' || ![offset, sizeBytes].every(Number.isSafeInteger) || offset < 0) {
        throw invalidModel(
          this.#file,
          `tensor "${this.name}" does not say properly where its data lies.`,
        );
      }
      return { type: 'part', location, offset, sizeBytes };
    }
    if (this.part) return { type: 'part', location: '', ...this.part };
    for (const [number, list] of this.lists) {
      if (list.length > 0) return { type: 'inline', bytes: listBytes(this.type, number, list) };
    }
    return { type: 'inline', bytes: joined(this.pieces) };
  }
}

/** Reads a TensorProto from memory. */
export function readTensor(file: string, message: Uint8Array): Tensor {
  const tensor = new TensorReader(file);
  for (const field of readFields(message)) tensor.add(field);
  return tensor.finish();
}

/** Reads the TensorProto of `length` bytes at the cursor; large data stays in the file. */
export async function readTensorAt(
  file: string,
  cursor: ByteCursor,
  length: number,
): Promise<Tensor> {
  if (length <= MAX_INLINE_BYTES) return readTensor(file, await cursor.bytes(length));
  const end = cursor.position + length;
  const tensor = new TensorReader(file);
  while (cursor.position < end) {
    const { number, wireType } = await cursor.key(end);
    if (wireType === 0) {
      tensor.add({ number, value: await cursor.varint(end), bytes: new Uint8Array(), wireType });
      continue;
    }
    if (wireType !== 2) throw invalidModel(file, `tensor "${tensor.name}" is not readable.`);
    const size = await cursor.length(end);
    if (PLAIN.has(number) && size > MAX_INLINE_BYTES) {
      if (tensor.part) throw invalidModel(file, `tensor "${tensor.name}" holds its data twice.`);
      tensor.part = { offset: cursor.position, sizeBytes: size };
      cursor.position += size;
      continue;
    }
    if (size > MAX_LISTED_BYTES) {
      throw unsupportedModel(
        file,
        `tensor "${tensor.name}" lists ${size} bytes of numbers one by one. Save the model anew with raw data.`,
      );
    }
    tensor.add({ number, value: 0, bytes: await cursor.bytes(size), wireType });
  }
  return tensor.finish();
}

function oneFloat(number: number, value: number): Uint8Array {
  if (number === RAW_DATA) return new Uint8Array();
  const list = number === DOUBLE_DATA ? Float64Array.of(value) : Float32Array.of(value);
  return new Uint8Array(list.buffer);
}

/** Numbers that were listed one by one as the tensor's bytes. */
function listBytes(type: number, number: number, list: readonly number[]): Uint8Array {
  const width = tensorBytes(type, [2]) / 2;
  if (number !== INT32_DATA && width === 8) {
    // The largest int64, which exports use for "to the end", is none that a number holds.
    const wide = (value: number) => (value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value));
    return new Uint8Array(BigInt64Array.from(list, wide).buffer);
  }
  // int32_data holds every type of up to 32 bits, float16 as its bits; uint64_data uint32 as well.
  const bytes = new Uint8Array(Math.ceil(list.length * width));
  const view = new DataView(bytes.buffer);
  list.forEach((value, index) => {
    if (width === 4) view.setInt32(index * 4, value, true);
    else if (width === 2) view.setUint16(index * 2, value & 0xffff, true);
    else bytes[index] = value & 0xff;
  });
  return bytes;
}

/** The pieces one after the other; a single one is not copied. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only, ...others] = pieces;
  return only && others.length === 0 ? only : concatBytes(pieces);
}
