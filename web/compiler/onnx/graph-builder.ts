import type { QuantizedBits } from '../quantize.ts';
import {
  codesShape,
  type PlacedTensor,
  scalesName,
  type WeightSource,
  type WeightSpec,
} from '../weights.ts';
import { encodeModel } from './encode.ts';
import {
  DTYPE_BYTES,
  type Dtype,
  type OnnxAttribute,
  type OnnxInitializer,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensorType,
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

/** The matrix of a linear layer as it is stored: [in, out] in floats, or codes with their scales. */
export type LinearMatrix =
  | { readonly form: 'floats'; readonly matrix: Value }
  | {
      readonly form: 'codes';
      readonly codes: Value;
      readonly scales: Value;
      readonly bits: QuantizedBits;
    };

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
  /** Convolutions see what lies beyond an edge on the opposite one, so that pictures continue into themselves. */
  readonly isTiling: boolean;
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
      isTiling = false,
    }: {
      dtype?: FloatDtype;
      provider?: Provider;
      weights?: WeightSource;
      isTiling?: boolean;
    } = {},
  ) {
    this.#name = name;
    this.dtype = dtype;
    this.provider = provider;
    this.isTiling = isTiling;
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

  /** `name` under the current path. */
  path(name: string): string {
    return this.#scope === '' ? name : `${this.#scope}.${name}`;
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
    const spec = this.#spec(name, shape, { layout, keepFloat32, parts });
    const placed = this.#weights(spec);
    if (placed.dtype === 'uint8') throw new Error(`${spec.name} is stored as codes`);
    return this.#stored(spec.name, spec.storedShape, placed);
  }

  /** The matrix [out, in] of the linear layer at the current path, in the form it is stored in. */
  linearMatrix(name: string, shape: readonly [out: number, inner: number]): LinearMatrix {
    const spec = this.#spec(name, shape, { layout: 'transposed', isLinear: true });
    const placed = this.#weights(spec);
    if (placed.dtype !== 'uint8') {
      return { form: 'floats', matrix: this.#stored(spec.name, spec.storedShape, placed) };
    }
    const { bits, scales } = placed;
    const packedShape = codesShape(shape, bits);
    const blocks = (packedShape[0] ?? 0) * (packedShape[1] ?? 0);
    return {
      form: 'codes',
      codes: this.#stored(spec.name, packedShape, placed),
      scales: this.#stored(scalesName(spec.name), [blocks], scales),
      bits,
    };
  }

  /**
   * A weight [rows, columns] in pieces of whole rows, none larger than `maxBytes`: a storage buffer has a
   * largest size that one table of a whole vocabulary may exceed. One piece is the weight itself.
   */
  weightRows(name: string, shape: readonly [number, number], maxBytes: number): Value[] {
    const spec = this.#spec(name, shape, {});
    const placed = this.#weights(spec);
    if (placed.dtype === 'uint8') throw new Error(`${spec.name} is stored as codes`);
    const [rows, columns] = shape;
    if (placed.sizeBytes <= maxBytes) return [this.#stored(spec.name, shape, placed)];
    const rowBytes = columns * DTYPE_BYTES[placed.dtype];
    const step = Math.floor(maxBytes / rowBytes);
    if (step < 1) throw new RangeError(`a row of ${spec.name} is larger than ${maxBytes} bytes`);
    const pieces: Value[] = [];
    for (let row = 0; row < rows; row += step) {
      const count = Math.min(step, rows - row);
      pieces.push(
        this.#stored(`${spec.name}.${row}`, [count, columns], {
          ...placed,
          offset: placed.offset + row * rowBytes,
          sizeBytes: count * rowBytes,
        }),
      );
    }
    return pieces;
  }

  #spec(
    name: string,
    shape: readonly number[],
    {
      layout = 'plain',
      keepFloat32 = false,
      isLinear = false,
      parts = [name],
    }: Partial<Pick<WeightSpec, 'layout' | 'keepFloat32' | 'isLinear' | 'parts'>>,
  ): WeightSpec {
    return {
      name: this.path(name),
      parts: parts.map((part) => this.path(part)),
      shape,
      layout,
      storedShape: layout === 'transposed' ? shape.toReversed() : shape,
      keepFloat32,
      isLinear,
    };
  }

  #stored(
    name: string,
    shape: readonly number[],
    {
      dtype,
      location,
      offset,
      sizeBytes,
    }: Omit<PlacedTensor, 'dtype'> & { readonly dtype: PlacedTensor['dtype'] | 'uint8' },
  ): Value {
    const value = { name, dtype, shape };
    const data = { type: 'external', location, offset, sizeBytes } as const;
    this.#initializers.set(name, { ...value, data });
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
