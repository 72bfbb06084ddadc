import type { Checkpoint } from '../../compiler/checkpoint.ts';
import { componentPrecision, planWeights } from '../../compiler/component.ts';
import type { TargetDtype } from '../../compiler/convert.ts';
import type { Precision } from '../../compiler/model.ts';
import { BLOCK_SIZE } from '../../compiler/quantize.ts';
import { hasCodes } from '../../compiler/weights.ts';

/** How many numbers a component's weights have, by how they are stored. */
export interface WeightCounts {
  /** In matrices that q8 and q4 store as codes. */
  readonly linear: number;
  /** In what follows the precision of the activations. */
  readonly plain: number;
  /** In what is float32 always. */
  readonly full: number;
  /** Ready-made graphs are used in this precision, whichever is asked for. */
  readonly precision?: Precision | undefined;
}

export interface StoredForm {
  readonly precision: Precision;
  /** What the weight-only precisions compute with. */
  readonly activations: TargetDtype;
}

const FLOAT_BYTES = { float32: 4, float16: 2 } as const;

/** Bytes of weights stored in a form. */
export function storedBytes(counts: WeightCounts, { precision, activations }: StoredForm): number {
  const { linear, plain, full } = counts;
  if (precision === 'fp32') return 4 * (linear + plain + full);
  if (precision === 'fp16') return 2 * (linear + plain) + 4 * full;
  const float = FLOAT_BYTES[activations];
  const codes = precision === 'q8' ? 1 : 0.5;
  return linear * (codes + float / BLOCK_SIZE) + plain * float + full * 4;
}

/** The weights of one component. */
export function weightCounts({
  name,
  config,
  onnx,
}: Pick<Checkpoint['components'][number], 'name' | 'config' | 'onnx'>): WeightCounts {
  // Stored as they are: their bytes are the same in every form.
  if (onnx) {
    const full = onnx.weightBytes / FLOAT_BYTES.float32;
    return { linear: 0, plain: 0, full, precision: onnx.precision };
  }
  const isFull = componentPrecision(name, 'fp16') === 'fp32';
  const counts = { linear: 0, plain: 0, full: 0 };
  for (const spec of planWeights(name, config)) {
    const elements = spec.storedShape.reduce((product, side) => product * side, 1);
    const kind = isFull || spec.keepFloat32 ? 'full' : hasCodes(spec) ? 'linear' : 'plain';
    counts[kind] += elements;
  }
  return counts;
}

/** The weights of the component that takes the most memory, which is the UNet. */
export function largestComponent({ components }: Checkpoint): WeightCounts {
  const total = ({ linear, plain, full }: WeightCounts) => linear + plain + full;
  return components
    .map(weightCounts)
    .reduce((largest, counts) => (total(counts) > total(largest) ? counts : largest));
}

/** Bytes that a checkpoint takes when compiled, from shapes alone. */
export function compiledBytes({ components }: Checkpoint, form: StoredForm): number {
  return components.reduce((sum, part) => sum + storedBytes(weightCounts(part), form), 0);
}
