import { join } from 'node:path';
import { compileComponents } from '../../../web/compiler/compile.ts';
import type { ModelParts } from '../../../web/compiler/layouts/parts.ts';
import type { CompiledComponent, ModelFiles } from '../../../web/compiler/model.ts';
import { readSafetensorsHeader } from '../../../web/compiler/safetensors.ts';
import { fileSource, MODELS, memorySource } from './files.ts';
import { MemorySink } from './runtime.ts';
import { type TensorBytes, writeSafetensors } from './safetensors-bytes.ts';

/** Files of the fixtures as a model. */
export async function fixtureFiles(...paths: readonly string[]): Promise<ModelFiles> {
  const files = paths.map((path) => fileSource(join(MODELS, path), path.split('/').at(-1)!));
  return { name: paths[0]!, files: await Promise.all(files) };
}

/** The same tensors under other names; null leaves one out. */
export async function renamedFile(
  { files }: ModelFiles,
  rename: (name: string) => string | null,
  path = 'renamed.safetensors',
  extra: Record<string, TensorBytes> = {},
): Promise<ModelFiles> {
  const tensors: Record<string, TensorBytes> = { ...extra };
  for (const file of files.filter((candidate) => candidate.path.endsWith('.safetensors'))) {
    for (const [name, tensor] of (await readSafetensorsHeader(file)).tensors) {
      const { dtype, shape, offset, sizeBytes } = tensor;
      const renamed = rename(name);
      if (renamed === null) continue;
      tensors[renamed] = { dtype, shape, bytes: await file.read(offset, sizeBytes) };
    }
  }
  return { name: path, files: [memorySource(path, writeSafetensors(tensors))] };
}

export interface CompiledParts {
  readonly components: readonly CompiledComponent[];
  readonly sink: MemorySink;
}

/** In float32. */
export async function compileParts({ components }: ModelParts): Promise<CompiledParts> {
  const sink = new MemorySink();
  return { components: await compileComponents(components, { precision: 'fp32', sink }), sink };
}
