import { GenerationError } from '../../../protocol/errors.ts';
import { isModelFile, isOnnxFolder } from '../../../protocol/model-folder.ts';
import type { LocalFile } from '../../shared/engine.ts';

/** Files that make one model; paths are below its folder. */
export interface FileGroup {
  readonly name: string;
  readonly files: readonly LocalFile[];
}

const PICKLED = /\.(ckpt|pt|pth|bin)$/i;
const WEIGHTS = /\.safetensors$/i;

const folderOf = (path: string) => path.slice(0, path.lastIndexOf('/') + 1);
const baseName = (path: string) => path.slice(path.lastIndexOf('/') + 1);
const stemOf = (path: string) => baseName(path).replace(/\.[^.]+$/, '');

/**
 * The models among files that were chosen or dropped: every folder with a `model_index.json` or with ready-made
 * ONNX graphs, every other one with weights beside a `config.json` (a ControlNet, a VAE), and every safetensors file outside of them
 * with the `.yaml` of its name. Throws `invalid-model` when there is none.
 */
export function groupFiles(files: readonly LocalFile[]): FileGroup[] {
  const folders = [...wholeFolders(files)];
  for (const folder of componentFolders(files)) {
    if (!folders.some((above) => folder.startsWith(above))) folders.push(folder);
  }
  const groups: FileGroup[] = folders.map((folder) => ({
    name: baseName(folder.slice(0, -1)) || 'diffusers-model',
    files: files
      .filter(({ path }) => path.startsWith(folder) && isModelFile(path))
      .map((file) => ({ ...file, path: file.path.slice(folder.length) })),
  }));
  for (const file of files) {
    if (!WEIGHTS.test(file.path) || folders.some((folder) => file.path.startsWith(folder)))
      continue;
    const stem = stemOf(file.path);
    const yaml = files.find(({ path }) => path === `${folderOf(file.path)}${stem}.yaml`);
    groups.push({
      name: stem,
      files: [file, ...(yaml ? [yaml] : [])].map((each) => ({
        ...each,
        path: baseName(each.path),
      })),
    });
  }
  if (groups.length > 0) return groups;
  const pickled = files.find(({ path }) => PICKLED.test(path));
  throw new GenerationError(
    'invalid-model',
    pickled
      ? `${pickled.path} is a pickled file, and such files can run code when they are read. Convert it to .safetensors, in AUTOMATIC1111 with the Checkpoint Merger.`
      : 'There is no model among these files: Easel reads .safetensors files, diffusers folders with their model_index.json, and folders of ONNX graphs.',
  );
}

function wholeFolders(files: readonly LocalFile[]): string[] {
  const indexed = files
    .filter(({ path }) => baseName(path) === 'model_index.json')
    .map(({ path }) => folderOf(path));
  const graphs = files
    .filter(({ path }) => /(^|\/)unet\/[^/]+\.onnx$/i.test(path))
    .map(({ path }) => path.slice(0, path.length - `unet/${baseName(path)}`.length))
    .filter((folder) => {
      const inside = files.filter(({ path }) => path.startsWith(folder));
      return isOnnxFolder(inside.map(({ path }) => path.slice(folder.length)));
    });
  return [...new Set([...indexed, ...graphs])];
}

/** Folders of one component; the topmost has no name to go by and is none. */
function componentFolders(files: readonly LocalFile[]): string[] {
  const withWeights = new Set(
    files.filter(({ path }) => WEIGHTS.test(path)).map(({ path }) => folderOf(path)),
  );
  return files
    .filter(({ path }) => baseName(path) === 'config.json')
    .map(({ path }) => folderOf(path))
    .filter((folder) => folder !== '' && withWeights.has(folder));
}
