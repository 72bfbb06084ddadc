import { ProtoWriter } from '../onnx/protobuf.ts';
import type { Attribute, Graph, Node, OnnxFile, Tensor, ValueType } from './graph.ts';

/** AttributeProto.AttributeType. */
const ATTRIBUTE_TYPES = { int: 2, tensor: 4, graph: 5 } as const;
const EXTERNAL = 1;

/**
 * Writes a model as an `.onnx` file (field numbers: onnx/onnx.proto3). Tensors in parts are written by
 * their places: a part of the graph's own file must have been placed elsewhere before.
 */
export function encodeOnnxFile({ irVersion, opsets, graph }: OnnxFile): Uint8Array<ArrayBuffer> {
  const proto = new ProtoWriter();
  proto.integer(1, irVersion);
  proto.message(7, (inner) => writeGraph(inner, graph));
  for (const { domain, version } of opsets) {
    proto.message(8, (inner) => {
      inner.string(1, domain);
      inner.integer(2, version);
    });
  }
  return proto.finish();
}

function writeGraph(proto: ProtoWriter, graph: Graph): void {
  for (const node of graph.nodes) proto.message(1, (inner) => writeNode(inner, node));
  proto.string(2, graph.name);
  for (const tensor of graph.initializers) proto.message(5, (inner) => writeTensor(inner, tensor));
  for (const input of graph.inputs) proto.message(11, (inner) => writeValueType(inner, input));
  for (const output of graph.outputs) proto.message(12, (inner) => writeValueType(inner, output));
}

function writeNode(proto: ProtoWriter, node: Node): void {
  for (const input of node.inputs) proto.string(1, input);
  for (const output of node.outputs) proto.string(2, output);
  proto.string(3, node.name);
  proto.string(4, node.opType);
  for (const attribute of node.attributes) {
    if (attribute.kind === 'other') proto.bytes(5, attribute.message);
    else proto.message(5, (inner) => writeAttribute(inner, attribute));
  }
  if (node.domain !== '') proto.string(7, node.domain);
}

function writeAttribute(
  proto: ProtoWriter,
  attribute: Exclude<Attribute, { kind: 'other' }>,
): void {
  proto.string(1, attribute.name);
  proto.integer(20, ATTRIBUTE_TYPES[attribute.kind]);
  if (attribute.kind === 'int') proto.integer(3, attribute.int);
  else if (attribute.kind === 'tensor') {
    proto.message(5, (inner) => writeTensor(inner, attribute.tensor));
  } else proto.message(6, (inner) => writeGraph(inner, attribute.graph));
}

function writeTensor(proto: ProtoWriter, { name, type, shape, data }: Tensor): void {
  proto.packedIntegers(1, shape);
  proto.integer(2, type);
  proto.string(8, name);
  if (data.type === 'inline') {
    proto.bytes(9, data.bytes);
    return;
  }
  if (data.location === '') throw new TypeError(`tensor ${name} was not placed`);
  const { location, offset, sizeBytes } = data;
  const entries = { location, offset: String(offset), length: String(sizeBytes) };
  for (const [key, value] of Object.entries(entries)) {
    proto.message(13, (entry) => {
      entry.string(1, key);
      entry.string(2, value);
    });
  }
  proto.integer(14, EXTERNAL);
}

function writeValueType(proto: ProtoWriter, { name, type, shape }: ValueType): void {
  proto.string(1, name);
  proto.message(2, (value) => {
    value.message(1, (tensor) => {
      tensor.integer(1, type);
      if (!shape) return;
      tensor.message(2, (dimensions) => {
        for (const size of shape) {
          dimensions.message(1, (dimension) => {
            if (typeof size === 'number') dimension.integer(1, size);
            else if (size !== null) dimension.string(2, size);
          });
        }
      });
    });
  });
}
