import type { ModelFiles } from '../../../web/compiler/model.ts';
import { readSafetensorsHeader } from '../../../web/compiler/safetensors.ts';
import { jsonSource, memorySource } from './files.ts';
import { type TensorBytes, writeSafetensors } from './safetensors-bytes.ts';

/** A folder in which `files` take the place of the files of the same paths under `directory`. */
export function replaceFolder(
  { name, files }: ModelFiles,
  directory: string,
  others: ModelFiles,
): ModelFiles {
  const kept = files.filter(({ path }) => !path.startsWith(`${directory}/`));
  const moved = others.files.map((file) => ({ ...file, path: `${directory}/${file.path}` }));
  return { name, files: [...kept, ...moved] };
}

/** A folder with fields added to one JSON file and tensors added to one safetensors file. */
export async function extendFolder(
  { name, files }: ModelFiles,
  config: { path: string; fields: Record<string, unknown> },
  weights: { path: string; tensors: Record<string, TensorBytes> },
): Promise<ModelFiles> {
  const changed = files.map(async (file) => {
    if (file.path === config.path) {
      const text = new TextDecoder().decode(await file.read(0, file.sizeBytes));
      return jsonSource(file.path, { ...JSON.parse(text), ...config.fields });
    }
    if (file.path !== weights.path) return file;
    const header = await readSafetensorsHeader(file);
    const tensors: Record<string, TensorBytes> = { ...weights.tensors };
    for (const [key, { dtype, shape, offset, sizeBytes }] of header.tensors) {
      tensors[key] = { dtype, shape, bytes: await file.read(offset, sizeBytes) };
    }
    return memorySource(file.path, writeSafetensors(tensors));
  });
  return { name, files: await Promise.all(changed) };
}
