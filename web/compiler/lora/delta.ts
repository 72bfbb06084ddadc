import { convertElements, isFloatSource } from '../convert.ts';
import { invalidModel } from '../errors.ts';
import { sizeOf } from '../onnx/shapes.ts';
import type { SourceTensor } from '../safetensors.ts';
import type { FactorName, LoraFile, LoraLayer } from './lora-file.ts';

/** What a layer adds to its weight at strength 1: row-major [rows, columns]. */
export interface LayerDelta {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array<ArrayBuffer>;
}

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array<ArrayBuffer>;
}

interface Factor extends Matrix {
  readonly shape: readonly number[];
}

type ReadFactor = (name: FactorName) => Promise<Factor>;

/**
 * ΔW times the layer's own scale, as LoRA (Hu et al., arXiv:2106.09685), LoCon with its CP form, LoHa
 * (Hyeon-Woo et al., arXiv:2108.06098) and LoKr (Edalati et al., arXiv:2212.10650) define it. Kernels of
 * convolutions are part of the columns.
 *
 * Rejects with `invalid-model` where factors are missing, cut off or do not fit each other.
 */
export async function layerDelta(
  lora: LoraFile,
  layer: LoraLayer,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<LayerDelta> {
  const read: ReadFactor = async (name) => {
    const tensor = layer.factors.get(name);
    if (!tensor) throw incomplete(lora, layer, name);
    return readFactor(tensor, options);
  };
  const { factors } = layer;
  const made =
    factors.has('up') || factors.has('down')
      ? await loraDelta(lora, layer, read)
      : factors.has('hada_w1_a')
        ? await lohaDelta(lora, layer, read)
        : await lokrDelta(lora, layer, read);
  const scale = await layerScale(layer, made.rank, read);
  const { rows, columns, values } = made.matrix;
  if (scale !== 1)
    for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) * scale;
  return { rows, columns, values };
}

/** Shape of what a layer adds, from the header alone; null where a factor is missing. */
export function deltaSize({ factors }: LoraLayer): { rows: number; columns: number } | null {
  const shape = (name: FactorName) => factors.get(name)?.shape;
  const rest = (sizes: readonly number[] | undefined) => sizeOf(sizes?.slice(1) ?? []);
  const [up, down, mid] = [shape('up'), shape('down'), shape('mid')];
  if (up && down) {
    return { rows: up[0] ?? 0, columns: rest(down) * (mid ? sizeOf(mid.slice(2)) : 1) };
  }
  const [a, b, t] = [shape('hada_w1_a'), shape('hada_w1_b'), shape('hada_t1')];
  if (a && b) {
    const kernel = t ? sizeOf(t.slice(2)) : 1;
    return { rows: (t ? a[1] : a[0]) ?? 0, columns: rest(b) * kernel };
  }
  const first = factored(shape('lokr_w1'), shape('lokr_w1_a'), shape('lokr_w1_b'));
  const core = shape('lokr_t2');
  const [second_a, second_b] = [shape('lokr_w2_a'), shape('lokr_w2_b')];
  const second =
    core && second_a && second_b
      ? { rows: second_a[1] ?? 0, columns: (second_b[1] ?? 0) * sizeOf(core.slice(2)) }
      : factored(shape('lokr_w2'), second_a, second_b);
  if (!first || !second) return null;
  return { rows: first.rows * second.rows, columns: first.columns * second.columns };
}

type Shape = readonly number[] | undefined;

function factored(whole: Shape, a: Shape, b: Shape): { rows: number; columns: number } | null {
  if (whole) return { rows: whole[0] ?? 0, columns: sizeOf(whole.slice(1)) };
  return a && b ? { rows: a[0] ?? 0, columns: sizeOf(b.slice(1)) } : null;
}

interface Made {
  readonly matrix: Matrix;
  /** What alpha is divided by; null where the scale is 1. */
  readonly rank: number | null;
}

async function loraDelta(lora: LoraFile, layer: LoraLayer, read: ReadFactor): Promise<Made> {
  const [up, down] = [await read('up'), await read('down')];
  const rank = down.rows;
  if (!layer.factors.has('mid')) return { matrix: product(lora, layer, up, down), rank };
  // ΔW[o, i] = Σ up[o, n] mid[n, m] down[m, i], at every place of the kernel.
  return { matrix: core(lora, layer, await read('mid'), up, down), rank };
}

async function lohaDelta(lora: LoraFile, layer: LoraLayer, read: ReadFactor): Promise<Made> {
  const half = async (side: 1 | 2): Promise<{ matrix: Matrix; rank: number }> => {
    const [a, b] = [await read(`hada_w${side}_a`), await read(`hada_w${side}_b`)];
    const matrix = layer.factors.has(`hada_t${side}`)
      ? core(lora, layer, await read(`hada_t${side}`), transposed(a), b)
      : product(lora, layer, a, b);
    return { matrix, rank: b.rows };
  };
  const first = await half(1);
  const second = await half(2);
  const { values } = first.matrix;
  if (values.length !== second.matrix.values.length) throw unfit(lora, layer);
  for (let i = 0; i < values.length; i++) {
    values[i] = (values[i] as number) * (second.matrix.values[i] as number);
  }
  return first;
}

