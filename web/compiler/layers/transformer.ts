import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add, cast, gelu, mul, repeatRows, reshape, split, transpose } from '../onnx/ops.ts';
import { multiHeadAttention } from './attention.ts';
import {
  conv2d,
  dimensions3,
  dimensions4,
  layerNorm,
  moduleBias,
  normedProjection,
  project,
  toPicture,
  toTokens,
} from './basic.ts';
import { normOfSum, type PendingSum, settle } from './residual.ts';

/** What cross-attention looks at: the texts' states, or the keys and values that `crossKeysAndValues` made of them. */
export type CrossContext = { readonly rows: number; readonly tokens: number } & (
  | { readonly form: 'states'; readonly states: Value }
  | { readonly form: 'given' }
);

export interface TransformerOptions {
  readonly heads: number;
  /** Transformer blocks one after another. */
  readonly depth: number;
  readonly normGroups: number;
  readonly context: CrossContext;
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
  const self = selfAttention(g, first.normed, options);
  const second = normOfSum(g, 'norm2', { skip: first.sum, ...self }, LAYER_NORM_EPSILON);
  const cross = crossAttention(g, second.normed, options);
  const skip = repeatRows(g, second.sum, options.context.rows);
  const third = normOfSum(g, 'norm3', { skip, ...cross }, LAYER_NORM_EPSILON);
  return { skip: third.sum, ...feedForward(g, third.normed) };
}

/** diffusers' `Attention` of tokens to themselves, without bias in q, k and v. */
function selfAttention(
  g: GraphBuilder,
  x: Value,
  options: TransformerOptions,
): Omit<PendingSum, 'skip'> {
  return g.scope('attn1', () => {
    const [, , features] = dimensions3(x);
    const q = project(g, 'to_q', x, features);
    return attend(g, { q, ...keysAndValues(g, x, features) }, options);
  });
}

/** The same of tokens to the texts. */
function crossAttention(
  g: GraphBuilder,
  x: Value,
  options: TransformerOptions,
): Omit<PendingSum, 'skip'> {
  const { context, heads, upcastAttention } = options;
  return g.scope('attn2', () => {
    const [, , features] = dimensions3(x);
    const q = repeatRows(g, project(g, 'to_q', x, features), context.rows);
    if (context.form === 'states') {
      return attend(g, { q, ...keysAndValues(g, context.states, features) }, options);
    }
    const shape = [context.rows, heads, context.tokens, features / heads];
    const dtype = upcastAttention ? 'float32' : g.dtype;
    const [k, v] = ['key', 'value'].map((name) => g.input(g.path(name), dtype, shape));
    if (!k || !v) throw new Error('a key and a value');
    return attend(g, { q, k, v }, options);
  });
}

/** Keys and values of one cross-attention, head by head [rows, heads, tokens, d], as outputs by the module's path. */
export function crossKeysAndValues(
  g: GraphBuilder,
  states: Value,
  { features, heads, upcastAttention }: CrossAttention & { readonly upcastAttention: boolean },
): void {
  const [rows, tokens] = dimensions3(states);
  const { k, v } = keysAndValues(g, states, features);
  for (const [name, x] of [['key', k] as const, ['value', v] as const]) {
    const parted = reshape(g, x, [rows, tokens, heads, features / heads]);
    const byHead = transpose(g, parted, [0, 2, 1, 3]);
    g.output(g.path(name), cast(g, byHead, upcastAttention ? 'float32' : g.dtype));
  }
}

/** Sizes of one cross-attention. */
export interface CrossAttention {
  readonly features: number;
  readonly heads: number;
}

function keysAndValues(g: GraphBuilder, x: Value, features: number): { k: Value; v: Value } {
  return { k: project(g, 'to_k', x, features), v: project(g, 'to_v', x, features) };
}

function attend(
  g: GraphBuilder,
  qkv: { q: Value; k: Value; v: Value },
  { heads, upcastAttention }: TransformerOptions,
): Omit<PendingSum, 'skip'> {
  const [, , features] = dimensions3(qkv.q);
  const attended = multiHeadAttention(g, qkv, { heads, wide: upcastAttention });
  return {
    delta: project(g, 'to_out.0', attended, features),
    bias: moduleBias(g, 'to_out.0', features),
  };
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
