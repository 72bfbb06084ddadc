import type { WeightDtype } from './model.ts';

/**
 * A weight as a graph asks for it. The graph builders are the only list of a model's weights: run once
 * without any, they say what a checkpoint must hold and how it is to be stored.
 */
export interface WeightSpec {
  /** The key in `CompiledComponent.weights`. */
  readonly name: string;
  /**
   * Source tensors, joined along their first axis; nearly always `name` alone. Only biases are joined:
   * each weight matrix stays one source tensor, so that a LoRA can be merged into it.
   */
  readonly parts: readonly string[];
  /** Shape in the source, as PyTorch has it, joined. Trailing ones are not compared. */
  readonly shape: readonly number[];
  /** `transposed`: stored [in, out] from PyTorch's [out, in], ready for MatMul. */
  readonly layout: 'plain' | 'transposed';
  /** Shape as stored: `shape` or its transpose. */
  readonly storedShape: readonly number[];
  /** Stays float32 whatever the precision: what statistics and sums are computed with. */
  readonly keepFloat32: boolean;
}

/** What a graph builder needs to know of a stored weight. */
export interface PlacedWeight {
  readonly dtype: Extract<WeightDtype, 'float32' | 'float16'>;
  readonly location: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Gives weights to a graph builder. */
export type WeightSource = (spec: WeightSpec) => PlacedWeight;
