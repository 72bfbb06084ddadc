/** An ONNX model that somebody else exported, as plain data: what `readOnnxFile` gives and `encodeOnnxFile` takes. */

/** A size, the name of one that is open, or null for one that has no name either. */
export type Dimension = number | string | null;

export interface ValueType {
  readonly name: string;
  /** TensorProto.DataType. */
  readonly type: number;
  /** Null where nothing is said of it; a number's is []. */
  readonly shape: readonly Dimension[] | null;
}

/** Where a tensor's bytes lie in a file; `location` '' is the graph's own. */
export interface TensorPart {
  readonly type: 'part';
  readonly location: string;
  readonly offset: number;
  readonly sizeBytes: number;
  /** The bytes are float64 and the tensor float32: they are narrowed when they are copied. */
  readonly isNarrowed?: boolean;
}

export interface Tensor {
  readonly name: string;
  /** TensorProto.DataType. */
  readonly type: number;
  readonly shape: readonly number[];
  readonly data: TensorPart | { readonly type: 'inline'; readonly bytes: Uint8Array };
}

/** An attribute: what the compiler looks into, or its message as it was read. */
export type Attribute =
  | { readonly kind: 'int'; readonly name: string; readonly int: number }
  | { readonly kind: 'tensor'; readonly name: string; readonly tensor: Tensor }
  | { readonly kind: 'graph'; readonly name: string; readonly graph: Graph }
  | { readonly kind: 'other'; readonly name: string; readonly message: Uint8Array };

export interface Node {
  readonly name: string;
  readonly opType: string;
  /** '' is ONNX's own domain. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly Attribute[];
}

export interface Graph {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly initializers: readonly Tensor[];
  readonly inputs: readonly ValueType[];
  readonly outputs: readonly ValueType[];
}

export interface OnnxFile {
  readonly irVersion: number;
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  readonly graph: Graph;
}

/** A node without attributes beyond whole numbers. */
export function makeNode(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  ints: Readonly<Record<string, number>> = {},
): Node {
  const attributes = Object.entries(ints).map(
    ([name, int]): Attribute => ({ kind: 'int', name, int }),
  );
  return { name: outputs[0] ?? '', opType, domain: '', inputs, outputs, attributes };
}

/** The same graph with every node, also of graphs in attributes, put through `map`. */
export function mapNodes(graph: Graph, map: (node: Node) => Node): Graph {
  const nodes = graph.nodes.map((node) =>
    map({
      ...node,
      attributes: node.attributes.map((attribute) =>
        attribute.kind === 'graph'
          ? { ...attribute, graph: mapNodes(attribute.graph, map) }
          : attribute,
      ),
    }),
  );
  return { ...graph, nodes };
}

/** Every node, also of graphs in attributes. */
export function* allNodes(graph: Graph): Generator<Node> {
  for (const node of graph.nodes) {
    yield node;
    for (const attribute of node.attributes) {
      if (attribute.kind === 'graph') yield* allNodes(attribute.graph);
    }
  }
}

/** Every tensor: initializers and those in attributes, also of graphs in attributes. */
export function* allTensors(graph: Graph): Generator<Tensor> {
  yield* graph.initializers;
  for (const { attributes } of graph.nodes) {
    for (const attribute of attributes) {
      if (attribute.kind === 'tensor') yield attribute.tensor;
      else if (attribute.kind === 'graph') yield* allTensors(attribute.graph);
    }
  }
}
