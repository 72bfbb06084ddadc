import { floatToHalf } from '../half.ts';
import type { GraphBuilder, Value } from './graph-builder.ts';
import type { Dtype } from './model.ts';
import { broadcastShape, sizeOf } from './shapes.ts';

/** ONNX operators as functions that know the shape of what they make. */

export function add(g: GraphBuilder, a: Value, b: Value): Value {
  return binary(g, 'Add', a, b);
}

export function sub(g: GraphBuilder, a: Value, b: Value): Value {
  return binary(g, 'Sub', a, b);
}

export function mul(g: GraphBuilder, a: Value, b: Value): Value {
  return binary(g, 'Mul', a, b);
}

function binary(g: GraphBuilder, opType: string, a: Value, b: Value): Value {
  return g.op(opType, [a, b], { dtype: a.dtype, shape: broadcastShape(a.shape, b.shape) });
}

export function unary(
  g: GraphBuilder,
  opType: 'Abs' | 'Exp' | 'Floor' | 'Relu' | 'Tanh',
  x: Value,
): Value {
  return g.op(opType, [x], x);
}

export function cast(g: GraphBuilder, x: Value, dtype: Dtype): Value {
  if (x.dtype === dtype) return x;
  const code = { float32: 1, float16: 10, int32: 6, int64: 7, uint8: 2, bool: 9 }[dtype];
  return g.op('Cast', [x], { dtype, shape: x.shape }, { attributes: { to: { int: code } } });
}

/** Float constant in the element type of `like`. */
export function floats(
  g: GraphBuilder,
  like: Pick<Value, 'dtype'>,
  shape: readonly number[],
  values: readonly number[],
): Value {
  if (like.dtype === 'float16') {
    return g.constant('float16', shape, Uint16Array.from(values, floatToHalf));
  }
  return g.constant('float32', shape, Float32Array.from(values));
}

export function scalar(g: GraphBuilder, like: Pick<Value, 'dtype'>, value: number): Value {
  return floats(g, like, [], [value]);
}

function int64s(g: GraphBuilder, values: readonly number[]): Value {
  return g.constant('int64', [values.length], BigInt64Array.from(values, BigInt));
}

export function reshape(g: GraphBuilder, x: Value, shape: readonly number[]): Value {
  if (sizeOf(shape) !== sizeOf(x.shape)) {
    throw new RangeError(`${x.name}: [${x.shape}] cannot become [${shape}]`);
  }
  if (shape.length === x.shape.length && shape.every((size, axis) => size === x.shape[axis])) {
    return x;
  }
  return g.op('Reshape', [x, int64s(g, shape)], { dtype: x.dtype, shape });
}

export function transpose(g: GraphBuilder, x: Value, order: readonly number[]): Value {
  const shape = order.map((axis) => x.shape[axis] ?? 0);
  return g.op(
    'Transpose',
    [x],
    { dtype: x.dtype, shape },
    { attributes: { perm: { ints: order } } },
  );
}

export function concat(g: GraphBuilder, values: readonly Value[], axis: number): Value {
  const [first] = values;
  if (!first) throw new RangeError('nothing to join');
  const shape = first.shape.with(
    axis,
    values.reduce((sum, value) => sum + (value.shape[axis] ?? 0), 0),
  );
  return g.op(
    'Concat',
    values,
    { dtype: first.dtype, shape },
    { attributes: { axis: { int: axis } } },
  );
}

/** The first `rows` along the first axis. */
export function firstRows(g: GraphBuilder, x: Value, rows: number): Value {
  if (x.shape[0] === rows) return x;
  const bound = (value: number) => int64s(g, [value]);
  const shape = [rows, ...x.shape.slice(1)];
  return g.op('Slice', [x, bound(0), bound(rows), bound(0)], { dtype: x.dtype, shape });
}

/** `x` over and over along the first axis, up to `rows`, a multiple of its own. */
export function repeatRows(g: GraphBuilder, x: Value, rows: number): Value {
  const copies = rows / (x.shape[0] ?? 1);
  return copies === 1 ? x : concat(g, Array<Value>(copies).fill(x), 0);
}

