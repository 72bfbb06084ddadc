import { isFloatSource } from '../convert.ts';
import { unsupportedModel } from '../errors.ts';
import { openOnlyFile } from '../layouts/parts.ts';
import type { ByteSource, ModelFiles } from '../model.ts';
import type { SourceTensor } from '../safetensors.ts';

/** The factors of one layer, by the names that `FACTORS` gives them. */
export interface LoraLayer {
  /** As the file has it, without the factor's name. */
  readonly name: string;
  readonly factors: ReadonlyMap<FactorName, SourceTensor>;
}

/** A LoRA of which the header is read. */
export interface LoraFile {
  readonly file: ByteSource;
  readonly layers: readonly LoraLayer[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Endings of tensors' names, and the factor that each is. */
const FACTORS = {
  alpha: 'alpha',
  scale: 'scale',
  'lora_up.weight': 'up',
  'lora_down.weight': 'down',
  'lora_mid.weight': 'mid',
  'lora_B.weight': 'up',
  'lora_A.weight': 'down',
  'lora_B.default.weight': 'up',
  'lora_A.default.weight': 'down',
  'lora.up.weight': 'up',
  'lora.down.weight': 'down',
  'lora_linear_layer.up.weight': 'up',
  'lora_linear_layer.down.weight': 'down',
  hada_w1_a: 'hada_w1_a',
  hada_w1_b: 'hada_w1_b',
  hada_w2_a: 'hada_w2_a',
  hada_w2_b: 'hada_w2_b',
  hada_t1: 'hada_t1',
  hada_t2: 'hada_t2',
  lokr_w1: 'lokr_w1',
  lokr_w1_a: 'lokr_w1_a',
  lokr_w1_b: 'lokr_w1_b',
  lokr_w2: 'lokr_w2',
  lokr_w2_a: 'lokr_w2_a',
  lokr_w2_b: 'lokr_w2_b',
  lokr_t2: 'lokr_t2',
} as const;

export type FactorName = (typeof FACTORS)[keyof typeof FACTORS];

/** The longest first, since some are the ending of others. */
const ENDINGS = Object.entries(FACTORS).sort(([a], [b]) => b.length - a.length);

/**
 * Reads a LoRA's header and sorts its tensors into layers. Rejects with `unsupported` for a tensor of a
 * kind that is not merged here (DoRA, IA3, whole differences), naming it.
 */
export async function openLora(
  files: ModelFiles,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<LoraFile> {
  const { file, header } = await openOnlyFile(files, 'lora', { signal });
  const layers = new Map<string, Map<FactorName, SourceTensor>>();
  for (const [name, tensor] of header.tensors) {
    const found = ENDINGS.find(([ending]) => name.endsWith(`.${ending}`));
    if (!found) {
      throw unsupportedModel(
        file.path,
        `tensor "${name}" is no part of a LoRA, LoCon, LoHa or LoKr. Easel merges only these four kinds.`,
      );
    }
    if (!isFloatSource(tensor.dtype)) {
      throw unsupportedModel(
        file.path,
        `tensor "${name}" is ${tensor.dtype}; LoRAs are read from F64, F32, F16 and BF16.`,
      );
    }
    const [ending, factor] = found;
    const layer = name.slice(0, -ending.length - 1);
    const factors = layers.get(layer) ?? new Map<FactorName, SourceTensor>();
    factors.set(factor, tensor);
    layers.set(layer, factors);
  }
  return {
    file,
    layers: [...layers].map(([name, factors]) => ({ name, factors })),
    metadata: header.metadata,
  };
}
