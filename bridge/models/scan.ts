import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, parse, relative, sep } from 'node:path';
import type { ModelListing } from '../../protocol/catalog.ts';
import { isModelFile, isOnnxFolder } from '../../protocol/model-folder.ts';

/** One model found on disk, with what serving and hashing need. */
export interface FoundModel {
  readonly listing: ModelListing;
  /** Folder below which the listing's file paths lie. */
  readonly root: string;
  /** Times of the files, in the order of `listing.files`. */
  readonly mtimesMs: readonly number[];
}

/** Folders in folders beyond this are not looked into; links may make circles. */
const MAX_DEPTH = 5;
const MAX_MODELS = 5_000;
const MAX_FILES = 500;

interface FoundFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

async function statFile(path: string): Promise<FoundFile | null> {
  try {
    const info = await stat(path);
    return info.isFile() ? { path, sizeBytes: info.size, mtimeMs: info.mtimeMs } : null;
  } catch {
    return null;
  }
}

/** Weights that can run code when they are opened: nothing here reads them. */
const PICKLED = /\.(ckpt|pt|pth|bin)$/i;

/** The configuration that may lie beside a single-file checkpoint under its name, as for A1111. */
async function sidecars(kind: ModelListing['kind'], path: string): Promise<FoundFile[]> {
  if (kind !== 'checkpoint') return [];
  const { dir, name } = parse(path);
  const found = await statFile(join(dir, `${name}.yaml`));
  return found ? [found] : [];
}

interface Folder {
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

/** Names in a folder by kind, links followed, hidden ones left out; empty where it cannot be read. */
async function readFolder(path: string): Promise<Folder> {
  const files: string[] = [];
  const folders: string[] = [];
  let entries: Awaited<ReturnType<typeof listEntries>> = [];
  try {
    entries = await listEntries(path);
  } catch {
    return { files, folders };
  }
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    let isFolder = entry.isDirectory();
    if (entry.isSymbolicLink()) {
      try {
        isFolder = (await stat(join(path, entry.name))).isDirectory();
      } catch {
        continue;
      }
    }
    (isFolder ? folders : files).push(entry.name);
  }
  return { files: files.sort(), folders: folders.sort() };
}

async function listEntries(path: string) {
  return await readdir(path, { withFileTypes: true });
}

/** Files that belong to a model folder. */
async function folderFiles(root: string, path = root, depth = 0): Promise<FoundFile[]> {
  const { files, folders } = await readFolder(path);
  const found: FoundFile[] = [];
  for (const name of files) {
    if (!isModelFile(name)) continue;
    const file = await statFile(join(path, name));
    if (file) found.push(file);
  }
  if (depth < 2) {
    for (const name of folders)
      found.push(...(await folderFiles(root, join(path, name), depth + 1)));
  }
  return found.slice(0, MAX_FILES);
}

/** The same model as one of another kind, under another name where that kind has its name already. */
export function asKind(
  model: FoundModel,
  kind: ModelListing['kind'],
  takenNames: ReadonlySet<string>,
): FoundModel {
  let { name } = model.listing;
  for (let number = 2; takenNames.has(name.toLowerCase()); number += 1) {
    name = `${model.listing.name} (${number})`;
  }
  // Only a checkpoint has use for the .yaml of its name.
  const files = model.listing.files.filter(({ path }) => !/\.ya?ml$/i.test(path));
  const url = urlOf(kind, name);
  return { ...model, listing: { ...model.listing, kind, name, url, files } };
}

function urlOf(kind: ModelListing['kind'], name: string): string {
  return `easel/v1/models/${kind}/${encodeURIComponent(name)}/`;
}

function describe(
  kind: ModelListing['kind'],
  name: string,
  root: string,
  filename: string,
  files: readonly FoundFile[],
): FoundModel {
  const version = createHash('sha256');
  const listed = files.map((file) => {
    const path = relative(root, file.path).split(sep).join('/');
    version.update(`${path}\0${file.sizeBytes}\0${file.mtimeMs}\n`);
    return { path, sizeBytes: file.sizeBytes };
  });
  return {
    root,
    mtimesMs: files.map(({ mtimeMs }) => mtimeMs),
    listing: {
      kind,
      name,
      source: 'bridge',
      filename,
      url: urlOf(kind, name),
      files: listed,
      version: version.digest('hex').slice(0, 32),
    },
  };
}

/** One model given by its path: a safetensors file, or a folder of a diffusers model. */
export async function describePath(
  kind: ModelListing['kind'],
  path: string,
): Promise<FoundModel | null> {
  const file = await statFile(path);
  if (file) {
    if (!/\.safetensors$/i.test(path)) return null;
    const files = [file, ...(await sidecars(kind, path))];
    return describe(kind, parse(path).name, dirname(path), path, files);
  }
  const files = await folderFiles(path);
  return files.length > 0 ? describe(kind, basename(path), path, path, files) : null;
}

/**
 * A folder that is itself a model: `model_index.json`, a component's configuration and weights, or
 * ready-made ONNX graphs, which need no index.
 */
async function isModelFolder(path: string): Promise<boolean> {
  const { files, folders } = await readFolder(path);
  const hasWeights = files.some((name) => /\.safetensors$/i.test(name));
  if (files.includes('model_index.json')) return true;
  if (files.includes('config.json') && hasWeights) return true;
  if (!folders.includes('unet')) return false;
  const unet = await readFolder(join(path, 'unet'));
  return isOnnxFolder(unet.files.map((name) => `unet/${name}`));
}

/**
 * Every model of a kind below a folder: safetensors files, diffusers and ONNX folders, in the order of
 * their paths. Names are stems; a second one of the same name gets its folder in front. Pickled files
 * are told to `onPickled` and left out.
 */
export async function scanModels(
  kind: ModelListing['kind'],
  folder: string,
  { onPickled = () => {} }: { onPickled?: (path: string) => void } = {},
): Promise<FoundModel[]> {
  const found: FoundModel[] = [];
  const names = new Set<string>();
  const uniqueName = (path: string, stem: string): string => {
    const below = relative(folder, join(dirname(path), stem))
      .split(sep)
      .join('/');
    for (const name of [stem, below]) if (!names.has(name.toLowerCase())) return name;
    for (let number = 2; ; number += 1) {
      if (!names.has(`${below} (${number})`.toLowerCase())) return `${below} (${number})`;
    }
  };
  const add = (path: string, stem: string, root: string, files: readonly FoundFile[]) => {
    const name = uniqueName(path, stem);
    names.add(name.toLowerCase());
    found.push(describe(kind, name, root, path, files));
  };
  const walk = async (path: string, depth: number): Promise<void> => {
    const entries = await readFolder(path);
    for (const name of entries.files) {
      if (PICKLED.test(name)) onPickled(join(path, name));
      if (!/\.safetensors$/i.test(name) || found.length >= MAX_MODELS) continue;
      const file = await statFile(join(path, name));
      if (file) {
        add(file.path, parse(name).name, path, [file, ...(await sidecars(kind, file.path))]);
      }
    }
    for (const name of entries.folders) {
      // A download that has not come to its end.
      if (name.endsWith('.part')) continue;
      const below = join(path, name);
      if (await isModelFolder(below)) {
        const files = await folderFiles(below);
        if (files.length > 0 && found.length < MAX_MODELS) add(below, name, below, files);
      } else if (depth < MAX_DEPTH) await walk(below, depth + 1);
    }
  };
  await walk(folder, 0);
  return found;
}
