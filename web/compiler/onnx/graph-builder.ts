import type { WeightSource, WeightSpec } from '../weights.ts';
import { encodeModel } from './encode.ts';
import type {
  Dtype,
  OnnxAttribute,
  OnnxInitializer,
  OnnxModel,
  OnnxNode,
  OnnxTensorType,
} from './model.ts';

/**
 * Opset 17: the newest that every kernel of the native WebGPU provider is registered for without a
 * gap, and it has LayerNormalization.
 */
const OPSETS = { '': 17, 'com.microsoft': 1 };

/** A tensor inside the graph. */
export type Value = OnnxTensorType;

export interface NodeOptions {
  readonly domain?: '' | 'com.microsoft';
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

type FloatDtype = 'float32' | 'float16';

/** The execution provider that a graph is made for; what is made for `wasm` runs on both. */
export type Provider = 'webgpu' | 'wasm';

/**
 * Collects the nodes of one graph. Names follow the module path (`down_blocks.0.resnets.1.conv1/Conv`),
 * equal constants are stored once, and every value knows its element type and shape.
 */
export class GraphBuilder {
  /** Element type of activations between the layers. */
  readonly dtype: FloatDtype;
  readonly provider: Provider;
  readonly #name: string;
  readonly #weights: WeightSource;
  readonly #inputs: OnnxTensorType[] = [];
  readonly #outputs: { readonly name: string; readonly value: Value }[] = [];
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers = new Map<string, OnnxInitializer>();
  readonly #constants = new Map<string, Value>();
  readonly #nameCounts = new Map<string, number>();
  #scope = '';

  constructor(
    name: string,
    {
      dtype = 'float32',
      provider = 'wasm',
      weights = noWeights,
    }: { dtype?: FloatDtype; provider?: Provider; weights?: WeightSource } = {},
  ) {
    this.#name = name;
    this.dtype = dtype;
    this.provider = provider;
    this.#weights = weights;
  }

  /** Runs `build` with `name` appended to the path that weights and nodes are named by. */
  scope<T>(name: string, build: () => T): T {
    const outer = this.#scope;
    this.#scope = outer === '' ? name : `${outer}.${name}`;
    try {
      return build();
    } finally {
      this.#scope = outer;
    }
  }

  input(name: string, dtype: Dtype, shape: readonly number[]): Value {
    const value = { name, dtype, shape };
    this.#inputs.push(value);
    return value;
  }

  /** Makes `value`, which a node of this graph made, an output called `name`. */
  output(name: string, value: Value): void {
    this.#outputs.push({ name, value });
  }

  /** A weight of the module at the current path, as stored. */
  weight(
    name: string,
    shape: readonly number[],
    {
      layout = 'plain',
      keepFloat32 = false,
      parts = [name],
    }: Partial<Pick<WeightSpec, 'layout' | 'keepFloat32' | 'parts'>> = {},
  ): Value {
    const storedShape = layout === 'transposed' ? shape.toReversed() : shape;
    const path = (part: string) => (this.#scope === '' ? part : `${this.#scope}.${part}`);
    const spec: WeightSpec = {
      name: path(name),
      parts: parts.map(path),
      shape,
      layout,
      storedShape,
      keepFloat32,
    };
    const { dtype, location, offset, sizeBytes } = this.#weights(spec);
    const value = { name: spec.name, dtype, shape: storedShape };
    this.#initializers.set(spec.name, {
      ...value,
      data: { type: 'external', location, offset, sizeBytes },
    });
    return value;
  }

  /** A constant inside the graph file. */
  constant(dtype: Dtype, shape: readonly number[], data: ArrayBufferView): Value {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const key = `${dtype} ${shape.join('x')} ${bytes.join(' ')}`;
    let value = this.#constants.get(key);
    if (!value) {
      value = { name: `constant.${this.#constants.size}`, dtype, shape };
      this.#constants.set(key, value);
      this.#initializers.set(value.name, {
        ...value,
        data: { type: 'inline', bytes: bytes.slice() },
      });
    }
    return value;
  }

  /** A node with one output. */
  op(
    opType: string,
    inputs: readonly (Value | null)[],
    output: Pick<Value, 'dtype' | 'shape'>,
    options: NodeOptions = {},
  ): Value {
    const [value] = this.ops(opType, inputs, [output], options);
    if (!value) throw new Error(`${opType} has no output`);
    return value;
  }

  /** A node with several outputs; null leaves an optional input or output out. */
  ops(
    opType: string,
    inputs: readonly (Value | null)[],
    outputs: readonly (Pick<Value, 'dtype' | 'shape'> | null)[],
    { domain = '', attributes = {} }: NodeOptions = {},
  ): (Value | undefined)[] {
    const name = this.#uniqueName(`${this.#scope}/${opType}`);
    const values = outputs.map((output, index) =>
      output === null
        ? undefined
        : { name: index === 0 ? `${name}:` : `${name}:${index}`, ...pickType(output) },
    );
    this.#nodes.push({
      name,
      opType,
      domain,
      inputs: inputs.map((input) => input?.name ?? ''),
      outputs: values.map((value) => value?.name ?? ''),
      attributes,
    });
    return values;
  }

  model(): OnnxModel {
    const renamed = new Map(this.#outputs.map(({ name, value }) => [value.name, name]));
    const rename = (name: string) => renamed.get(name) ?? name;
    return {
      producer: 'easel',
      graphName: this.#name,
      opsets: OPSETS,
      inputs: this.#inputs,
      outputs: this.#outputs.map(({ name, value }) => ({ ...value, name })),
      nodes: this.#nodes.map((node) => ({
        ...node,
        inputs: node.inputs.map(rename),
        outputs: node.outputs.map(rename),
      })),
      initializers: [...this.#initializers.values()],
    };
  }

  encode(): Uint8Array<ArrayBuffer> {
    return encodeModel(this.model());
  }

  #uniqueName(name: string): string {
    const count = this.#nameCounts.get(name) ?? 0;
    this.#nameCounts.set(name, count + 1);
    return count === 0 ? name : `${name}_${count}`;
  }
}

function pickType({
  dtype,
  shape,
}: Pick<Value, 'dtype' | 'shape'>): Pick<Value, 'dtype' | 'shape'> {
  return { dtype, shape };
}

function noWeights(spec: WeightSpec): never {
  throw new Error(`this graph has no weights, yet it asks for ${spec.name}`);
}