async function lokrDelta(lora: LoraFile, layer: LoraLayer, read: ReadFactor): Promise<Made> {
  const half = async (side: 1 | 2): Promise<Made> => {
    if (layer.factors.has(`lokr_w${side}`))
      return { matrix: await read(`lokr_w${side}`), rank: null };
    const [a, b] = [await read(`lokr_w${side}_a`), await read(`lokr_w${side}_b`)];
    const matrix =
      side === 2 && layer.factors.has('lokr_t2')
        ? core(lora, layer, await read('lokr_t2'), transposed(a), b)
        : product(lora, layer, a, b);
    return { matrix, rank: b.rows };
  };
  const [first, second] = [await half(1), await half(2)];
  return { matrix: kronecker(first.matrix, second.matrix), rank: first.rank ?? second.rank };
}

async function layerScale(
  { factors }: LoraLayer,
  rank: number | null,
  read: ReadFactor,
): Promise<number> {
  if (factors.has('scale')) return (await read('scale')).values[0] ?? 1;
  if (rank === null || rank === 0 || !factors.has('alpha')) return 1;
  return ((await read('alpha')).values[0] ?? rank) / rank;
}

/** a [rows, inner] · b [inner, columns]. */
function product(lora: LoraFile, layer: LoraLayer, a: Matrix, b: Matrix): Matrix {
  if (a.columns !== b.rows) throw unfit(lora, layer);
  const { rows, columns: inner } = a;
  const { columns } = b;
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < inner; k++) {
      const factor = a.values[row * inner + k] as number;
      const [to, from] = [row * columns, k * columns];
      for (let column = 0; column < columns; column++) {
        values[to + column] =
          (values[to + column] as number) + factor * (b.values[from + column] as number);
      }
    }
  }
  return { rows, columns, values };
}

/** w[o, i, k] = Σ left[o, a] t[a, b, k] right[b, i] with t [A, B, kernel…]: [o, i · k]. */
function core(lora: LoraFile, layer: LoraLayer, t: Factor, left: Matrix, right: Matrix): Matrix {
  const [A = 0, B = 0, ...kernel] = t.shape;
  const size = sizeOf(kernel);
  if (left.columns !== A || right.rows !== B) throw unfit(lora, layer);
  const columns = right.columns * size;
  // First over b: [A, inner · kernel].
  const half = new Float32Array(A * columns);
  for (let a = 0; a < A; a++) {
    for (let b = 0; b < B; b++) {
      for (let i = 0; i < right.columns; i++) {
        const factor = right.values[b * right.columns + i] as number;
        const [to, from] = [a * columns + i * size, (a * B + b) * size];
        for (let k = 0; k < size; k++) {
          half[to + k] = (half[to + k] as number) + factor * (t.values[from + k] as number);
        }
      }
    }
  }
  return product(lora, layer, left, { rows: A, columns, values: half });
}

function transposed({ rows, columns, values: source }: Matrix): Matrix {
  const values = new Float32Array(source.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      values[column * rows + row] = source[row * columns + column] as number;
    }
  }
  return { rows: columns, columns: rows, values };
}

/** Kernels are part of the second factor's columns. */
function kronecker(a: Matrix, b: Matrix): Matrix {
  const [rows, columns] = [a.rows * b.rows, a.columns * b.columns];
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const [outer, inner] = [Math.floor(row / b.rows), row % b.rows];
    for (let block = 0; block < a.columns; block++) {
      const factor = a.values[outer * a.columns + block] as number;
      const [to, from] = [row * columns + block * b.columns, inner * b.columns];
      for (let i = 0; i < b.columns; i++) values[to + i] = factor * (b.values[from + i] as number);
    }
  }
  return { rows, columns, values };
}

async function readFactor(
  tensor: SourceTensor,
  { signal }: { signal?: AbortSignal | undefined },
): Promise<Factor> {
  const values = await readFloats(tensor, signal);
  const [rows = 1, ...rest] = tensor.shape;
  return { rows, columns: sizeOf(rest), values, shape: tensor.shape };
}

/** A tensor's values in float32. Rejects with `invalid-model` where the file ends early or they do not fit. */
export async function readFloats(
  { file, name, dtype, offset, sizeBytes }: SourceTensor,
  signal?: AbortSignal | undefined,
): Promise<Float32Array<ArrayBuffer>> {
  signal?.throwIfAborted();
  if (!isFloatSource(dtype)) throw invalidModel(file.path, `tensor "${name}" is ${dtype}.`);
  const bytes = await file.read(offset, sizeBytes, signal ? { signal } : {});
  if (bytes.byteLength !== sizeBytes) {
    throw invalidModel(
      file.path,
      `is cut off: of tensor "${name}" ${sizeBytes} bytes were expected at ${offset}, ${bytes.byteLength} came. Download it again.`,
    );
  }
  const { bytes: floats, overflows } = convertElements(bytes, dtype, 'float32');
  if (overflows > 0) {
    throw invalidModel(file.path, `tensor "${name}" holds values too large for float32.`);
  }
  return new Float32Array(floats.buffer);
}

function incomplete({ file }: LoraFile, { name }: LoraLayer, factor: FactorName): Error {
  return invalidModel(
    file.path,
    `the layer "${name}" lacks its factor "${factor}". Download it again.`,
  );
}

function unfit({ file }: LoraFile, { name, factors }: LoraLayer): Error {
  const shapes = [...factors].map(([factor, { shape }]) => `${factor} [${shape.join(', ')}]`);
  return invalidModel(
    file.path,
    `the factors of the layer "${name}" do not fit each other: ${shapes.join(', ')}.`,
  );
}
