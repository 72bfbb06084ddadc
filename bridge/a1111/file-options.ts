import type { GenerationInput, GenerationParams } from '../../protocol/generation.ts';
import type { PictureSaving } from '../services.ts';
import { savedByproducts } from './byproducts.ts';
import { type Options, optionNumber } from './options.ts';

const FORMATS: ReadonlyMap<unknown, GenerationParams['outputFormat']> = new Map([
  ['jpg', 'jpg'],
  ['jpeg', 'jpg'],
  ['webp', 'webp'],
]);

/** The format of pictures that the option `samples_format` asks for. */
export function outputFormatOf(options: Options): GenerationParams['outputFormat'] {
  return FORMATS.get(options.samples_format) ?? 'png';
}

/** How JPEG and WebP are written. */
export function qualityOf(options: Options) {
  const quality = Math.trunc(optionNumber(options, 'jpeg_quality', 80));
  return {
    quality: Math.min(100, Math.max(1, quality)),
    isLossless: options.webp_lossless === true,
  } satisfies GenerationInput;
}

/** A1111's own number of words in the names of folders. */
const MAX_WORDS = 8;

/** How pictures are saved where the options say otherwise than Easel does by itself. */
export function savingOf(options: Options): PictureSaving | undefined {
  const text = (key: string) => (typeof options[key] === 'string' ? options[key] : '');
  const file = text('samples_filename_pattern');
  const folder = options.save_to_dirs === false ? null : text('directories_filename_pattern');
  const hasText = options.save_txt === true;
  const byproducts = savedByproducts(options);
  const isOwnWay = file === '' && folder === '' && !hasText && byproducts.length === 0;
  if (isOwnWay) return undefined;
  const words = Math.trunc(optionNumber(options, 'directories_max_prompt_words', MAX_WORDS));
  return {
    ...{ file, folder, hasText },
    ...(words === MAX_WORDS ? {} : { maxPromptWords: words }),
    ...(byproducts.length > 0 ? { byproducts } : {}),
  };
}

/** The format of scripts' grids that the option `grid_format` asks for. */
export function gridFormatOf(options: Options): GenerationParams['outputFormat'] {
  return FORMATS.get(options.grid_format) ?? 'png';
}
