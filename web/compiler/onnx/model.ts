/** An ONNX model as plain data: what `encodeModel` writes and `decodeModel` reads. */

export const DTYPE_CODES = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
} as const;

/** Element types by ONNX's TensorProto.DataType. */
export type Dtype = keyof typeof DTYPE_CODES;

export const DTYPE_BYTES: Readonly<Record<Dtype, number>> = {
  float32: 4,
  uint8: 1,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
};

/** An attribute by its kind: an integer and a float are different things to ONNX. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] };

export interface OnnxNode {
  readonly name: string;
  readonly opType: string;
  /** '' is ONNX's own domain. */
  readonly domain: string;
  /** '' stands for an optional input or output left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxTensorType {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** A constant: its bytes in the file, or where they lie in another. */
export interface OnnxInitializer extends OnnxTensorType {
  readonly data:
    | { readonly type: 'inline'; readonly bytes: Uint8Array }
    | {
        readonly type: 'external';
        readonly location: string;
        readonly offset: number;
        readonly sizeBytes: number;
      };
}

export interface OnnxModel {
  readonly producer: string;
  readonly graphName: string;
  /** Opset version by domain. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly inputs: readonly OnnxTensorType[];
  readonly outputs: readonly OnnxTensorType[];
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
}
