import type { z } from 'zod';
import { readExifText, writeExifText } from '../../protocol/exif-text.ts';
import { type GenerationParams, generationParams } from '../../protocol/generation.ts';
import { writePngText } from '../../protocol/png-text.ts';
import { readPngTexts } from '../picture-text.ts';
import type { BridgeServices } from '../services.ts';
import { listUpscalers } from './catalog-routes.ts';
import { ApiError } from './errors.ts';
import { outputFormatOf, qualityOf } from './file-options.ts';
import { type InputImage, readImage } from './image-input.ts';
import { readOptions } from './options.ts';
import type { extrasSingleImageRequest } from './schemas.ts';
import type { A1111Settings } from './settings.ts';

export type ExtrasRequest = Omit<z.output<typeof extrasSingleImageRequest>, 'image'>;

export interface ExtrasContext {
  readonly services: BridgeServices;
  readonly settings: A1111Settings;
  readonly client: string;
  readonly signal: AbortSignal;
}

export interface ExtrasResult {
  /** A1111's note on what was done, for a page. */
  readonly html: string;
  /** Base64 of whole files, in the order of the request. */
  readonly images: readonly string[];
}

/** Keyword of the text that says what was done to a picture. */
const POSTPROCESSING = 'postprocessing';

function isNone(name: string): boolean {
  return name === '' || name === 'None';
}

/** Throws for upscalers that are not there and for faces, which nothing restores. */
async function checkExtras(request: ExtrasRequest, services: BridgeServices): Promise<void> {
  const known = (await listUpscalers(services.models)).map(({ name }) => name);
  for (const name of [request.upscaler_1, request.upscaler_2]) {
    if (!isNone(name) && !known.includes(name)) {
      throw new ApiError(422, `could not find upscaler named ${name.slice(0, 200)}`);
    }
  }
  if (request.gfpgan_visibility > 0 || request.codeformer_visibility > 0) {
    throw new ApiError(501, 'Easel has no face restoration; leave both visibilities at 0.');
  }
}

function toParams(
  request: ExtrasRequest,
  image: InputImage,
  format: Pick<GenerationParams, 'outputFormat' | 'quality' | 'isLossless'>,
): GenerationParams {
  const isToSize = request.resize_mode === 1;
  return generationParams.parse({
    mode: 'upscale',
    initImages: [image.bytes.toString('base64')],
    ...format,
    upscale: {
      upscaler: request.upscaler_1,
      secondUpscaler: isNone(request.upscaler_2) ? null : request.upscaler_2,
      secondVisibility: request.extras_upscaler_2_visibility,
      scale: request.upscaling_resize,
      width: isToSize ? request.upscaling_resize_w : 0,
      height: isToSize ? request.upscaling_resize_h : 0,
      isCropped: request.upscaling_crop,
    },
  });
}

/** The result with the source's texts and the note in it. */
async function withTexts(
  result: Uint8Array,
  source: InputImage,
  format: GenerationParams['outputFormat'],
  note: string,
): Promise<Uint8Array> {
  const texts: Record<string, string> = {};
  if (source.format === 'png') Object.assign(texts, await readPngTexts(source.bytes));
  else {
    const parameters = readExifText(source.bytes);
    if (parameters !== null) texts.parameters = parameters;
  }
  if (format === 'png') return writePngText(result, { ...texts, [POSTPROCESSING]: note });
  return texts.parameters === undefined ? result : writeExifText(result, texts.parameters);
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Quotes a value as infotexts do where it holds what separates them. */
function quoted(value: unknown): string {
  const text = String(value);
  return /[,\n:]/.test(text) ? JSON.stringify(text) : text;
}

/**
 * Enlarges pictures in a tab, one after the other, as jobs of the queue. With the upscaler `None` nothing
 * is to be done and the pictures come back as they were. Throws `ApiError` for what is refused.
 */
export async function runExtras(
  images: readonly string[],
  request: ExtrasRequest,
  { services, settings, client, signal }: ExtrasContext,
): Promise<ExtrasResult> {
  const sources = images.map(readImage);
  await checkExtras(request, services);
  if (isNone(request.upscaler_1)) {
    return { html: '<p></p>', images: sources.map(({ bytes }) => bytes.toString('base64')) };
  }
  const { options } = await readOptions(services, settings.optionDefaults);
  const format = outputFormatOf(options);
  const results: string[] = [];
  let note = '';
  for (const source of sources) {
    const params = toParams(request, source, { outputFormat: format, ...qualityOf(options) });
    const result = await services.jobs.submit(
      { params, client, key: null, saveImages: false },
      { signal },
    );
    const [picture] = result.images;
    if (!picture) throw new ApiError(500, 'The job was interrupted before its picture was made.');
    note = Object.entries(result.summary.extraParams)
      .map(([key, value]) => `${key}: ${quoted(value)}`)
      .join(', ');
    const file = await withTexts(Buffer.from(picture.data, 'base64'), source, format, note);
    results.push(Buffer.from(file).toString('base64'));
  }
  return { html: `<p>${escapeHtml(note)}</p>`, images: results };
}
