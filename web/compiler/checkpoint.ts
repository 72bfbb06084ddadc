import { isOnnxFolder } from '../../protocol/model-folder.ts';
import type { ComponentConfig } from './component.ts';
import { unsupportedModel } from './errors.ts';
import { openDiffusersFolder } from './layouts/diffusers-folder.ts';
import { openSingleFile } from './layouts/single-file.ts';
import type { ByteSource, ComponentName, ModelDescription, ModelFiles } from './model.ts';
import type { TargetDevice } from './onnx-folder/check-operators.ts';
import type { OnnxGraph } from './onnx-folder/component.ts';
import { openOnnxFolder } from './onnx-folder/describe.ts';
import type { SourceTensor } from './safetensors.ts';

/** One component of a checkpoint: its configuration and where its weights lie. */
export interface CheckpointComponent {
  readonly name: ComponentName;
  /** Parsed and checked, in our own words; JSON. */
  readonly config: ComponentConfig;
  /** By the name that diffusers gives the weight today. */
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  /** A ready-made graph, which is stored as it is. */
  readonly onnx?: OnnxGraph;
}

/** A checkpoint that was read and checked but for its weights. */
export interface Checkpoint {
  readonly name: string;
  readonly description: ModelDescription;
  /** In the order they are compiled. */
  readonly components: readonly CheckpointComponent[];
  /** The files that the result depends on, configs and tokenizer included. */
  readonly sources: readonly ByteSource[];
}

/**
 * Reads a checkpoint's configuration and the headers of its weight files, and checks that every weight
 * is there, has the right shape, and that nothing is left over. `device` is what ready-made graphs are
 * to run on. Rejects with `invalid-model` or `unsupported` naming the file and the field or tensor.
 */
export async function openCheckpoint(
  files: ModelFiles,
  { signal, device }: { signal?: AbortSignal; device?: TargetDevice } = {},
): Promise<Checkpoint> {
  signal?.throwIfAborted();
  if (isOnnxFolder(files.files.map(({ path }) => path))) {
    return openOnnxFolder(files, { signal, device });
  }
  if (files.files.some(({ path }) => path === 'model_index.json')) {
    return openDiffusersFolder(files, signal ? { signal } : {});
  }
  const weights = files.files.filter(({ path }) => /\.safetensors$/i.test(path));
  const [file] = weights;
  if (file && weights.length === 1) {
    return openSingleFile(files, file, { sidecar: sidecarOf(file, files), signal });
  }
  if (file) {
    throw unsupportedModel(
      files.name,
      `holds ${weights.length} .safetensors files and no model_index.json that says how they belong together. Easel reads diffusers folders and checkpoints of one file.`,
    );
  }
  throw noWeights(files);
}

/** The configuration beside a single file: the one of its name, else the only one. */
function sidecarOf(file: ByteSource, { files }: ModelFiles): ByteSource | undefined {
  const stem = file.path.replace(/\.safetensors$/i, '');
  const configs = files.filter(({ path }) => /\.ya?ml$/i.test(path));
  const named = configs.find(({ path }) => path.replace(/\.ya?ml$/i, '') === stem);
  return named ?? (configs.length === 1 ? configs[0] : undefined);
}

const PICKLED = /\.(ckpt|pt|pth|bin)$/i;

function noWeights({ name, files }: ModelFiles): Error {
  const pickled = files.find(({ path }) => PICKLED.test(path));
  if (!pickled) {
    return unsupportedModel(
      name,
      'holds neither a .safetensors file nor the model_index.json of a diffusers folder.',
    );
  }
  return unsupportedModel(
    pickled.path,
    'is a pickled file, and such files can run code when they are read, so Easel never opens them. Convert it to .safetensors: in AUTOMATIC1111 with the Checkpoint Merger (one model, no interpolation, format safetensors), or look for a .safetensors file where you found this one.',
  );
}
