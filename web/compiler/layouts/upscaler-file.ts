import { unsupportedModel } from '../errors.ts';
import type { ModelFiles } from '../model.ts';
import type { RrdbnetConfig } from '../models/rrdbnet.ts';
import type { SourceTensor } from '../safetensors.ts';
import { checkWeights } from './check-weights.ts';
import { countWhile, missingTensor, type Tensors } from './ldm-keys.ts';
import { fileWords, type ModelParts, type OpenOptions, openOnlyFile } from './parts.ts';

/** Beginnings that some conversions of Real-ESRGAN's files keep. */
const WRAPPERS = /^(params_ema|params|model_state_dict)\./;

/**
 * Opens an ESRGAN upscaler: an RRDBNet under Real-ESRGAN's names, or under those of the first ESRGAN,
 * as a plain sequence (`model.1.sub.0.RDB1.conv1.0`, 4x-UltraSharp's) or by module (`RRDB_trunk.0`).
 * Scale, features and blocks are read off names and shapes. Rejects with `invalid-model` or
 * `unsupported` naming the file and the tensor.
 */
export async function openUpscaler(
  files: ModelFiles,
  options: OpenOptions = {},
): Promise<ModelParts> {
  const { file, header } = await openOnlyFile(files, 'upscaler', options);
  const rename = currentNames([...header.tensors.keys()].map(unwrapped));
  const tensors = new Map<string, SourceTensor>();
  for (const [name, tensor] of header.tensors) tensors.set(rename(unwrapped(name)), tensor);
  const config = readConfig(file.path, tensors);
  const components = [{ name: 'upscaler', config, tensors }] as const;
  checkWeights(
    file.path,
    tensors,
    components,
    fileWords((name) => tensors.get(name)?.name ?? name),
  );
  return { components, sources: [file] };
}

function unwrapped(name: string): string {
  return name.replace(WRAPPERS, '');
}

/** Renames tensors of any of the three layouts to Real-ESRGAN's names. */
function currentNames(names: readonly string[]): (name: string) => string {
  const places = names.map((name) => /^model\.(\d+)\.weight$/.exec(name)?.[1]);
  const sequence = [...new Set(places.flatMap((place) => (place ? [Number(place)] : [])))];
  sequence.sort((a, b) => a - b);
  // The first convolution, one for each doubling, and the last two.
  const modules = new Map(
    sequence.map((place, index) => {
      if (index === 0) return [place, 'conv_first'];
      if (index === sequence.length - 1) return [place, 'conv_last'];
      if (index === sequence.length - 2) return [place, 'conv_hr'];
      return [place, `conv_up${index}`];
    }),
  );
  const blocks = names.flatMap((name) => /^model\.1\.sub\.(\d+)\.RDB1\./.exec(name)?.[1] ?? []);
  const trunkEnd = Math.max(-1, ...blocks.map(Number)) + 1;
  return (name) =>
    name
      .replace(`model.1.sub.${trunkEnd}.`, 'conv_body.')
      .replace(/^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\./, 'body.$1.rdb$2.conv$3.')
      .replace(/^model\.(\d+)\./, (whole, place) => {
        const module = modules.get(Number(place));
        return module === undefined ? whole : `${module}.`;
      })
      .replace(/^RRDB_trunk\.(\d+)\.RDB(\d)\./, 'body.$1.rdb$2.')
      .replace(/^trunk_conv\./, 'conv_body.')
      .replace(/^upconv(\d)\./, 'conv_up$1.')
      .replace(/^HRconv\./, 'conv_hr.');
}

function readConfig(file: string, tensors: Tensors): RrdbnetConfig {
  const size = (name: string, axis: number): number => {
    const found = tensors.get(name)?.shape[axis];
    if (found === undefined) throw missingTensor({ file, prefix: '' }, name);
    return found;
  };
  const outChannels = size('conv_last.weight', 0);
  const folded = size('conv_first.weight', 1);
  const unshuffle = Math.sqrt(folded / outChannels);
  const doublings = countWhile(tensors, (index) => `conv_up${index + 1}.weight`);
  if (outChannels !== 3 || ![1, 2, 4].includes(unshuffle)) {
    throw unsupportedModel(
      file,
      `makes ${outChannels} channels of ${folded}; upscalers of pictures in red, green and blue are known.`,
    );
  }
  if (2 ** doublings < unshuffle || doublings > 4) {
    throw unsupportedModel(
      file,
      `has a scale of ${2 ** doublings / unshuffle}; scales of 1, 2, 4, 8 and 16 are known.`,
    );
  }
  return {
    type: 'rrdbnet',
    inChannels: outChannels,
    outChannels,
    features: size('conv_first.weight', 0),
    growth: size('body.0.rdb1.conv1.weight', 0),
    blocks: countWhile(tensors, (block) => `body.${block}.rdb1.conv1.weight`),
    doublings,
    unshuffle,
  };
}
