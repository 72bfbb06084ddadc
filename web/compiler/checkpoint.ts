import type { ComponentConfig } from './component.ts';
import { unsupportedModel } from './errors.ts';
import { openDiffusersFolder } from './layouts/diffusers-folder.ts';
import type { ByteSource, ComponentName, ModelDescription, ModelFiles } from './model.ts';
import type { SourceTensor } from './safetensors.ts';

/** One component of a checkpoint: its configuration and where its weights lie. */
export interface CheckpointComponent {
  readonly name: ComponentName;
  /** Parsed and checked, in our own words; JSON. */
  readonly config: ComponentConfig;
  /** By the name that diffusers gives the weight today. */
  readonly tensors: ReadonlyMap<string, SourceTensor>;
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
 * is there, has the right shape, and that nothing is left over. Rejects with `invalid-model` or
 * `unsupported` naming the file and the field or tensor.
 */
export async function openCheckpoint(
  files: ModelFiles,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Checkpoint> {
  signal?.throwIfAborted();
  if (files.files.some(({ path }) => path === 'model_index.json')) {
    return openDiffusersFolder(files, signal ? { signal } : {});
  }
  throw unsupportedModel(
    files.name,
    'is no diffusers folder: model_index.json is missing. This version of Easel reads Stable Diffusion 1.x in that layout.',
  );
}
