import { conv2d, dimensions4 } from '../layers/basic.ts';
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import {
  add,
  cast,
  concat,
  leakyRelu,
  mul,
  reshape,
  resizeNearest,
  scalar,
  transpose,
} from '../onnx/ops.ts';

/** The network of ESRGAN (Wang et al., arXiv:1809.00219) and Real-ESRGAN (arXiv:2107.10833). */
export type RrdbnetConfig = {
  readonly type: 'rrdbnet';
  readonly inChannels: number;
  readonly outChannels: number;
  /** Features between the blocks. */
  readonly features: number;
  /** Features that each convolution of a dense block adds. */
  readonly growth: number;
  readonly blocks: number;
  /** Doublings at the end. */
  readonly doublings: number;
  /** The picture is folded by this factor at the beginning: 4 for a scale of 1, 2 for 2, else 1. */
  readonly unshuffle: number;
};

export interface UpscalerOptions {
  readonly batch: number;
  /** Size of the picture that goes in, pixels; multiples of `unshuffle`. */
  readonly height: number;
  readonly width: number;
}

const SLOPE = 0.2;
/** What a block adds is made smaller by this, so that deep stacks stay stable. */
const RESIDUAL_SCALE = 0.2;
const DENSE_BLOCKS = 3;
const DENSE_CONVOLUTIONS = 5;

/** Pixels out per pixel in. */
export function upscalerScale({ doublings, unshuffle }: RrdbnetConfig): number {
  return 2 ** doublings / unshuffle;
}

/** `image` [b, 3, h, w] in 0..1 → `upscaled` [b, 3, s·h, s·w], about 0..1, not clamped. */
export function buildRrdbnet(
  g: GraphBuilder,
  config: RrdbnetConfig,
  { batch, height, width }: UpscalerOptions,
): void {
  const image = g.input('image', 'float32', [batch, config.inChannels, height, width]);
  const conv = (name: string, x: Value, outChannels = config.features) =>
    conv2d(g, name, x, { outChannels, kernel: 3 });
  const first = conv('conv_first', pixelUnshuffle(g, cast(g, image, g.dtype), config.unshuffle));
  let hidden = first;
  for (let block = 0; block < config.blocks; block++) {
    const before = hidden;
    g.scope(`body.${block}`, () => {
      for (let dense = 1; dense <= DENSE_BLOCKS; dense++) {
        hidden = g.scope(`rdb${dense}`, () => denseBlock(g, config, hidden));
      }
      hidden = addScaled(g, hidden, before);
    });
  }
  hidden = add(g, first, conv('conv_body', hidden));
  for (let doubling = 1; doubling <= config.doublings; doubling++) {
    const [, , rows, columns] = dimensions4(hidden);
    const larger = resizeNearest(g, hidden, 2 * rows, 2 * columns);
    hidden = leakyRelu(g, conv(`conv_up${doubling}`, larger), SLOPE);
  }
  hidden = conv('conv_last', leakyRelu(g, conv('conv_hr', hidden), SLOPE), config.outChannels);
  g.output('upscaled', cast(g, hidden, 'float32'));
}

/** Each convolution reads everything before it. */
function denseBlock(g: GraphBuilder, { features, growth }: RrdbnetConfig, x: Value): Value {
  const known = [x];
  for (let index = 1; index < DENSE_CONVOLUTIONS; index++) {
    const joined = concat(g, known, 1);
    const made = conv2d(g, `conv${index}`, joined, { outChannels: growth, kernel: 3 });
    known.push(leakyRelu(g, made, SLOPE));
  }
  const joined = concat(g, known, 1);
  const last = conv2d(g, `conv${DENSE_CONVOLUTIONS}`, joined, { outChannels: features, kernel: 3 });
  return addScaled(g, last, x);
}

function addScaled(g: GraphBuilder, delta: Value, x: Value): Value {
  return add(g, mul(g, delta, scalar(g, delta, RESIDUAL_SCALE)), x);
}

/** torch's `pixel_unshuffle`: each square of `factor`² pixels becomes that many channels, channel by channel. */
function pixelUnshuffle(g: GraphBuilder, x: Value, factor: number): Value {
  if (factor === 1) return x;
  const [batch, channels, height, width] = dimensions4(x);
  const [rows, columns] = [height / factor, width / factor];
  const squares = reshape(g, x, [batch, channels, rows, factor, columns, factor]);
  const moved = transpose(g, squares, [0, 1, 3, 5, 2, 4]);
  return reshape(g, moved, [batch, channels * factor ** 2, rows, columns]);
}
