import { invalidModel } from './errors.ts';
import { isObject, parseJsonObject } from './json-file.ts';
import type { ByteSource } from './model.ts';
import { sizeOf } from './onnx/shapes.ts';

/** Bytes per element of every type that the format has. */
const DTYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

/** Element types of the safetensors format. */
export type SourceDtype = keyof typeof DTYPE_BYTES;

/** Where one tensor of a safetensors file lies. */
export interface SourceTensor {
  readonly name: string;
  readonly dtype: SourceDtype;
  readonly shape: readonly number[];
  readonly file: ByteSource;
  /** Bytes from the file's beginning. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/** A safetensors file's table of contents. */
export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const LENGTH_BYTES = 8;
/** The limit of the reference implementation. */
const MAX_HEADER_BYTES = 100 * 1024 * 1024;

/**
 * Reads and checks the header of a safetensors file; no weight is read.
 * Rejects with `invalid-model` naming the file, the tensor, what was expected and what was found.
 */
export async function readSafetensorsHeader(
  source: ByteSource,
  { signal }: { signal?: AbortSignal } = {},
): Promise<SafetensorsHeader> {
  signal?.throwIfAborted();
  const read = (offset: number, length: number) =>
    source.read(offset, length, signal ? { signal } : {});
  if (source.sizeBytes < LENGTH_BYTES) {
    throw invalidModel(
      source.path,
      `is ${source.sizeBytes} bytes long, too short for a safetensors file. Download it again.`,
    );
  }
  const lengthBytes = await read(0, LENGTH_BYTES);
  const view = new DataView(lengthBytes.buffer, lengthBytes.byteOffset, lengthBytes.byteLength);
  const headerBytes = Number(view.getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES) {
    throw invalidModel(
      source.path,
      `claims a header of ${headerBytes} bytes, more than the ${MAX_HEADER_BYTES} that the format allows. It is probably no safetensors file.`,
    );
  }
  const dataStart = LENGTH_BYTES + headerBytes;
  if (dataStart > source.sizeBytes) {
    throw invalidModel(
      source.path,
      `is cut off: its header needs ${dataStart} bytes, the file has ${source.sizeBytes}. Download it again.`,
    );
  }
  const header = parseHeader(source, await read(LENGTH_BYTES, headerBytes));
  const tensors = new Map<string, SourceTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    tensors.set(name, parseTensor(source, name, entry, dataStart));
  }
  checkOverlaps(source, tensors);
  return { tensors, metadata: parseMetadata(source, header.__metadata__) };
}

function parseHeader(source: ByteSource, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw invalidModel(source.path, 'has a corrupt header (no UTF-8). Download it again.', cause);
  }
  return parseJsonObject(`${source.path} (header)`, text);
}

function parseMetadata(source: ByteSource, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (!isObject(value)) throw invalidModel(source.path, '__metadata__ is no object.');
  const metadata: Record<string, string> = Object.create(null);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') {
      throw invalidModel(source.path, `__metadata__ entry "${key}" is no text.`);
    }
    metadata[key] = text;
  }
  return metadata;
}

function parseTensor(
  source: ByteSource,
  name: string,
  entry: unknown,
  dataStart: number,
): SourceTensor {
  const fail = (problem: string) => invalidModel(source.path, `tensor "${name}" ${problem}`);
  if (!isObject(entry)) throw fail('has no description.');
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDtype(dtype)) throw fail(`has the element type ${JSON.stringify(dtype)}.`);
  if (!isSizes(shape)) throw fail(`has the shape ${JSON.stringify(shape)}.`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw fail(`has the offsets ${JSON.stringify(offsets)}.`);
  }
  const [begin = 0, end = 0] = offsets;
  if (end < begin) throw fail(`ends (${end}) before it begins (${begin}).`);
  const expected = sizeOf(shape) * DTYPE_BYTES[dtype];
  if (expected !== end - begin) {
    throw fail(
      `should take ${expected} bytes as ${dtype} [${shape.join(', ')}], but ${end - begin} are set aside.`,
    );
  }
  if (dataStart + end > source.sizeBytes) {
    throw fail(
      `ends at byte ${dataStart + end}, but the file has ${source.sizeBytes}: it is cut off. Download it again.`,
    );
  }
  return { name, dtype, shape, file: source, offset: dataStart + begin, sizeBytes: expected };
}

function checkOverlaps(source: ByteSource, tensors: ReadonlyMap<string, SourceTensor>): void {
  const inOrder = [...tensors.values()]
    .filter(({ sizeBytes }) => sizeBytes > 0)
    .sort((a, b) => a.offset - b.offset);
  for (const [index, tensor] of inOrder.entries()) {
    const next = inOrder[index + 1];
    if (next && tensor.offset + tensor.sizeBytes > next.offset) {
      throw invalidModel(source.path, `tensors "${tensor.name}" and "${next.name}" overlap.`);
    }
  }
}

function isDtype(value: unknown): value is SourceDtype {
  return typeof value === 'string' && Object.hasOwn(DTYPE_BYTES, value);
}

function isSizes(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.length <= 8 &&
    value.every((size) => Number.isSafeInteger(size) && size >= 0)
  );
}
