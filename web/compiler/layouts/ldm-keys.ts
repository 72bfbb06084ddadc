import { invalidModel } from '../errors.ts';
import type { SourceTensor } from '../safetensors.ts';

/**
 * Names in two layouts, module by module: the longest known beginning of a name is replaced. Built for
 * one model, since where a module lies depends on how many others come before it.
 */
export class KeyMap {
  readonly #toDiffusers = new Map<string, string>();
  readonly #toLdm = new Map<string, string>();

  /** `ldm` and `diffusers` are whole modules: `input_blocks.1.0.in_layers.0`, `down_blocks.0.resnets.0.norm1`. */
  add(ldm: string, diffusers: string): void {
    this.#toDiffusers.set(ldm, diffusers);
    this.#toLdm.set(diffusers, ldm);
  }

  /** The name that diffusers gives a tensor, or undefined for one of no known module. */
  toDiffusers(name: string): string | undefined {
    return replaceModule(this.#toDiffusers, name);
  }

  /** The name that a single file gives a tensor. */
  toLdm(name: string): string | undefined {
    return replaceModule(this.#toLdm, name);
  }
}

function replaceModule(modules: ReadonlyMap<string, string>, name: string): string | undefined {
  for (let end = name.length; end > 0; end = name.lastIndexOf('.', end - 1)) {
    const found = modules.get(name.slice(0, end));
    if (found !== undefined) return found + name.slice(end);
  }
  return undefined;
}

/** Where tensors come from: their file, and what their names begin with there. */
export interface TensorPlace {
  readonly file: string;
  readonly prefix: string;
}

export function missingTensor({ file, prefix }: TensorPlace, name: string): Error {
  return invalidModel(file, `tensor "${prefix}${name}" is missing.`);
}

export type Tensors = ReadonlyMap<string, SourceTensor>;

/** The tensors whose names begin with `prefix`, by the rest of their names. */
export function withPrefix(tensors: Tensors, prefix: string): Map<string, SourceTensor> {
  const found = new Map<string, SourceTensor>();
  for (const [name, tensor] of tensors) {
    if (name.startsWith(prefix)) found.set(name.slice(prefix.length), tensor);
  }
  return found;
}

/** How many of `name(0)`, `name(1)` … are there, up to the first that is not. */
export function countWhile(tensors: Tensors, name: (index: number) => string): number {
  let count = 0;
  while (tensors.has(name(count))) count++;
  return count;
}

/** Renames what the map knows; the rest keeps its name, so that the check of the weights names it. */
export function renameTensors(tensors: Tensors, keys: KeyMap): Map<string, SourceTensor> {
  const renamed = new Map<string, SourceTensor>();
  for (const [name, tensor] of tensors) renamed.set(keys.toDiffusers(name) ?? name, tensor);
  return renamed;
}
