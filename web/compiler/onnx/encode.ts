import type {
  OnnxAttribute,
  OnnxInitializer,
  OnnxModel,
  OnnxNode,
  OnnxTensorType,
} from './model.ts';
import { DTYPE_CODES } from './model.ts';
import { ProtoWriter } from './protobuf.ts';

/** IR version 8 is the oldest that opset 17 needs; every onnxruntime-web we ship reads it. */
const IR_VERSION = 8;

const EXTERNAL = 1;

/** AttributeProto.AttributeType. */
const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, floats: 6, ints: 7 } as const;

/** Writes a model as an `.onnx` file (field numbers: onnx/onnx.proto3). */
export function encodeModel(model: OnnxModel): Uint8Array<ArrayBuffer> {
  const proto = new ProtoWriter();
  proto.integer(1, IR_VERSION);
  proto.string(2, model.producer);
  proto.message(7, (graph) => {
    for (const node of model.nodes) graph.message(1, (inner) => writeNode(inner, node));
    graph.string(2, model.graphName);
    for (const initializer of model.initializers) {
      graph.message(5, (inner) => writeInitializer(inner, initializer));
    }
    for (const input of model.inputs) graph.message(11, (inner) => writeTensorType(inner, input));
    for (const output of model.outputs)
      graph.message(12, (inner) => writeTensorType(inner, output));
  });
  for (const [domain, version] of Object.entries(model.opsets)) {
    proto.message(8, (opset) => {
      opset.string(1, domain);
      opset.integer(2, version);
    });
  }
  return proto.finish();
}

function writeNode(proto: ProtoWriter, node: OnnxNode): void {
  for (const input of node.inputs) proto.string(1, input);
  for (const output of node.outputs) proto.string(2, output);
  proto.string(3, node.name);
  proto.string(4, node.opType);
  for (const [name, attribute] of Object.entries(node.attributes)) {
    proto.message(5, (inner) => writeAttribute(inner, name, attribute));
  }
  if (node.domain !== '') proto.string(7, node.domain);
}

function writeAttribute(proto: ProtoWriter, name: string, attribute: OnnxAttribute): void {
  proto.string(1, name);
  if ('float' in attribute) {
    proto.float(2, attribute.float);
    proto.integer(20, ATTRIBUTE_TYPES.float);
  } else if ('int' in attribute) {
    proto.integer(3, attribute.int);
    proto.integer(20, ATTRIBUTE_TYPES.int);
  } else if ('string' in attribute) {
    proto.string(4, attribute.string);
    proto.integer(20, ATTRIBUTE_TYPES.string);
  } else if ('floats' in attribute) {
    proto.packedFloats(7, attribute.floats);
    proto.integer(20, ATTRIBUTE_TYPES.floats);
  } else {
    proto.packedIntegers(8, attribute.ints);
    proto.integer(20, ATTRIBUTE_TYPES.ints);
  }
}

function writeInitializer(proto: ProtoWriter, tensor: OnnxInitializer): void {
  proto.packedIntegers(1, tensor.shape);
  proto.integer(2, DTYPE_CODES[tensor.dtype]);
  proto.string(8, tensor.name);
  const { data } = tensor;
  if (data.type === 'inline') {
    proto.bytes(9, data.bytes);
    return;
  }
  const entries = {
    location: data.location,
    offset: String(data.offset),
    length: String(data.sizeBytes),
  };
  for (const [key, value] of Object.entries(entries)) {
    proto.message(13, (entry) => {
      entry.string(1, key);
      entry.string(2, value);
    });
  }
  proto.integer(14, EXTERNAL);
}

function writeTensorType(proto: ProtoWriter, { name, dtype, shape }: OnnxTensorType): void {
  proto.string(1, name);
  proto.message(2, (type) => {
    type.message(1, (tensor) => {
      tensor.integer(1, DTYPE_CODES[dtype]);
      tensor.message(2, (dimensions) => {
        for (const size of shape) dimensions.message(1, (dimension) => dimension.integer(1, size));
      });
    });
  });
}
