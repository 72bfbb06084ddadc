import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { cast } from '../onnx/ops.ts';
import { dimensions3 } from './basic.ts';

/**
 * softmax(q kᵀ / √d) v over `heads` heads in one node. q, k, v: [batch, tokens, heads · d];
 * k and v may also come head by head, [batch, heads, tokens, d], which saves the provider turning them.
 * `bias` [3 · heads · d]: of the q, k and v projections, in that order. `mask` [1, 1, tokens, tokens]
 * is added to the scores. `wide` computes in float32 whatever the precision of the graph.
 */
export function multiHeadAttention(
  g: GraphBuilder,
  { q, k, v }: { q: Value; k: Value; v: Value },
  {
    heads,
    bias = null,
    mask = null,
    wide = false,
  }: { heads: number; bias?: Value | null; mask?: Value | null; wide?: boolean },
): Value {
  const [, , features] = dimensions3(q);
  if (features % heads !== 0) {
    throw new RangeError(`${features} features do not make ${heads} heads`);
  }
  const dtype = wide ? 'float32' : q.dtype;
  const inputs = [q, k, v, bias].map((value) => value && cast(g, value, dtype));
  const attended = g.op(
    'MultiHeadAttention',
    mask ? [...inputs, null, mask] : inputs.slice(0, bias ? 4 : 3),
    { dtype, shape: q.shape },
    { domain: 'com.microsoft', attributes: { num_heads: { int: heads } } },
  );
  return cast(g, attended, q.dtype);
}
