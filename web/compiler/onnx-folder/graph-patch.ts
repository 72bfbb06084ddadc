import { FLOAT32, INT32, INT64 } from './element-types.ts';
import {
  type Dimension,
  type Graph,
  makeNode,
  type Node,
  type Tensor,
  type ValueType,
} from './graph.ts';
import type { Port } from './ports.ts';

/** Nodes put before and after a graph, under names of their own. */
export class GraphPatch {
  readonly #graph: Graph;
  #own: readonly Node[];
  readonly #before: Node[] = [];
  readonly #after: Node[] = [];
  readonly #constants: Tensor[] = [];
  readonly #inputs: ValueType[] = [];
  readonly #outputs: ValueType[] = [];
  readonly #opset: number;
  #count = 0;
  /** While a feed is built its nodes come before the graph's. */
  #isBefore = false;

  /** `opset` is that of ONNX's own domain. */
  constructor(graph: Graph, opset: number) {
    this.#graph = graph;
    this.#own = graph.nodes;
    this.#opset = opset;
  }

  /** A node of one output; its name is the result. */
  op(
    opType: string,
    inputs: readonly string[],
    ints: Readonly<Record<string, number>> = {},
  ): string {
    const output = this.#fresh();
    this.#add(makeNode(opType, inputs, [output], ints));
    return output;
  }

  /** A float32 constant. */
  scalar(value: number): string {
    return this.#constant(FLOAT32, [], new Uint8Array(Float32Array.of(value).buffer));
  }

  /** A value as float32. */
  float(name: string): string {
    return this.op('Cast', [name], { to: FLOAT32 });
  }

