import type { ComponentName } from '../model.ts';
import { FLOAT32, FLOAT64, INT32, INT64 } from './element-types.ts';
import {
  type Attribute,
  type Graph,
  makeNode,
  mapNodes,
  type Node,
  type OnnxFile,
  type Tensor,
  type ValueType,
} from './graph.ts';

/** IR version 4 is the first in which a constant need not be an input as well. */
const IR_VERSION = 8;

/**
 * The same model in forms that every provider runs. float64, which the WebGPU builds have no kernel for,
 * becomes float32: constants, casts, weights. An encoder that draws a sample of its distribution gives
 * the mean instead, as Easel's own does. A constant is no input.
 */
export function repairModel(model: OnnxFile, component: ComponentName): OnnxFile {
  const constants = new Set(model.graph.initializers.map(({ name }) => name));
  const inputs = model.graph.inputs.filter(({ name }) => !constants.has(name));
  const narrowed = narrowGraph({ ...model.graph, inputs });
  const graph = component === 'vae_encoder' ? mapNodes(narrowed, withoutNoise) : narrowed;
  return { ...model, irVersion: Math.max(model.irVersion, IR_VERSION), graph };
}

function narrowGraph(graph: Graph): Graph {
  const nodes = graph.nodes.map((node) => ({
    ...node,
    attributes: node.attributes.map(narrowAttribute),
  }));
  return {
    ...graph,
    nodes,
    initializers: graph.initializers.map(narrowTensor),
    inputs: graph.inputs.map(narrowValue),
    outputs: graph.outputs.map(narrowValue),
  };
}

/** Attributes that name an element type. */
const TYPE_ATTRIBUTES: ReadonlySet<string> = new Set(['to', 'dtype', 'stash_type']);

function narrowAttribute(attribute: Attribute): Attribute {
  if (attribute.kind === 'tensor') return { ...attribute, tensor: narrowTensor(attribute.tensor) };
  if (attribute.kind === 'graph') return { ...attribute, graph: narrowGraph(attribute.graph) };
  const isDouble = attribute.kind === 'int' && attribute.int === FLOAT64;
  return isDouble && TYPE_ATTRIBUTES.has(attribute.name)
    ? { ...attribute, int: FLOAT32 }
    : attribute;
}

function narrowValue(value: ValueType): ValueType {
  return value.type === FLOAT64 ? { ...value, type: FLOAT32 } : value;
}

function narrowTensor(tensor: Tensor): Tensor {
  if (tensor.type !== FLOAT64) return tensor;
  const { data } = tensor;
  return {
    ...tensor,
    type: FLOAT32,
    data:
      data.type === 'inline'
        ? { type: 'inline', bytes: narrowBytes(data.bytes) }
        : { ...data, isNarrowed: true },
  };
}

const LARGEST = 3.4028234663852886e38;

/**
 * float64 as float32. What is finite stays finite: exports mask with the lowest float64, and an infinity
 * in its place would make the mean of a fully masked row no number.
 */
export function narrowBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const source = new Float64Array(bytes.slice().buffer);
  const narrow = Float32Array.from(source, (value) =>
    Number.isFinite(value) ? Math.min(LARGEST, Math.max(-LARGEST, value)) : value,
  );
  return new Uint8Array(narrow.buffer);
}

/** The deviation from the mean of a sample that a graph draws by itself, as zero. */
function withoutNoise(node: Node): Node {
  const [like] = node.inputs;
  if (node.domain !== '' || node.opType !== 'RandomNormalLike' || like === undefined) return node;
  return { ...makeNode('Sub', [like, like], node.outputs), name: node.name };
}

/** Nodes that pass a number on as it is. */
const CARRIERS: ReadonlySet<string> = new Set([
  'Unsqueeze',
  'Squeeze',
  'Reshape',
  'Expand',
  'Flatten',
  'Identity',
  'Tile',
]);

/**
 * The graph with its timestep as float32, whatever it was exported with, or null where the graph does
 * more with it than cast it to a float: then a time between two steps would change the meaning.
 */
export function withFloatTimestep(graph: Graph, timestep: string): Graph | null {
  const carried = new Set([timestep]);
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    const uses = node.inputs.some((name) => carried.has(name));
    const isOwn = node.domain === '';
    if (!uses || (isOwn && node.opType === 'Shape')) {
      nodes.push(node);
    } else if (isOwn && CARRIERS.has(node.opType) && carried.has(node.inputs[0] ?? '')) {
      for (const output of node.outputs) carried.add(output);
      nodes.push(node);
    } else if (isOwn && node.opType === 'Cast') {
      const to = node.attributes.find(({ name }) => name === 'to');
      const isWhole = to?.kind === 'int' && (to.int === INT64 || to.int === INT32);
      if (!isWhole) nodes.push(node);
      else {
        nodes.push(makeNode('Identity', node.inputs, node.outputs));
        for (const output of node.outputs) carried.add(output);
      }
    } else return null;
  }
  const inputs = graph.inputs.map((input) =>
    input.name === timestep ? { ...input, type: FLOAT32 } : input,
  );
  return { ...graph, nodes, inputs };
}
