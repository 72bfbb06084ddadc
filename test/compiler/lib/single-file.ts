import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ByteSource, ModelFiles } from '../../../web/compiler/model.ts';
import { readSafetensorsHeader } from '../../../web/compiler/safetensors.ts';
import { MODELS, memorySource } from './files.ts';
import { type TensorBytes, writeSafetensors } from './safetensors-bytes.ts';

interface Recipe {
  readonly sha256: string;
  readonly files: readonly string[];
  /** Which bytes follow each other: index of the file, offset, length. */
  readonly pieces: readonly (readonly [number, number, number])[];
}

/**
 * A single-file checkpoint, byte for byte the original: nearly all of its bytes are those of the
 * folder's files, so the fixtures hold only the rest and the order.
 */
export function singleFileBytes(model: string): Uint8Array {
  const path = join(MODELS, 'single-files', `${model}.json`);
  const recipe = JSON.parse(readFileSync(path, 'utf8')) as Recipe;
  const files = recipe.files.map((file) => readFileSync(join(MODELS, file)));
  const bytes = Buffer.concat(
    recipe.pieces.map(([file, offset, length]) => files[file]!.subarray(offset, offset + length)),
  );
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== recipe.sha256) throw new Error(`${model}: the pieces do not make the file`);
  return new Uint8Array(bytes);
}

export function singleFile(model: string, ...sidecars: readonly ByteSource[]): ModelFiles {
  const file = memorySource(`${model}.safetensors`, singleFileBytes(model));
  return { name: model, files: [file, ...sidecars] };
}

/** A single-file checkpoint without the tensors whose names match `drop`, and with other metadata. */
export async function editedSingleFileBytes(
  model: string,
  {
    drop,
    metadata,
    bytes = singleFileBytes(model),
  }: { drop?: RegExp; metadata?: Record<string, string>; bytes?: Uint8Array },
): Promise<Uint8Array> {
  const header = await readSafetensorsHeader(memorySource(`${model}.safetensors`, bytes));
  const tensors: Record<string, TensorBytes> = {};
  for (const [name, { dtype, shape, offset, sizeBytes }] of header.tensors) {
    if (drop?.test(name)) continue;
    tensors[name] = { dtype, shape, bytes: bytes.subarray(offset, offset + sizeBytes) };
  }
  return writeSafetensors(tensors, metadata ?? header.metadata);
}
