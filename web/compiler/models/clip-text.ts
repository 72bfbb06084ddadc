import { multiHeadAttention } from '../layers/attention.ts';
import { layerNorm, linear, moduleBias, project } from '../layers/basic.ts';
import { normOfSum, type PendingSum } from '../layers/residual.ts';
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import {
  add,
  cast,
  firstRows,
  floats,
  gelu,
  matMul,
  mul,
  reshape,
  scalar,
  sub,
  swish,
} from '../onnx/ops.ts';

/** transformers' `CLIPTextModel`, or `CLIPTextModelWithProjection` where there is a projection. */
export type ClipTextConfig = {
  readonly type: 'clip-text';
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly activation: 'quick_gelu' | 'gelu';
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly layerNormEps: number;
  /** Token whose first state is the pooled output. */
  readonly eosId: number;
  /**
   * What makes `text_embeds` of the pooled state: a linear layer `text_projection.weight` [size, hidden],
   * or OpenCLIP's matrix `text_projection` [hidden, size].
   */
  readonly projection: { readonly size: number; readonly form: 'linear' | 'matrix' } | null;
};

export interface ClipTextOptions {
  readonly batch: number;
  readonly tokens: number;
  /** 1: the last layer; k: the layer k - 1 before it. */
  readonly clipSkip: number;
  /** Whether `hidden_states` went through the final norm; `pooled` always did. */
  readonly finalNorm: boolean;
  readonly pooled: boolean;
  /** Whether the graph takes vectors in the place of tokens. */
  readonly overrides: boolean;
  /** Largest tensor in bytes that the device binds to a shader. */
  readonly maxBindingBytes: number;
}

/**
 * `input_ids` int32 [batch, tokens] → `hidden_states` [batch, tokens, hidden]; `pooled` [batch, hidden]
 * where asked for; `text_embeds` [batch, size] where the model has a projection.
 */
export function buildClipText(
  g: GraphBuilder,
  config: ClipTextConfig,
  { batch, tokens, clipSkip, finalNorm, pooled, overrides, maxBindingBytes }: ClipTextOptions,
): void {
  const ids = g.input('input_ids', 'int32', [batch, tokens]);
  const others = overrides
    ? {
        vectors: g.input('overrides', 'float32', [batch, tokens, config.hiddenSize]),
        mask: g.input('override_mask', 'float32', [batch, tokens, 1]),
      }
    : null;
  const wanted = config.layers - clipSkip + 1;
  const needsLast = pooled || config.projection !== null;
  const depth = needsLast ? config.layers : wanted;
  const pooledState = g.scope('text_model', () => {
    const mask = causalMask(g, tokens);
    let sum = embeddings(g, config, ids, others, maxBindingBytes);
    let pending: PendingSum | null = null;
    const norm = (name: string): Value => {
      if (!pending) return layerNorm(g, name, sum, config.layerNormEps);
      const { normed, sum: settled } = normOfSum(g, name, pending, config.layerNormEps);
      sum = settled;
      return normed;
    };
    let hidden: Value | null = null;
    for (let index = 0; index < depth; index++) {
      if (index === wanted && finalNorm) {
        // Both outputs end in the same final norm; this one sees the sum that the next layer uses too.
        hidden = norm('final_layer_norm');
        pending = null;
      }
      g.scope(`encoder.layers.${index}`, () => {
        const normed = norm('layer_norm1');
        // The norm has made the sum that leaves the layer before.
        if (index === wanted && !finalNorm) hidden = sum;
        pending = { skip: sum, ...selfAttention(g, config, normed, mask) };
        const after = norm('layer_norm2');
        pending = { skip: sum, ...feedForward(g, config, after) };
      });
    }
    const last = norm('final_layer_norm');
    g.output('hidden_states', cast(g, hidden ?? (finalNorm ? last : sum), 'float32'));
    return needsLast ? firstEos(g, config, ids, cast(g, last, 'float32')) : null;
  });
  if (!pooledState) return;
  if (pooled) g.output('pooled', pooledState);
  if (config.projection) g.output('text_embeds', projected(g, config.projection, pooledState));
}

function projected(
  g: GraphBuilder,
  { size, form }: NonNullable<ClipTextConfig['projection']>,
  pooled: Value,
): Value {
  const state = cast(g, pooled, g.dtype);
  const embeds =
    form === 'linear'
      ? project(g, 'text_projection', state, size)
      : matMul(g, state, g.weight('text_projection', [pooled.shape.at(-1) ?? 0, size]));
  return cast(g, embeds, 'float32');
}

/** Token plus position embedding. */
function embeddings(
  g: GraphBuilder,
  config: ClipTextConfig,
  ids: Value,
  others: { readonly vectors: Value; readonly mask: Value } | null,
  maxBindingBytes: number,
): Value {
  const { hiddenSize, vocabSize, contextLength } = config;
  const [, tokens = 0] = ids.shape;
  return g.scope('embeddings', () => {
    const pieces = g.weightRows('token_embedding.weight', [vocabSize, hiddenSize], maxBindingBytes);
    const positions = g.weight('position_embedding.weight', [contextLength, hiddenSize]);
    const found = gatherPieces(g, pieces, ids);
    const token = others ? replaced(g, found, others) : found;
    const used = tokens === contextLength ? positions : firstRows(g, positions, tokens);
    return add(g, token, used);
  });
}

