import type { DeviceInfo } from '../../../protocol/device.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import type { Precision } from '../../compiler/model.ts';
import { binaryBytes, type MemoryBudget } from '../memory-budget.ts';
import { type StoredForm, storedBytes, type WeightCounts } from './compiled-size.ts';

/** How a checkpoint is compiled for a device. */
export interface PrecisionChoice extends StoredForm {
  /** Why, as a sentence. */
  readonly reason: string;
  /** Coarser than what the device computes with by itself: worth telling. */
  readonly isReduced: boolean;
}

const HALF = { activations: 'float16' } as const;
const FULL = { activations: 'float32' } as const;

/** What is tried in turn, the most exact first. */
const CANDIDATES = {
  'webgpu with float16': [
    { precision: 'fp16', ...HALF },
    { precision: 'q8', ...HALF },
    { precision: 'q4', ...HALF },
  ],
  webgpu: [
    { precision: 'fp32', ...FULL },
    { precision: 'q8', ...FULL },
    { precision: 'q4', ...FULL },
  ],
  // The processor has no arithmetic in float16: it is widened at every use, slow but half the memory.
  wasm: [
    { precision: 'fp32', ...FULL },
    { precision: 'q8', ...FULL },
    { precision: 'q8', ...HALF },
    { precision: 'q4', ...HALF },
  ],
} as const satisfies Record<string, readonly [StoredForm, ...StoredForm[]]>;

/**
 * The precision that a checkpoint is compiled in: the most exact whose largest component fits the budget
 * by itself. `weights` are those of that component.
 * Throws `unsupported` for a precision that was asked for and that the device does not have.
 */
export function choosePrecision(
  wanted: Precision | 'auto',
  device: DeviceInfo,
  weights: WeightCounts,
  { weightBytes, place }: MemoryBudget,
): PrecisionChoice {
  if (weights.precision) return ready(weights.precision, wanted);
  if (wanted !== 'auto') return asked(wanted, device);
  const { provider, hasShaderF16 } = device;
  const isHalf = provider === 'webgpu' && hasShaderF16;
  const candidates = CANDIDATES[isHalf ? 'webgpu with float16' : provider];
  const [first] = candidates;
  const found = candidates.find((form) => storedBytes(weights, form) <= weightBytes);
  if (found === first) return { ...first, reason: ordinaryReason(device), isReduced: false };
  const chosen = found ?? candidates[candidates.length - 1] ?? first;
  const size = (form: StoredForm) => binaryBytes(storedBytes(weights, form));
  const budget = `of ${place} weights may take ${binaryBytes(weightBytes)}`;
  const reason = found
    ? `The weights are used in ${chosen.precision}: in ${first.precision} the largest part takes ${size(first)}, but ${budget}; so it takes ${size(chosen)}.`
    : `The weights are used in ${chosen.precision}, the smallest form there is; the largest part still takes ${size(chosen)}, but ${budget}.`;
  return { ...chosen, reason, isReduced: true };
}

/** Ready-made graphs have the precision that they were exported in. */
function ready(precision: Precision, wanted: Precision | 'auto'): PrecisionChoice {
  const form = precision === 'fp16' ? HALF : FULL;
  const isOther = wanted !== 'auto' && wanted !== precision;
  const reason = isOther
    ? `${wanted} was asked for, but this checkpoint's ONNX graphs are used as they are, in ${precision}.`
    : `The ONNX graphs are used as they are, in ${precision}.`;
  return { precision, ...form, reason, isReduced: isOther };
}

function asked(precision: Precision, device: DeviceInfo): PrecisionChoice {
  const { provider, hasShaderF16, adapter } = device;
  const reason = `${precision} was asked for.`;
  const isHalf = provider === 'webgpu' && hasShaderF16;
  if (precision === 'fp16' && provider === 'webgpu' && !hasShaderF16) {
    throw new GenerationError(
      'unsupported',
      `The precision fp16 was asked for, but ${adapter} has no half-precision arithmetic (shader-f16). Choose auto, fp32, q8 or q4.`,
    );
  }
  const form = precision === 'fp16' || (precision !== 'fp32' && isHalf) ? HALF : FULL;
  return { precision, ...form, reason, isReduced: false };
}

function ordinaryReason({ provider, hasShaderF16 }: DeviceInfo): string {
  if (provider === 'wasm') return 'The processor computes in fp32, and the weights fit.';
  if (hasShaderF16) return 'The graphics adapter computes in fp16, and the weights fit.';
  return 'The graphics adapter has no half-precision arithmetic (shader-f16), and the weights fit in fp32.';
}
