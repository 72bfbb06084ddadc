import type {
  Dtype,
  OnnxAttribute,
  OnnxInitializer,
  OnnxModel,
  OnnxNode,
  OnnxTensorType,
} from './model.ts';
import { DTYPE_CODES } from './model.ts';
import { readFields, readFloats, readIntegers, readString } from './protobuf.ts';

const DTYPES = new Map<number, Dtype>(
  Object.entries(DTYPE_CODES).map(([dtype, code]) => [code, dtype as Dtype]),
);

/**
 * Reads an `.onnx` file written with fixed shapes and the element types of `Dtype`: what `encodeModel`
 * writes. Throws RangeError where the bytes are something else.
 */
export function decodeModel(bytes: Uint8Array): OnnxModel {
  let producer = '';
  let graph: Uint8Array | undefined;
  const opsets: [domain: string, version: number][] = [];
  for (const field of readFields(bytes)) {
    if (field.number === 2) producer = readString(field);
    else if (field.number === 7) graph = field.bytes;
    else if (field.number === 8) {
      opsets.push(readOpset(field.bytes));
    }
  }
  if (!graph) throw new RangeError('the model has no graph');
  return { producer, opsets: Object.fromEntries(opsets), ...readGraph(graph) };
}

function readOpset(bytes: Uint8Array): [domain: string, version: number] {
  let domain = '';
  let version = 0;
  for (const field of readFields(bytes)) {
    if (field.number === 1) domain = readString(field);
    else if (field.number === 2) version = field.value;
  }
  return [domain, version];
}

function readGraph(bytes: Uint8Array): Omit<OnnxModel, 'producer' | 'opsets'> {
  let graphName = '';
  const nodes: OnnxNode[] = [];
  const initializers: OnnxInitializer[] = [];
  const inputs: OnnxTensorType[] = [];
  const outputs: OnnxTensorType[] = [];
  for (const field of readFields(bytes)) {
    if (field.number === 1) nodes.push(readNode(field.bytes));
    else if (field.number === 2) graphName = readString(field);
    else if (field.number === 5) initializers.push(readInitializer(field.bytes));
    else if (field.number === 11) inputs.push(readTensorType(field.bytes));
    else if (field.number === 12) outputs.push(readTensorType(field.bytes));
  }
  return { graphName, nodes, initializers, inputs, outputs };
}

function readNode(bytes: Uint8Array): OnnxNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  // Object.fromEntries keeps a name like __proto__, which assignment would lose.
  const attributes: [name: string, attribute: OnnxAttribute][] = [];
  let [name, opType, domain] = ['', '', ''];
  for (const field of readFields(bytes)) {
    if (field.number === 1) inputs.push(readString(field));
    else if (field.number === 2) outputs.push(readString(field));
    else if (field.number === 3) name = readString(field);
    else if (field.number === 4) opType = readString(field);
    else if (field.number === 5) attributes.push(readAttribute(field.bytes));
    else if (field.number === 7) domain = readString(field);
  }
  return { name, opType, domain, inputs, outputs, attributes: Object.fromEntries(attributes) };
}

function readAttribute(bytes: Uint8Array): [name: string, attribute: OnnxAttribute] {
  let name = '';
  let attribute: OnnxAttribute | undefined;
  for (const field of readFields(bytes)) {
    if (field.number === 1) name = readString(field);
    else if (field.number === 2) attribute = { float: field.value };
    else if (field.number === 3) attribute = { int: field.value };
    else if (field.number === 4) attribute = { string: readString(field) };
    else if (field.number === 7) attribute = { floats: readFloats(field) };
    else if (field.number === 8) attribute = { ints: readIntegers(field) };
  }
  if (!attribute) throw new RangeError(`attribute ${name} has a kind that is not known`);
  return [name, attribute];
}

function readInitializer(bytes: Uint8Array): OnnxInitializer {
  const shape: number[] = [];
  const external = new Map<string, string>();
  let name = '';
  let dtype: Dtype | undefined;
  let inline = new Uint8Array();
  for (const field of readFields(bytes)) {
    if (field.number === 1) shape.push(...readIntegers(field));
    else if (field.number === 2) dtype = DTYPES.get(field.value);
    else if (field.number === 8) name = readString(field);
    else if (field.number === 9) inline = field.bytes.slice();
    else if (field.number === 13) {
      const [key, value] = [...readFields(field.bytes)].map(readString);
      external.set(key ?? '', value ?? '');
    }
  }
  if (!dtype) throw new RangeError(`initializer ${name} has an element type that is not known`);
  const location = external.get('location');
  if (location === undefined) {
    return { name, dtype, shape, data: { type: 'inline', bytes: inline } };
  }
  const [offset, sizeBytes] = [Number(external.get('offset')), Number(external.get('length'))];
  return {
    name,
    dtype,
    shape,
    data: { type: 'external', location, offset, sizeBytes },
  };
}

function readTensorType(bytes: Uint8Array): OnnxTensorType {
  let name = '';
  let dtype: Dtype | undefined;
  const shape: number[] = [];
  for (const field of readFields(bytes)) {
    if (field.number === 1) name = readString(field);
    else if (field.number === 2) {
      for (const type of readFields(field.bytes)) {
        for (const tensor of readFields(type.bytes)) {
          if (tensor.number === 1) dtype = DTYPES.get(tensor.value);
          else if (tensor.number === 2) shape.push(...readDimensions(tensor.bytes));
        }
      }
    }
  }
  if (!dtype) throw new RangeError(`${name} has an element type that is not known`);
  return { name, dtype, shape };
}

function readDimensions(bytes: Uint8Array): number[] {
  return [...readFields(bytes)].map((dimension) => {
    let size = 0;
    for (const field of readFields(dimension.bytes)) if (field.number === 1) size = field.value;
    return size;
  });
}
