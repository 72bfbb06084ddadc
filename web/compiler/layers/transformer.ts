import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, gelu, mul, repeatRows, split } from '../onnx/ops.ts';
import { multiHeadAttention } from './attention.ts';
import {
  conv2d,
  dimensions4,
  layerNorm,
  moduleBias,
  normedProjection,
  project,
  toPicture,
  toTokens,
} from './basic.ts';
import { normOfSum, type PendingSum, settle } from './residual.ts';

export interface TransformerOptions {
  readonly heads: number;
  /** Transformer blocks one after another. */
  readonly depth: number;
  readonly normGroups: number;
  /** Text states [batch, tokens, features]. */
  readonly context: Value;
  /** Scores and softmax in float32 in a float16 graph. */
  readonly upcastAttention: boolean;
}

const LAYER_NORM_EPSILON = 1e-5;
/** Not the UNet's `norm_eps`: diffusers gives the transformer's group norm its own. */
const GROUP_NORM_EPSILON = 1e-6;

/**
 * diffusers' `Transformer2DModel`: NCHW in, NCHW out, as many rows as texts. Where fewer come in, they are computed once
 * up to the first look at the texts. Its projections are 1×1 convolutions, also where
 * the checkpoint has linear layers: the same numbers, and the bias comes free.
 */
export function transformer2d(
  g: GraphBuilder,
  name: string,
  x: Value,
  options: TransformerOptions,
): Value {
  const [, channels, height, width] = dimensions4(x);
  return g.scope(name, () => {
    const norm = { groups: options.normGroups, epsilon: GROUP_NORM_EPSILON };
    const projected = normedProjection(g, { normName: 'norm', name: 'proj_in' }, x, norm);
    const tokens = transformerBlocks(g, toTokens(g, projected), options);
    const picture = toPicture(g, tokens, height, width);
    const made = conv2d(g, 'proj_out', picture, { outChannels: channels, kernel: 1 });
    return add(g, made, repeatRows(g, x, made.shape[0] ?? 1));
  });
}

/** `depth` times diffusers' `BasicTransformerBlock`. */
function transformerBlocks(g: GraphBuilder, tokens: Value, options: TransformerOptions): Value {
  let pending: PendingSum | null = null;
  for (let index = 0; index < options.depth; index++) {
    const previous: PendingSum | null = pending;
    pending = g.scope(`transformer_blocks.${index}`, () =>
      transformerBlock(g, tokens, previous, options),
    );
  }
  return pending ? settle(g, pending) : tokens;
}

function transformerBlock(
  g: GraphBuilder,
  tokens: Value,
  previous: PendingSum | null,
  options: TransformerOptions,
): PendingSum {
  const first = previous
    ? normOfSum(g, 'norm1', previous, LAYER_NORM_EPSILON)
    : { normed: layerNorm(g, 'norm1', tokens, LAYER_NORM_EPSILON), sum: tokens };
  const self = attention(g, 'attn1', first.normed, first.normed, options);
  const second = normOfSum(g, 'norm2', { skip: first.sum, ...self }, LAYER_NORM_EPSILON);
  const cross = attention(g, 'attn2', second.normed, options.context, options);
  const skip = repeatRows(g, second.sum, options.context.shape[0] ?? 1);
  const third = normOfSum(g, 'norm3', { skip, ...cross }, LAYER_NORM_EPSILON);
  return { skip: third.sum, ...feedForward(g, third.normed) };
}

/** diffusers' `Attention` without bias in q, k and v. */
function attention(
  g: GraphBuilder,
  name: string,
  x: Value,
  context: Value,
  { heads, upcastAttention }: TransformerOptions,
): Omit<PendingSum, 'skip'> {
  const features = x.shape.at(-1) ?? 0;
  return g.scope(name, () => {
    const q = repeatRows(g, project(g, 'to_q', x, features), context.shape[0] ?? 1);
    const k = project(g, 'to_k', context, features);
    const v = project(g, 'to_v', context, features);
    const attended = multiHeadAttention(g, { q, k, v }, { heads, wide: upcastAttention });
    return {
      delta: project(g, 'to_out.0', attended, features),
      bias: moduleBias(g, 'to_out.0', features),
    };
  });
}

/** diffusers' `FeedForward` with GEGLU: the second half of the projection gates the first. */
function feedForward(g: GraphBuilder, x: Value): Omit<PendingSum, 'skip'> {
  const features = x.shape.at(-1) ?? 0;
  const inner = features * 4;
  return g.scope('ff', () => {
    const projected = project(g, 'net.0.proj', x, 2 * inner);
    const bias = moduleBias(g, 'net.0.proj', 2 * inner);
    // One node, which only the WebGPU provider has.
    const gated =
      g.provider === 'webgpu'
        ? g.op(
            'BiasSplitGelu',
            [projected, bias],
            { dtype: x.dtype, shape: [...x.shape.slice(0, -1), inner] },
            { domain: 'com.microsoft' },
          )
        : geglu(g, add(g, projected, bias));
    return {
      delta: project(g, 'net.2', gated, features),
      bias: moduleBias(g, 'net.2', features),
    };
  });
}

function geglu(g: GraphBuilder, x: Value): Value {
  const [hidden, gate] = split(g, x, 2, x.shape.length - 1);
  if (!hidden || !gate) throw new Error('two halves');
  return mul(g, hidden, gelu(g, gate));
}
