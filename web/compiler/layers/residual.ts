import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import { add } from '../onnx/ops.ts';

/**
 * A sum that is not made yet: skip + delta + bias. In a transformer the next thing is a LayerNorm,
 * and one SkipLayerNormalization makes the sum and the norm together.
 */
export interface PendingSum {
  readonly skip: Value;
  readonly delta: Value;
  /** The bias of the linear layer that made `delta`. */
  readonly bias: Value;
}

/** Makes the sum alone. */
export function settle(g: GraphBuilder, { skip, delta, bias }: PendingSum): Value {
  return add(g, add(g, delta, bias), skip);
}

/** The LayerNorm called `name` of the sum, and the sum itself. */
export function normOfSum(
  g: GraphBuilder,
  name: string,
  { skip, delta, bias }: PendingSum,
  epsilon: number,
): { normed: Value; sum: Value } {
  const size = skip.shape.at(-1) ?? 0;
  return g.scope(name, () => {
    const inputs = [delta, skip, g.weight('weight', [size]), g.weight('bias', [size]), bias];
    const [normed, , , sum] = g.ops('SkipLayerNormalization', inputs, [delta, null, null, delta], {
      domain: 'com.microsoft',
      attributes: { epsilon: { float: epsilon } },
    });
    if (!normed || !sum) throw new Error('SkipLayerNormalization has two outputs');
    return { normed, sum };
  });
}
