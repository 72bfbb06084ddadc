import type { Checkpoint } from '../../compiler/checkpoint.ts';
import { componentPrecision, planWeights } from '../../compiler/component.ts';
import type { Precision } from '../../compiler/model.ts';

/** Bytes that a checkpoint takes when compiled, from shapes alone; for quantised weights the most it can be. */
export function compiledBytes({ components }: Checkpoint, precision: Precision): number {
  let sum = 0;
  for (const { name, config } of components) {
    const isFull = componentPrecision(name, precision) === 'fp32';
    for (const { storedShape, keepFloat32 } of planWeights(name, config)) {
      const elements = storedShape.reduce((product, side) => product * side, 1);
      sum += elements * (isFull || keepFloat32 ? 4 : 2);
    }
  }
  return sum;
}