  /** Both halves of a tensor along its channels. */
  halves(name: string): [string, string] {
    const outputs: [string, string] = [this.#fresh(), this.#fresh()];
    // From opset 18 on Split must be told how many parts it makes where it has no sizes.
    const count = this.#opset >= 18 ? { num_outputs: 2 } : {};
    this.#add(makeNode('Split', [name], outputs, { axis: 1, ...count }));
    return outputs;
  }

  /** Declares the input `name` of the engine and feeds the graph's own with it, cast to its type. */
  feed(
    name: string,
    port: Port,
    shape: readonly Dimension[],
    change: (value: string) => string = (value) => value,
    type = FLOAT32,
  ): void {
    this.#inputs.push({ name, type, shape });
    this.#isBefore = true;
    this.#add(makeNode('Cast', [change(name)], [port.name], { to: port.type }));
    this.#isBefore = false;
  }

  /**
   * Feeds the time, which the engine gives as float32 [batch] with one value, as the graph has it: a
   * number, a list of one, or one a row. `batchSize` is how the sample's batch is written.
   */
  feedTime(port: Port, batch: number, batchSize: Dimension): void {
    this.#inputs.push({ name: 'timestep', type: FLOAT32, shape: [batch] });
    this.#isBefore = true;
    const [rows = null] = port.shape;
    const isPerRow = rows === batch || (rows !== null && rows === batchSize);
    const shape = port.shape.length === 0 ? [] : [isPerRow ? batch : 1];
    const first = this.op('Slice', [
      'timestep',
      this.#int64s([0]),
      this.#int64s([isPerRow ? batch : 1]),
    ]);
    const shaped = this.op('Reshape', [first, this.#int64s(shape)]);
    const isWhole = port.type === INT64 || port.type === INT32;
    const value = isWhole ? this.op('Round', [shaped]) : shaped;
    this.#add(makeNode('Cast', [value], [port.name], { to: port.type }));
    this.#isBefore = false;
  }

  /** Feeds an input with one value all over. */
  fill(port: Port, shape: readonly number[], value: number): void {
    this.#isBefore = true;
    const constant = this.op('ConstantOfShape', [this.#int64s(shape)]);
    const filled = this.op('Add', [constant, this.scalar(value)]);
    this.#add(makeNode('Cast', [filled], [port.name], { to: port.type }));
    this.#isBefore = false;
  }

  /** Declares the output `name` of the engine: a value of the graph, as float32. */
  give(name: string, value: string): void {
    this.#after.push(makeNode('Cast', [value], [name], { to: FLOAT32 }));
    this.#outputs.push({ name, type: FLOAT32, shape: null });
  }

  /**
   * Puts rows given from outside in the place of some of `rows` [batch, tokens, width]: inputs
   * `overrides` and `override_mask`, as `buildGraph` says. `type` is the rows' own.
   */
  replaceRows(rows: string, type: number, batch: number, tokens: number): void {
    this.#inputs.push(
      { name: 'overrides', type: FLOAT32, shape: [batch, tokens, null] },
      { name: 'override_mask', type: FLOAT32, shape: [batch, tokens, 1] },
    );
    const bare = `${rows}/bare`;
    const place = this.#own.findIndex(({ outputs }) => outputs.includes(rows));
    const node = this.#own[place];
    if (!node) throw new TypeError(`no node gives ${rows}`);
    const outputs = node.outputs.map((output) => (output === rows ? bare : output));
    const [float, kept, hidden, joined] = [1, 2, 3, 4].map(() => this.#fresh());
    const nodes = [
      { ...node, outputs },
      makeNode('Cast', [bare], [float ?? ''], { to: FLOAT32 }),
      makeNode('Sub', [this.scalar(1), 'override_mask'], [kept ?? '']),
      makeNode('Mul', [float ?? '', kept ?? ''], [hidden ?? '']),
      makeNode('Add', [hidden ?? '', 'overrides'], [joined ?? '']),
      makeNode('Cast', [joined ?? ''], [rows], { to: type }),
    ];
    this.#own = this.#own.toSpliced(place, 1, ...nodes);
  }

  /**
   * What the graph makes of `from` to get `to`, made of `other` instead; its name is the result, or null
   * where it does not make `to` of `from`.
   */
  repeatFrom(from: string, to: string, other: string): string | null {
    const start = this.#source(from);
    const affected = this.#between(start, to);
    if (affected.length === 0) return null;
    const renamed = new Map([[start, other]]);
    for (const { outputs } of affected) {
      for (const output of outputs) renamed.set(output, this.#fresh());
    }
    for (const node of affected) {
      this.#after.push({
        ...node,
        name: `${node.name}/again`,
        inputs: node.inputs.map((input) => renamed.get(input) ?? input),
        outputs: node.outputs.map((output) => renamed.get(output) ?? output),
      });
    }
    return renamed.get(to) ?? null;
  }

  finish(): Graph {
    const { name, initializers } = this.#graph;
    const nodes = [...this.#before, ...this.#own, ...this.#after];
    const kept = withoutUnused(nodes, this.#outputs);
    const used = new Set(kept.flatMap(usedNames));
    return {
      name,
      nodes: kept,
      initializers: [...initializers, ...this.#constants].filter((each) => used.has(each.name)),
      inputs: this.#inputs,
      outputs: this.#outputs,
    };
  }

  /** The value that another is but a second name of. */
  #source(name: string): string {
    const giver = this.#own.find(({ outputs }) => outputs.includes(name));
    const [only] = giver?.inputs ?? [];
    return giver?.opType === 'Identity' && only !== undefined ? this.#source(only) : name;
  }

  /** Nodes that depend on `from` and that `to` depends on, in order. */
  #between(from: string, to: string): Node[] {
    const reached = new Set([from]);
    const forward = this.#own.filter((node) => {
      if (!node.inputs.some((input) => reached.has(input))) return false;
      for (const output of node.outputs) reached.add(output);
      return true;
    });
    const needed = new Set([to]);
    const nodes: Node[] = [];
    for (const node of forward.toReversed()) {
      if (!node.outputs.some((output) => needed.has(output))) continue;
      for (const input of node.inputs) if (reached.has(input) && input !== from) needed.add(input);
      nodes.push(node);
    }
    return nodes.reverse();
  }

  #fresh(): string {
    this.#count += 1;
    return `boundary/${this.#count}`;
  }

  #add(node: Node): void {
    (this.#isBefore ? this.#before : this.#after).push(node);
  }

  #int64s(values: readonly number[]): string {
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    return this.#constant(INT64, [values.length], bytes);
  }

  #constant(type: number, shape: readonly number[], bytes: Uint8Array): string {
    const name = this.#fresh();
    this.#constants.push({ name, type, shape, data: { type: 'inline', bytes } });
    return name;
  }
}

/** Nodes without those that nothing asks for: a state or a pooled vector that was exported for others. */
function withoutUnused(nodes: readonly Node[], outputs: readonly ValueType[]): Node[] {
  const needed = new Set(outputs.map(({ name }) => name));
  const kept: Node[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    kept.push(node);
    for (const name of usedNames(node)) needed.add(name);
  }
  return kept.reverse();
}

/** Names that a node reads, also from within its graphs. */
function usedNames(node: Node): string[] {
  const inner = node.attributes.flatMap((attribute) =>
    attribute.kind === 'graph'
      ? [
          ...attribute.graph.nodes.flatMap(usedNames),
          ...attribute.graph.outputs.map(({ name }) => name),
        ]
      : [],
  );
  return [...node.inputs, ...inner];
}
