import { invalidModel, unsupportedModel } from '../errors.ts';
import { isObject, readJsonObject, readText } from '../json-file.ts';
import type { ByteSource, ModelFiles } from '../model.ts';
import { readSafetensorsHeader, type SourceTensor } from '../safetensors.ts';

const MEBIBYTE = 1024 * 1024;

/** File stems that diffusers and transformers save weights under. */
const STEMS = ['diffusion_pytorch_model', 'model'];
/** Full precision first: conversion loses least from it. */
const VARIANTS = ['', '.fp16'];

/** A model folder that remembers which of its files were used. */
export class ModelFolder {
  readonly name: string;
  readonly #byPath: ReadonlyMap<string, ByteSource>;
  readonly #used = new Set<ByteSource>();
  readonly #signal: AbortSignal | undefined;

  constructor(files: ModelFiles, signal?: AbortSignal) {
    this.name = files.name;
    this.#byPath = new Map(files.files.map((file) => [file.path, file]));
    this.#signal = signal;
  }

  /** The files read so far, in the order of their paths. */
  used(): readonly ByteSource[] {
    return [...this.#used].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** A JSON file that must be there. */
  async json(path: string, maxBytes = MEBIBYTE): Promise<Record<string, unknown>> {
    return readJsonObject(this.#file(path), { maxBytes, ...this.#options() });
  }

  /** A JSON file, or undefined where there is none. */
  async jsonIfPresent(
    path: string,
    maxBytes = MEBIBYTE,
  ): Promise<Record<string, unknown> | undefined> {
    return this.#byPath.has(path) ? this.json(path, maxBytes) : undefined;
  }

  /** A text file, or undefined where there is none. */
  async textIfPresent(path: string, maxBytes: number): Promise<string | undefined> {
    if (!this.#byPath.has(path)) return undefined;
    return readText(this.#file(path), { maxBytes, ...this.#options() });
  }

  /** Every tensor of a component's folder, whole or in pieces with an index. */
  async tensors(directory: string): Promise<Map<string, SourceTensor>> {
    for (const variant of VARIANTS) {
      for (const stem of STEMS) {
        const whole = `${directory}/${stem}${variant}.safetensors`;
        if (this.#byPath.has(whole)) return this.#readAll([whole]);
        for (const index of [
          `${directory}/${stem}.safetensors.index${variant}.json`,
          `${directory}/${stem}${variant}.safetensors.index.json`,
        ]) {
          if (this.#byPath.has(index)) return this.#readAll(await this.#pieces(directory, index));
        }
      }
    }
    throw this.#noWeights(directory);
  }

  /** The files that a sharded checkpoint's index names. */
  async #pieces(directory: string, index: string): Promise<string[]> {
    const { weight_map: map } = await this.json(index, 16 * MEBIBYTE);
    const names = isObject(map) ? [...new Set(Object.values(map))] : [];
    if (names.length === 0) throw invalidModel(index, 'names no files ("weight_map").');
    return names.map((name) => {
      if (typeof name !== 'string' || name.includes('/') || name.includes('\\')) {
        throw invalidModel(index, `names ${JSON.stringify(name)}, which is no file beside it.`);
      }
      return `${directory}/${name}`;
    });
  }

  async #readAll(paths: readonly string[]): Promise<Map<string, SourceTensor>> {
    const all = new Map<string, SourceTensor>();
    for (const path of paths) {
      const { tensors } = await readSafetensorsHeader(this.#file(path), this.#options());
      for (const [name, tensor] of tensors) {
        const other = all.get(name);
        if (other) throw invalidModel(path, `tensor "${name}" is in ${other.file.path} too.`);
        all.set(name, tensor);
      }
    }
    return all;
  }

  #file(path: string): ByteSource {
    const file = this.#byPath.get(path);
    if (!file) throw invalidModel(`${this.name}/${path}`, 'is missing.');
    this.#used.add(file);
    return file;
  }

  #options(): { signal?: AbortSignal } {
    return this.#signal ? { signal: this.#signal } : {};
  }

  #noWeights(directory: string): Error {
    const place = `${this.name}/${directory}`;
    const pickled = [...this.#byPath.keys()].find(
      (path) => path.startsWith(`${directory}/`) && /\.(bin|ckpt|pt|pth)$/.test(path),
    );
    if (!pickled) return invalidModel(place, 'holds no .safetensors file.');
    return unsupportedModel(
      place,
      `holds only pickled weights (${pickled.slice(directory.length + 1)}), which can run code. Convert them to .safetensors.`,
    );
  }
}
