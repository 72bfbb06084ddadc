import { isFloatSource } from './convert.ts';
import { invalidModel, unsupportedModel } from './errors.ts';
import { openOnlyFile } from './layouts/parts.ts';
import { readFloats } from './lora/delta.ts';
import type { ModelDescription, ModelFiles, TextEncoderDescription } from './model.ts';
import type { SourceTensor } from './safetensors.ts';

/** A textual inversion: what stands in the place of a word, for each text encoder. */
export interface TextualInversion {
  /** Vectors of the word; the same for every encoder. */
  readonly vectors: number;
  /** One a text encoder, in the model's order: [vectors, hidden size]. */
  readonly values: readonly Float32Array[];
}

const SINGLE = 'emb_params';
/** SDXL's, by encoder. */
const PAIR = { text_encoder: 'clip_l', text_encoder_2: 'clip_g' } as const;
/** A1111 refuses more: no chunk holds them. */
const MAX_VECTORS = 75;

/**
 * Reads a textual inversion for a model's text encoders (Gal et al., arXiv:2208.01618): one tensor
 * `emb_params`, or SDXL's `clip_l` and `clip_g`. Rejects with `invalid-model` where the vectors are of
 * another family's width.
 */
export async function openTextualInversion(
  files: ModelFiles,
  { textEncoders, family }: Pick<ModelDescription, 'textEncoders' | 'family'>,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<TextualInversion> {
  const { file, header } = await openOnlyFile(files, 'embedding', { signal });
  const { tensors } = header;
  const values: Float32Array[] = [];
  let vectors = 0;
  for (const [index, encoder] of textEncoders.entries()) {
    const name = family === 'sdxl' ? PAIR[encoder.component] : SINGLE;
    const tensor = tensors.get(name);
    if (!tensor) {
      throw invalidModel(
        file.path,
        `has no tensor "${name}": it is no textual inversion for ${family === 'sdxl' ? 'SDXL' : 'models with one text encoder'}.`,
      );
    }
    const count = checkShape(tensor, encoder);
    if (index > 0 && count !== vectors) {
      throw invalidModel(
        file.path,
        `has ${vectors} vectors for the first text encoder and ${count} for the second.`,
      );
    }
    vectors = count;
    values.push(await readFloats(tensor, signal));
  }
  return { vectors, values };
}

function checkShape(
  { name, shape, dtype, file }: SourceTensor,
  { hiddenSize }: TextEncoderDescription,
): number {
  // A single vector may lie without its axis.
  const [count = 0, width] = shape.length === 1 ? [1, shape[0]] : shape;
  if (!isFloatSource(dtype)) throw unsupportedModel(file.path, `tensor "${name}" is ${dtype}.`);
  if (shape.length > 2 || width !== hiddenSize) {
    throw invalidModel(
      file.path,
      `tensor "${name}" has the shape [${shape.join(', ')}], but the text encoder's vectors are ${hiddenSize} wide. The textual inversion is made for another family.`,
    );
  }
  if (count < 1 || count > MAX_VECTORS) {
    throw invalidModel(
      file.path,
      `tensor "${name}" has ${count} vectors; 1 to ${MAX_VECTORS} fit.`,
    );
  }
  return count;
}
