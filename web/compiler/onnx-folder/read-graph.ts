import { GenerationError } from '../../../protocol/errors.ts';
import { invalidModel, unsupportedModel } from '../errors.ts';
import type { ByteSource } from '../model.ts';
import { type ProtoField, readFields, readString } from '../onnx/protobuf.ts';
import { ByteCursor } from './byte-cursor.ts';
import type { Attribute, Dimension, Graph, Node, OnnxFile, Tensor, ValueType } from './graph.ts';
import { readTensor, readTensorAt } from './read-tensor.ts';

/** A graph of SDXL's UNet has about ten thousand nodes and a few megabytes without its weights. */
const MAX_NODES = 200_000;
const MAX_GRAPH_BYTES = 128 * 1024 * 1024;
/** Graphs in attributes of graphs in attributes. */
const MAX_DEPTH = 8;

/** Graph fields that say nothing that counts: documentation, inferred shapes, quantisation notes. */
const GRAPH_NOTES: ReadonlySet<number> = new Set([10, 13, 14, 16]);
const INITIALIZER = 5;

interface GraphParts {
  name: string;
  readonly nodes: Node[];
  readonly initializers: Tensor[];
  readonly inputs: ValueType[];
  readonly outputs: ValueType[];
}

/**
 * Reads an `.onnx` file by ranges: everything but the bytes of large tensors, which are told by their
 * places, so that a file of gigabytes takes a few megabytes of memory. Fields by onnx/onnx.proto3.
 * Rejects with `invalid-model` where the file is cut off or no ONNX file, and with `unsupported` where it
 * holds what the compiler does not know (sparse tensors, functions of its own, strings, sequences), by name.
 */
