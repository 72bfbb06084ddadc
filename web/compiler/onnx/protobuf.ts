/**
 * The protobuf wire format (protobuf.dev/programming-guides/encoding): the three wire types that ONNX
 * files use, written into one growing buffer and read as a flat run of fields.
 */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const utf8 = new TextEncoder();
const utf8Decoder = new TextDecoder();

/** Writes one message; nested messages are written by a callback and prefixed with their length. */
export class ProtoWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** An integer field; negative numbers take ten bytes, as int64 does. Up to 2^53. */
  integer(field: number, value: number): void {
    this.#key(field, VARINT);
    this.#varint(value);
  }

  float(field: number, value: number): void {
    this.#key(field, FIXED32);
    this.#reserve(4);
    this.#view.setFloat32(this.#length, value, true);
    this.#length += 4;
  }

  string(field: number, value: string): void {
    this.bytes(field, utf8.encode(value));
  }

  bytes(field: number, value: Uint8Array): void {
    this.#key(field, LENGTH_DELIMITED);
    this.#varint(value.byteLength);
    this.#reserve(value.byteLength);
    this.#bytes.set(value, this.#length);
    this.#length += value.byteLength;
  }

  /** Repeated integers in one length-delimited run. */
  packedIntegers(field: number, values: readonly number[]): void {
    this.message(field, (packed) => {
      for (const value of values) packed.#varint(value);
    });
  }

  /** Repeated float32 in one length-delimited run. */
  packedFloats(field: number, values: readonly number[]): void {
    this.bytes(field, new Uint8Array(new Float32Array(values).buffer));
  }

  message(field: number, write: (inner: ProtoWriter) => void): void {
    const inner = new ProtoWriter();
    write(inner);
    this.bytes(field, inner.finish());
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #key(field: number, wireType: number): void {
    this.#varint(field * 8 + wireType);
  }

  #varint(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`not a safe integer: ${value}`);
    this.#reserve(10);
    let rest = value < 0 ? BigInt.asUintN(64, BigInt(value)) : null;
    if (rest !== null) {
      while (rest > 127n) {
        this.#bytes[this.#length++] = Number(rest & 127n) | 128;
        rest >>= 7n;
      }
      this.#bytes[this.#length++] = Number(rest);
      return;
    }
    let remaining = value;
    while (remaining > 127) {
      this.#bytes[this.#length++] = (remaining % 128) | 128;
      remaining = Math.floor(remaining / 128);
    }
    this.#bytes[this.#length++] = remaining;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.byteLength) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.byteLength * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** One field of a message, undecoded. */
export interface ProtoField {
  readonly number: number;
  /** Varints and fixed numbers; 0 for length-delimited fields. */
  readonly value: number;
  /** Length-delimited content, a view; empty for the others. */
  readonly bytes: Uint8Array;
  readonly wireType: number;
}

const EMPTY: Uint8Array = new Uint8Array();

/** The fields of a message in file order. Throws RangeError where the bytes are no protobuf message. */
export function* readFields(message: Uint8Array): Generator<ProtoField> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    let signed = 0n;
    for (let index = 0; index < 10; index++) {
      const byte = message[at++];
      if (byte === undefined) throw new RangeError('protobuf message ends inside a number');
      if (index < 7) value += (byte & 127) * 2 ** (7 * index);
      signed |= BigInt(byte & 127) << BigInt(7 * index);
      if (byte < 128) return index < 7 ? value : Number(BigInt.asIntN(64, signed));
    }
    throw new RangeError('protobuf number longer than ten bytes');
  };
  const need = (count: number): void => {
    if (at + count > message.byteLength) throw new RangeError('protobuf field beyond the end');
  };
  while (at < message.byteLength) {
    const key = varint();
    const number = Math.floor(key / 8);
    const wireType = key % 8;
    let value = 0;
    let bytes = EMPTY;
    if (wireType === VARINT) {
      value = varint();
    } else if (wireType === LENGTH_DELIMITED) {
      const length = varint();
      need(length);
      bytes = message.subarray(at, at + length);
      at += length;
    } else if (wireType === FIXED32) {
      need(4);
      value = view.getFloat32(at, true);
      at += 4;
    } else if (wireType === FIXED64) {
      need(8);
      value = view.getFloat64(at, true);
      at += 8;
    } else {
      throw new RangeError(`protobuf wire type ${wireType} is not known`);
    }
    yield { number, value, bytes, wireType };
  }
}

export function readString(field: ProtoField): string {
  return utf8Decoder.decode(field.bytes);
}

/** Repeated integers, written packed or one by one. */
export function readIntegers(field: ProtoField): number[] {
  if (field.wireType === VARINT) return [field.value];
  // A packed run is a message body without keys: give each number a key to reuse the reader.
  const values: number[] = [];
  let at = 0;
  while (at < field.bytes.byteLength) {
    let end = at;
    while ((field.bytes[end] ?? 0) > 127) end++;
    const one = new Uint8Array(end - at + 2);
    one[0] = 8;
    one.set(field.bytes.subarray(at, end + 1), 1);
    for (const { value } of readFields(one)) values.push(value);
    at = end + 1;
  }
  return values;
}

/** Repeated float32, written packed or one by one. */
export function readFloats(field: ProtoField): number[] {
  if (field.wireType === FIXED32) return [field.value];
  return [...new Float32Array(field.bytes.slice().buffer)];
}
