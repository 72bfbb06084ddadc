import type { ModelKind } from '../../../protocol/model-kind.ts';
import type { CheckpointComponent } from '../checkpoint.ts';
import { unsupportedModel } from '../errors.ts';
import type { ByteSource, ModelFiles } from '../model.ts';
import { readSafetensorsHeader, type SafetensorsHeader } from '../safetensors.ts';
import type { LayoutWords } from './check-weights.ts';
import { detectModel } from './detect.ts';

/** What belongs to a checkpoint, or is used beside one: a VAE, a ControlNet, an upscaler. */
export interface ModelParts {
  readonly components: readonly CheckpointComponent[];
  /** The files that the result depends on. */
  readonly sources: readonly ByteSource[];
}

export interface OpenOptions {
  readonly signal?: AbortSignal | undefined;
}

/** A safetensors file with its header. */
export interface OpenedFile {
  readonly file: ByteSource;
  readonly header: SafetensorsHeader;
}

const KIND_NAMES: Readonly<Record<ModelKind, string>> = {
  checkpoint: 'a whole checkpoint',
  unet: 'a UNet',
  'text-encoder': 'a text encoder',
  vae: 'a VAE',
  taesd: 'a TAESD autoencoder',
  controlnet: 'a ControlNet',
  lora: 'a LoRA',
  embedding: 'a textual inversion',
  upscaler: 'an upscaler',
  unknown: 'nothing that this version of Easel knows',
};

const PICKLED = /\.(ckpt|pt|pth|bin)$/i;

/** The weight files of a model, all with their headers; of a folder's precisions the widest. */
export async function openWeightFiles(
  { name, files }: ModelFiles,
  { signal }: OpenOptions,
): Promise<readonly OpenedFile[]> {
  const weights = files.filter(({ path }) => /\.safetensors$/i.test(path));
  const full = weights.filter(({ path }) => !/\.fp16\.safetensors$/i.test(path));
  const chosen = full.length > 0 ? full : weights;
  if (chosen.length === 0) {
    const pickled = files.find(({ path }) => PICKLED.test(path));
    throw unsupportedModel(
      pickled?.path ?? name,
      pickled
        ? 'is a pickled file, and such files can run code when they are read, so Easel never opens them. Look for a .safetensors file where you found this one.'
        : 'holds no .safetensors file.',
    );
  }
  const opened: OpenedFile[] = [];
  for (const file of chosen) {
    opened.push({ file, header: await readSafetensorsHeader(file, signal ? { signal } : {}) });
  }
  return opened;
}

/** The one weight file of a model of `kind`. Another kind of file is refused by what it is. */
export async function openOnlyFile(
  files: ModelFiles,
  kind: ModelKind,
  options: OpenOptions,
): Promise<OpenedFile> {
  const [opened, second] = await openWeightFiles(files, options);
  if (!opened || second) {
    throw unsupportedModel(
      files.name,
      `holds several .safetensors files; ${KIND_NAMES[kind]} is one.`,
    );
  }
  const found = detectModel(opened.header).kind;
  if (found === kind) return opened;
  throw unsupportedModel(
    opened.file.path,
    `holds ${KIND_NAMES[found]}, where ${KIND_NAMES[kind]} was expected.`,
  );
}

/** How errors speak of a file without a configuration. */
export function fileWords(nameOf: LayoutWords['nameOf']): LayoutWords {
  return {
    nameOf,
    basis: 'to fit the others',
    leftOver: 'which this version of Easel does not know',
  };
}
