import type { WeightDtype } from './model.ts';
import { BLOCK_SIZE, blockBytes, type QuantizedBits } from './quantize.ts';

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
  /** The matrix of a linear layer, which weight-only precisions store as codes and scales. */
  readonly isLinear: boolean;
}

/**
 * Matrices below this many elements stay in floats: together they are a rounding error of a model's size,
 * and among them are those that everything else depends on.
 */
const MIN_QUANTIZED_ELEMENTS = 64 * 64;

/** Whether the weight-only precisions store a weight as codes. */
export function hasCodes({ isLinear, shape: [out = 0, inner = 0] }: WeightSpec): boolean {
  return isLinear && out * inner >= MIN_QUANTIZED_ELEMENTS && inner % BLOCK_SIZE === 0;
}

/** Where one stored tensor lies. */
export interface PlacedTensor {
  readonly dtype: Extract<WeightDtype, 'float32' | 'float16'>;
  readonly location: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Codes (`uint8`) and scales of a linear layer's matrix, laid out as `quantize.ts` says. */
export interface PlacedCodes extends Omit<PlacedTensor, 'dtype'> {
  readonly dtype: 'uint8';
  readonly bits: QuantizedBits;
  readonly scales: PlacedTensor;
}

/** What a graph builder needs to know of a stored weight. */
export type PlacedWeight = PlacedTensor | PlacedCodes;

/** The key of a quantised weight's scales in `CompiledComponent.weights`. */
export function scalesName(weight: string): string {
  return `${weight}.scales`;
}

/**
 * Shape of the codes of a matrix [out, in]: [out, blocks, bytes of a block]. The number of bits follows
 * from it.
 */
export function codesShape([out = 0, inner = 0]: readonly number[], bits: QuantizedBits): number[] {
  return [out, inner / BLOCK_SIZE, blockBytes(bits)];
}

/** Gives weights to a graph builder. */
export type WeightSource = (spec: WeightSpec) => PlacedWeight;
