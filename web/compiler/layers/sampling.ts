import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { concat, floats, matMul, reshape, resizeNearest } from '../onnx/ops.ts';
import { conv2d, dimensions4 } from './basic.ts';

/** diffusers' `Downsample2D` of a UNet: a 3×3 convolution of stride 2, padded on all sides. */
export function downsample(g: GraphBuilder, name: string, x: Value): Value {
  const [, outChannels] = dimensions4(x);
  return conv2d(g, `${name}.conv`, x, { outChannels, kernel: 3, stride: 2, padding: 1 });
}

/** `Downsample2D` of a VAE: padded at the bottom and right only. */
export function downsampleAsymmetric(g: GraphBuilder, name: string, x: Value): Value {
  const [, outChannels] = dimensions4(x);
  const padding = [0, 0, 1, 1] as const;
  return conv2d(g, `${name}.conv`, x, { outChannels, kernel: 3, stride: 2, padding });
}

/**
 * diffusers' `Upsample2D`: nearest neighbour, then a 3×3 convolution. The size is given, since a
 * skip connection of odd size is not twice the lower level.
 */
export function upsample(
  g: GraphBuilder,
  name: string,
  x: Value,
  { height, width }: { height: number; width: number },
): Value {
  const [, outChannels, rows, columns] = dimensions4(x);
  const isDoubled = height === 2 * rows && width === 2 * columns;
  return g.scope(name, () => {
    // Sums of halves are not folded into constants, and on a GPU the dispatches would cost more than they save.
    if (isDoubled && g.provider === 'wasm' && g.dtype === 'float32' && !g.isTiling) {
      return g.scope('conv', () => convolveDoubled(g, x));
    }
    return conv2d(g, 'conv', resizeNearest(g, x, height, width), { outChannels, kernel: 3 });
  });
}

/** Which of a 3×3 kernel's rows meet the first and the second of the two low rows that an even or odd row sees. */
const MERGED_ROWS = [
  [[0], [1, 2]],
  [[0, 1], [2]],
] as const;

/**
 * The 3×3 convolution of `x` doubled in size, without doubling it: where neighbours are equal, each of the four phases
 * (even and odd rows and columns) is a 2×2 convolution of `x` whose weights are sums of the kernel's, 16 products in the
 * place of 36. The sums are constants, which the runtime makes once.
 */
function convolveDoubled(g: GraphBuilder, x: Value): Value {
  const [batch, channels, height, width] = dimensions4(x);
  const kernel = g.weight('weight', [channels, channels, 3, 3]);
  const bias = g.weight('bias', [channels]);
  const flat = reshape(g, kernel, [channels * channels, 9]);
  const phases = [0, 1].flatMap((row) =>
    [0, 1].map((column) => {
      const merging = floats(g, kernel, [9, 4], mergedTaps(row, column));
      const weight = reshape(g, matMul(g, flat, merging), [channels, channels, 2, 2]);
      const pads = { ints: [1 - row, 1 - column, row, column] };
      return g.op('Conv', [x, weight, bias], x, {
        attributes: { kernel_shape: { ints: [2, 2] }, pads },
      });
    }),
  );
  return g.op(
    'DepthToSpace',
    [concat(g, phases, 1)],
    { dtype: x.dtype, shape: [batch, channels, 2 * height, 2 * width] },
    { attributes: { blocksize: { int: 2 }, mode: { string: 'DCR' } } },
  );
}

/** [9, 4]: 1 where a tap of the 3×3 kernel belongs to a tap of the phase's 2×2 kernel. */
function mergedTaps(row: number, column: number): number[] {
  return Array.from({ length: 36 }, (_, index) => {
    const [tap, merged] = [Math.floor(index / 4), index % 4];
    const isIn = (phase: number, low: number, at: number) =>
      MERGED_ROWS[phase]?.[low]?.some((own: number) => own === at) === true;
    const inRow = isIn(row, Math.floor(merged / 2), Math.floor(tap / 3));
    return inRow && isIn(column, merged % 2, tap % 3) ? 1 : 0;
  });
}