/** Cuts `x` into `count` equal parts along `axis`. */
export function split(g: GraphBuilder, x: Value, count: number, axis: number): Value[] {
  const part = (x.shape[axis] ?? 0) / count;
  const output = { dtype: x.dtype, shape: x.shape.with(axis, part) };
  const sizes = int64s(g, Array(count).fill(part));
  const values = g.ops('Split', [x, sizes], Array(count).fill(output), {
    attributes: { axis: { int: axis } },
  });
  return values.filter((value) => value !== undefined);
}

/** [..., m, k] · [..., k, n]. */
export function matMul(g: GraphBuilder, a: Value, b: Value): Value {
  const [inner, columns] = [b.shape.at(-2), b.shape.at(-1)];
  if (a.shape.at(-1) !== inner || columns === undefined) {
    throw new RangeError(`${a.name} [${a.shape}] does not multiply ${b.name} [${b.shape}]`);
  }
  return g.op('MatMul', [a, b], { dtype: a.dtype, shape: [...a.shape.slice(0, -1), columns] });
}

/** Nearest-neighbour resize of NCHW to the given height and width, as torch's `interpolate`. */
export function resizeNearest(g: GraphBuilder, x: Value, height: number, width: number): Value {
  const shape = [...x.shape.slice(0, 2), height, width];
  const attributes = {
    mode: { string: 'nearest' },
    coordinate_transformation_mode: { string: 'asymmetric' },
    nearest_mode: { string: 'floor' },
  };
  return g.op(
    'Resize',
    [x, null, null, int64s(g, shape)],
    { dtype: x.dtype, shape },
    {
      attributes,
    },
  );
}

/** Row `index` of the first axis, without that axis. */
export function gatherRow(g: GraphBuilder, x: Value, index: number): Value {
  const at = g.constant('int32', [], Int32Array.of(index));
  return g.op('Gather', [x, at], { dtype: x.dtype, shape: x.shape.slice(1) });
}

/** NCHW with `side` rows and columns of the opposite edge around it. */
export function wrapEdges(g: GraphBuilder, x: Value, side: number): Value {
  return [2, 3].reduce((wrapped, axis) => {
    const size = wrapped.shape[axis] ?? 0;
    const last = slice(g, wrapped, axis, size - side, size);
    return concat(g, [last, wrapped, slice(g, wrapped, axis, 0, side)], axis);
  }, x);
}

function slice(g: GraphBuilder, x: Value, axis: number, start: number, end: number): Value {
  const bounds = [int64s(g, [start]), int64s(g, [end]), int64s(g, [axis])];
  return g.op('Slice', [x, ...bounds], { dtype: x.dtype, shape: x.shape.with(axis, end - start) });
}

/** Means of squares of `side` values of NCHW; what makes no whole square at the right and the bottom is left out. */
export function averagePool(g: GraphBuilder, x: Value, side: number): Value {
  if (side === 1) return x;
  const [batch = 1, channels = 1, height = 1, width = 1] = x.shape;
  const shape = [batch, channels, Math.floor(height / side), Math.floor(width / side)];
  const attributes = { kernel_shape: { ints: [side, side] }, strides: { ints: [side, side] } };
  return g.op('AveragePool', [x], { dtype: x.dtype, shape }, { attributes });
}

/** x · sigmoid(alpha · x) in one node; alpha 1 is SiLU, 1.702 is CLIP's quick gelu. */
export function swish(g: GraphBuilder, x: Value, alpha: number): Value {
  return g.op('QuickGelu', [x], x, {
    domain: 'com.microsoft',
    attributes: { alpha: { float: alpha } },
  });
}

/** `nn.LeakyReLU`: negative values times `slope`. */
export function leakyRelu(g: GraphBuilder, x: Value, slope: number): Value {
  return g.op('LeakyRelu', [x], x, { attributes: { alpha: { float: slope } } });
}

export function silu(g: GraphBuilder, x: Value): Value {
  return swish(g, x, 1);
}

/** The exact gelu, with erf. */
export function gelu(g: GraphBuilder, x: Value): Value {
  return g.op('Gelu', [x], x, { domain: 'com.microsoft' });
}

/** Limits `x` to [low, high]. */
export function clip(g: GraphBuilder, x: Value, low: number, high: number): Value {
  return g.op('Clip', [x, scalar(g, x, low), scalar(g, x, high)], x);
}