export async function readOnnxFile(
  file: ByteSource,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<OnnxFile> {
  try {
    return await readModel(file, new ByteCursor(file, signal));
  } catch (error) {
    // The wire format's own reader knows no files.
    if (!(error instanceof RangeError) || error instanceof GenerationError) throw error;
    throw invalidModel(
      file.path,
      `is damaged or no ONNX file (${error.message}). Download it again.`,
      error,
    );
  }
}

async function readModel(file: ByteSource, cursor: ByteCursor): Promise<OnnxFile> {
  const end = file.sizeBytes;
  const opsets: { domain: string; version: number }[] = [];
  let irVersion = 0;
  let graph: Graph | undefined;
  while (cursor.position < end) {
    const { number, wireType } = await cursor.key(end);
    if (number === 7 && wireType === 2) {
      if (graph) throw invalidModel(file.path, 'holds two graphs.');
      graph = await readMainGraph(file.path, cursor, await cursor.length(end));
      continue;
    }
    if (wireType === 0) {
      const value = await cursor.varint(end);
      if (number === 1) irVersion = value;
      continue;
    }
    if (wireType !== 2) throw invalidModel(file.path, 'is no ONNX file.');
    const length = await cursor.length(end);
    if (number === 25 || number === 20) {
      throw unsupportedModel(
        file.path,
        number === 25
          ? 'defines functions of its own, which this version of Easel does not read. Export the model with them inlined.'
          : 'holds a training step, which Easel does not run.',
      );
    }
    if (number === 8) opsets.push(readOpset(await cursor.bytes(length)));
    else cursor.position += length;
  }
  if (!graph || irVersion === 0 || opsets.length === 0) {
    throw invalidModel(file.path, 'is no ONNX file: it has no graph. Download it again.');
  }
  return { irVersion, opsets, graph };
}

async function readMainGraph(file: string, cursor: ByteCursor, length: number): Promise<Graph> {
  const end = cursor.position + length;
  const parts = emptyParts();
  let inMemory = 0;
  while (cursor.position < end) {
    const { number, wireType } = await cursor.key(end);
    if (wireType !== 2) throw invalidModel(file, 'is no ONNX file.');
    const size = await cursor.length(end);
    if (number === INITIALIZER) {
      const tensor = await readTensorAt(file, cursor, size);
      if (tensor.data.type === 'inline') inMemory += tensor.data.bytes.byteLength;
      parts.initializers.push(tensor);
    } else {
      inMemory += size;
      if (inMemory > MAX_GRAPH_BYTES) throw tooLarge(file);
      const bytes = await cursor.bytes(size);
      addField(file, parts, { number, bytes, value: 0, wireType }, 0);
    }
    if (inMemory > MAX_GRAPH_BYTES || parts.nodes.length > MAX_NODES) throw tooLarge(file);
  }
  return parts;
}

function tooLarge(file: string): Error {
  return unsupportedModel(
    file,
    `has a graph of more than ${MAX_NODES} nodes or ${MAX_GRAPH_BYTES} bytes besides its weights.`,
  );
}

function emptyParts(): GraphParts {
  return { name: '', nodes: [], initializers: [], inputs: [], outputs: [] };
}

function readGraph(file: string, message: Uint8Array, depth: number): Graph {
  if (depth > MAX_DEPTH) throw unsupportedModel(file, 'nests its graphs too deep.');
  const parts = emptyParts();
  for (const field of readFields(message)) addField(file, parts, field, depth);
  return parts;
}

function addField(file: string, parts: GraphParts, field: ProtoField, depth: number): void {
  const { number, bytes } = field;
  if (number === 1) parts.nodes.push(readNode(file, bytes, depth));
  else if (number === 2) parts.name = readString(field);
  else if (number === INITIALIZER) parts.initializers.push(readTensor(file, bytes));
  else if (number === 11) parts.inputs.push(readValueType(file, bytes));
  else if (number === 12) parts.outputs.push(readValueType(file, bytes));
  else if (!GRAPH_NOTES.has(number)) {
    throw unsupportedModel(
      file,
      number === 15
        ? 'holds sparse tensors, which this version of Easel does not read. Save the model with dense ones.'
        : `has the graph field ${number}, which this version of Easel does not know.`,
    );
  }
}

function readOpset(message: Uint8Array): { domain: string; version: number } {
  let [domain, version] = ['', 0];
  for (const field of readFields(message)) {
    if (field.number === 1) domain = readString(field);
    else if (field.number === 2) version = field.value;
  }
  return { domain: ownDomain(domain), version };
}

/** ONNX's own domain has two spellings. */
function ownDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

function readNode(file: string, message: Uint8Array, depth: number): Node {
  const [inputs, outputs, attributes]: [string[], string[], Attribute[]] = [[], [], []];
  let [name, opType, domain] = ['', '', ''];
  for (const field of readFields(message)) {
    if (field.number === 1) inputs.push(readString(field));
    else if (field.number === 2) outputs.push(readString(field));
    else if (field.number === 3) name = readString(field);
    else if (field.number === 4) opType = readString(field);
    else if (field.number === 5) attributes.push(readAttribute(file, field.bytes, depth));
    else if (field.number === 7) domain = ownDomain(readString(field));
    else if (field.number === 8 && field.bytes.byteLength > 0) {
      throw unsupportedModel(file, `node "${name}" (${opType}) names an overload.`);
    }
  }
  return { name, opType, domain, inputs, outputs, attributes };
}

/** AttributeProto's fields that are passed on as they are: numbers, strings and lists of them. */
const PLAIN_ATTRIBUTES: ReadonlySet<number> = new Set([1, 2, 3, 4, 7, 8, 9, 13, 20]);

function readAttribute(file: string, message: Uint8Array, depth: number): Attribute {
  let name = '';
  let kind: Attribute['kind'] = 'other';
  let int = 0;
  let inner = new Uint8Array();
  for (const field of readFields(message)) {
    if (field.number === 1) name = readString(field);
    else if (field.number === 3 && Number.isSafeInteger(field.value)) {
      [kind, int] = ['int', field.value];
    } else if (field.number === 5) [kind, inner] = ['tensor', field.bytes.slice()];
    else if (field.number === 6) [kind, inner] = ['graph', field.bytes.slice()];
    else if (!PLAIN_ATTRIBUTES.has(field.number)) {
      throw unsupportedModel(
        file,
        `attribute "${name}" has the field ${field.number}, which this version of Easel does not read.`,
      );
    }
  }
  if (kind === 'int') return { kind, name, int };
  if (kind === 'tensor') return { kind, name, tensor: readTensor(file, inner) };
  if (kind === 'graph') return { kind, name, graph: readGraph(file, inner, depth + 1) };
  return { kind, name, message: message.slice() };
}

function readValueType(file: string, message: Uint8Array): ValueType {
  let name = '';
  let type: number | undefined;
  let shape: Dimension[] | null = null;
  for (const field of readFields(message)) {
    if (field.number === 1) name = readString(field);
    if (field.number !== 2) continue;
    for (const kind of readFields(field.bytes)) {
      // A tensor's type; documentation (6) aside, the others are sequences, maps, sparse and optional ones.
      if (kind.number !== 1) continue;
      for (const part of readFields(kind.bytes)) {
        if (part.number === 1) type = part.value;
        else if (part.number === 2) shape = readShape(part.bytes);
      }
    }
  }
  if (type === undefined) {
    throw unsupportedModel(file, `the input or output "${name}" is no tensor.`);
  }
  return { name, type, shape };
}

function readShape(message: Uint8Array): Dimension[] {
  return [...readFields(message)].map(({ bytes }) => {
    let size: Dimension = null;
    for (const field of readFields(bytes)) {
      if (field.number === 1 && field.value >= 0) size = field.value;
      else if (field.number === 2) size = readString(field);
    }
    return size;
  });
}
