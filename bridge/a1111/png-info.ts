import { readExifText } from '../../protocol/exif-text.ts';
import { parseInfotext } from '../../protocol/infotext.ts';
import type { InfotextValues } from '../../protocol/infotext-defaults.ts';
import { findSampler } from '../../protocol/sampler-names.ts';
import { readPngTexts } from '../picture-text.ts';
import { type InputImage, readImage } from './image-input.ts';
import { isRecord } from './lenient.ts';

/** What png-info answers: the infotext, the picture's other texts, and the infotext taken apart. */
export interface PngInfo {
  readonly info: string;
  readonly items: Readonly<Record<string, string>>;
  readonly parameters: InfotextValues;
}

type Texts = Readonly<Record<string, string>>;

/** NovelAI keeps the prompt in `Description` and the rest as JSON in `Comment`; A1111 reads it as an infotext. */
function fromNovelAi(texts: Texts, { width, height }: InputImage): string | null {
  if (texts.Software !== 'NovelAI') return null;
  let comment: unknown;
  try {
    comment = JSON.parse(texts.Comment ?? '');
  } catch {
    return null;
  }
  if (!isRecord(comment)) return null;
  const value = (key: string) => String(comment[key] ?? '');
  const pairs = [
    `Steps: ${value('steps')}`,
    `Sampler: ${findSampler(value('sampler')) ?? 'Euler a'}`,
    `CFG scale: ${value('scale')}`,
    `Seed: ${value('seed')}`,
    `Size: ${width}x${height}`,
    'Clip skip: 2',
    'ENSD: 31337',
  ];
  return `${texts.Description ?? ''}\nNegative prompt: ${value('uc')}\n${pairs.join(', ')}`;
}

async function readTexts(image: InputImage): Promise<{ info: string; items: Texts }> {
  if (image.format !== 'png') {
    const comment = readExifText(image.bytes);
    return comment
      ? { info: comment, items: { 'exif comment': comment } }
      : { info: '', items: {} };
  }
  const { parameters, ...items } = await readPngTexts(image.bytes);
  return { info: fromNovelAi(items, image) ?? parameters ?? '', items };
}

/**
 * Reads the texts of a PNG, JPEG or WebP picture given as base64. Blank text is a picture without any. Throws
 * `ApiError` 422 for what is no picture, `invalid-request` for broken files and for texts beyond the limits.
 */
export async function readPngInfo(text: string): Promise<PngInfo> {
  const { info, items } =
    text.trim() === '' ? { info: '', items: {} } : await readTexts(readImage(text));
  return { info, items, parameters: parseInfotext(info) };
}