/** Tokens where the mask is 0, the vectors (zero elsewhere) where it is 1: exactly either, never a sum. */
function replaced(
  g: GraphBuilder,
  token: Value,
  { vectors, mask }: { readonly vectors: Value; readonly mask: Value },
): Value {
  const kept = cast(g, sub(g, scalar(g, mask, 1), mask), token.dtype);
  return add(g, mul(g, token, kept), cast(g, vectors, token.dtype));
}

/**
 * The rows `ids` of a table that lies in pieces, one after another: every piece gives its own rows, and
 * zeros for the ids of the others. Exactly the rows, since all but one of the summands are 0.
 */
function gatherPieces(g: GraphBuilder, pieces: readonly Value[], ids: Value): Value {
  const gather = (table: Value, rows: Value): Value =>
    g.op('Gather', [table, rows], {
      dtype: table.dtype,
      shape: [...ids.shape, table.shape.at(-1) ?? 0],
    });
  const [only, ...others] = pieces;
  if (!only) throw new RangeError('a table without rows');
  if (others.length === 0) return gather(only, ids);
  const constant = (value: number) => g.constant('int32', [1], Int32Array.of(value));
  let sum: Value | null = null;
  let start = 0;
  let before: Value | null = null;
  for (const piece of pieces) {
    const end = start + (piece.shape[0] ?? 0);
    const isBelow = g.op('Less', [ids, constant(end)], { dtype: 'bool', shape: ids.shape });
    const below = cast(g, isBelow, 'int32');
    const isHere = before ? sub(g, below, before) : below;
    const rows = gather(piece, mul(g, sub(g, ids, constant(start)), isHere));
    const share = reshape(g, cast(g, isHere, piece.dtype), [...ids.shape, 1]);
    const part = mul(g, rows, share);
    sum = sum ? add(g, sum, part) : part;
    [start, before] = [end, below];
  }
  if (!sum) throw new RangeError('a table without rows');
  return sum;
}

/** What a token may not look at; large enough that its share is exactly 0 in either precision. */
function causalMask(g: GraphBuilder, tokens: number): Value {
  const hidden = g.dtype === 'float16' ? -60000 : -1e9;
  const values = Array.from({ length: tokens * tokens }, (_, index) =>
    index % tokens > Math.floor(index / tokens) ? hidden : 0,
  );
  return floats(g, g, [1, 1, tokens, tokens], values);
}

function selfAttention(
  g: GraphBuilder,
  { hiddenSize, heads }: ClipTextConfig,
  x: Value,
  mask: Value,
): Omit<PendingSum, 'skip'> {
  return g.scope('self_attn', () => {
    const [q, k, v] = [
      project(g, 'q_proj', x, hiddenSize),
      project(g, 'k_proj', x, hiddenSize),
      project(g, 'v_proj', x, hiddenSize),
    ];
    const bias = g.weight('qkv.bias', [3 * hiddenSize], {
      parts: ['q_proj.bias', 'k_proj.bias', 'v_proj.bias'],
    });
    const attended = multiHeadAttention(g, { q, k, v }, { heads, bias, mask });
    return {
      delta: project(g, 'out_proj', attended, hiddenSize),
      bias: moduleBias(g, 'out_proj', hiddenSize),
    };
  });
}

function feedForward(g: GraphBuilder, config: ClipTextConfig, x: Value): Omit<PendingSum, 'skip'> {
  return g.scope('mlp', () => {
    const inner = linear(g, 'fc1', x, config.intermediateSize);
    const active = config.activation === 'quick_gelu' ? swish(g, inner, 1.702) : gelu(g, inner);
    return {
      delta: project(g, 'fc2', active, config.hiddenSize),
      bias: moduleBias(g, 'fc2', config.hiddenSize),
    };
  });
}

/**
 * The state at the first end token, or at the first token where there is none: the largest of
 * 2n · [id = eos] − position marks it, as argmax does, without the 64-bit index that GPUs lack.
 */
function firstEos(g: GraphBuilder, config: ClipTextConfig, ids: Value, states: Value): Value {
  const [batch = 1, tokens = 0] = ids.shape;
  const eos = g.constant('int32', [1], Int32Array.of(config.eosId));
  const isEos = g.op('Equal', [ids, eos], { dtype: 'bool', shape: ids.shape });
  const position = floats(
    g,
    states,
    [1, tokens],
    Array.from({ length: tokens }, (_, index) => -index),
  );
  const found = mul(g, cast(g, isEos, 'float32'), scalar(g, states, 2 * tokens));
  const score = add(g, found, position);
  const highest = g.op(
    'ReduceMax',
    [score],
    { dtype: 'float32', shape: [batch, 1] },
    {
      attributes: { axes: { ints: [1] }, keepdims: { int: 1 } },
    },
  );
  const chosen = g.op('Equal', [score, highest], { dtype: 'bool', shape: ids.shape });
  const weights = reshape(g, cast(g, chosen, 'float32'), [batch, 1, tokens]);
  return reshape(g, matMul(g, weights, states), [batch, config.hiddenSize]);
}
