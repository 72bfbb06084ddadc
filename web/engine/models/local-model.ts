import type { ModelListing } from '../../../protocol/catalog.ts';
import { isOnnxFolder } from '../../../protocol/model-folder.ts';
import { listingKindOf } from '../../../protocol/model-kind.ts';
import { openCheckpoint } from '../../compiler/checkpoint.ts';
import { openControlnet } from '../../compiler/layouts/controlnet-file.ts';
import { detectModel } from '../../compiler/layouts/detect.ts';
import { openTaesd } from '../../compiler/layouts/taesd-file.ts';
import { openUpscaler } from '../../compiler/layouts/upscaler-file.ts';
import { openVae } from '../../compiler/layouts/vae-file.ts';
import { openLora } from '../../compiler/lora/lora-file.ts';
import type { ModelFiles } from '../../compiler/model.ts';
import { readSafetensorsHeader } from '../../compiler/safetensors.ts';

type ListingKind = ModelListing['kind'];

/** A look at what the headers say: rejects for a file that cannot be used as what it is. */
const OPENERS: Readonly<Record<ListingKind, (files: ModelFiles) => Promise<unknown>>> = {
  checkpoint: openCheckpoint,
  lora: openLora,
  vae: openVae,
  esrgan: openUpscaler,
  controlnet: openControlnet,
  taesd: openTaesd,
  // Whether it fits shows beside a checkpoint alone.
  embedding: async () => {},
};

/**
 * The list that files of the user's own disk belong into, by their tensors, after a look at all their
 * headers. Rejects with `invalid-model` or `unsupported`, naming the file, for what no list takes.
 */
export async function inspectModel(files: ModelFiles): Promise<ListingKind> {
  const kind = await kindOf(files);
  await OPENERS[kind](files);
  return kind;
}

async function kindOf({ files }: ModelFiles): Promise<ListingKind> {
  if (files.some(({ path }) => path === 'model_index.json')) return 'checkpoint';
  if (isOnnxFolder(files.map(({ path }) => path))) return 'checkpoint';
  const weights = files.find(({ path }) => /\.safetensors$/i.test(path));
  if (!weights) return 'checkpoint';
  // A part of a checkpoint is refused as one, with what is missing.
  return listingKindOf(detectModel(await readSafetensorsHeader(weights)).kind) ?? 'checkpoint';
}
