import { z } from 'zod';
import { readExifText } from '../../protocol/exif-text.ts';
import { formatInfotext, parseInfotext } from '../../protocol/infotext.ts';
import { readPngChunks } from '../../protocol/png-chunks.ts';
import { readPngText } from '../../protocol/png-text.ts';
import { findSampler, resolveSamplerAndScheduler } from '../../protocol/sampler-names.ts';
import { controlsOfInfotext, withoutHash } from './control-infotext.ts';
import type { FormValues } from './form.ts';

/** What a picture's file says of how it was made. */
export interface PictureText {
  /** A1111's "parameters" text, or the same made of NovelAI's; null where the file has neither. */
  readonly infotext: string | null;
  /** All other texts of the file by keyword: a ComfyUI workflow, a title. */
  readonly others: ReadonlyArray<readonly [keyword: string, text: string]>;
}

/** First bytes of the formats that are read. */
const PNG_START = [0x89, 0x50, 0x4e, 0x47];
const JPEG_START = [0xff, 0xd8, 0xff];
const RIFF_START = [0x52, 0x49, 0x46, 0x46];

function startsWith(bytes: Uint8Array, start: readonly number[]): boolean {
  return start.every((byte, index) => bytes[index] === byte);
}

/**
 * Reads the texts of a PNG, JPEG or WebP file; null where it is none of these. Throws
 * `invalid-request` for a file that is damaged.
 */
export async function readPictureText(bytes: Uint8Array): Promise<PictureText | null> {
  if (startsWith(bytes, PNG_START)) {
    const texts = await readPngText(bytes);
    const infotext = texts.parameters ?? novelAiInfotext(texts, bytes);
    const others = Object.entries(texts).filter(([keyword]) => keyword !== 'parameters');
    return { infotext, others };
  }
  if (startsWith(bytes, JPEG_START) || startsWith(bytes, RIFF_START)) {
    return { infotext: readExifText(bytes), others: [] };
  }
  return null;
}

/** NovelAI's `Comment`, as far as it is read; its numbers are written with and without quotes. */
const novelAiComment = z.object({
  steps: z.coerce.number().int().min(1),
  seed: z.coerce.number().int(),
  scale: z.coerce.number(),
  sampler: z.string().catch(''),
  uc: z.string().catch(''),
});

function novelAiInfotext(texts: Readonly<Record<string, string>>, png: Uint8Array): string | null {
  if (texts.Software !== 'NovelAI' || texts.Comment === undefined) return null;
  let json: unknown;
  try {
    json = JSON.parse(texts.Comment);
  } catch {
    return null;
  }
  const parsed = novelAiComment.safeParse(json);
  const header = readPngChunks(png)[0]?.data;
  if (!parsed.success || !header) return null;
  const { steps, seed, scale, sampler, uc } = parsed.data;
  const view = new DataView(header.buffer, header.byteOffset);
  return formatInfotext({
    prompt: texts.Description ?? '',
    negativePrompt: uc,
    steps,
    sampler: findSampler(sampler) ?? 'Euler a',
    guidanceScale: scale,
    seed,
    width: view.getUint32(0),
    height: view.getUint32(4),
    clipSkip: 2,
    etaNoiseSeedDelta: 31337,
  });
}

/** The form that an infotext describes: only what it says, and only what this version knows. */
export function formOfInfotext(infotext: string): Partial<FormValues> {
  const values = parseInfotext(infotext);
  const text = (label: string): string | undefined => {
    const value = values[label];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
  };
  const form: { -readonly [Name in keyof FormValues]?: FormValues[Name] } = {
    prompt: text('Prompt') ?? '',
    negativePrompt: text('Negative prompt') ?? '',
  };
  // A text without settings is read with defaults that it does not mean.
  if (values.Steps === undefined) return form;
  const numbers = [
    ['steps', 'Steps'],
    ['guidanceScale', 'CFG scale'],
    ['seed', 'Seed'],
    ['width', 'Size-1'],
    ['height', 'Size-2'],
    ['denoisingStrength', 'Denoising strength'],
    ['subseed', 'Variation seed'],
    ['subseedStrength', 'Variation seed strength'],
    ['clipSkip', 'Clip skip'],
  ] as const;
  for (const [field, label] of numbers) {
    const value = text(label);
    if (value !== undefined && Number.isFinite(Number(value))) form[field] = value.trim();
  }
  const sampler = text('Sampler');
  if (sampler !== undefined) {
    const resolved = resolveSamplerAndScheduler(sampler, text('Schedule type'));
    if (!resolved.isSamplerSubstituted) form.sampler = resolved.sampler;
    if (!resolved.isSchedulerSubstituted) form.scheduler = resolved.scheduler;
  }
  Object.assign(form, hiresOf(text), refinerOf(text), controlsOfInfotext(text));
  form.vae = vaeOf(text('VAE'));
  const model = text('Model');
  if (model !== undefined) form.checkpoint = model;
  return form;
}

type ReadText = (label: string) => string | undefined;

/** Infotexts name a VAE's file, and none where the checkpoint's own is used. */
function vaeOf(file: string | undefined): string {
  return file?.replace(/\.(?:safetensors|ckpt|pt)$/, '') ?? '';
}

function refinerOf(text: ReadText): Partial<FormValues> {
  const title = text('Refiner');
  if (title === undefined) return { refiner: 'off' };
  const switchAt = text('Refiner switch at');
  return {
    refiner: 'on',
    refinerCheckpoint: withoutHash(title),
    ...(switchAt === undefined ? {} : { refinerSwitchAt: switchAt }),
  };
}

/** The second pass of an infotext; a size instead of a scale is left to the user. */
function hiresOf(text: ReadText): Partial<FormValues> {
  if (text('Hires upscaler') === undefined) return { hires: 'off' };
  const hires: { -readonly [Name in keyof FormValues]?: FormValues[Name] } = {
    hires: 'on',
    hiresUpscaler: text('Hires upscaler') ?? 'Latent',
    hiresSteps: text('Hires steps') ?? '0',
    hiresPrompt: text('Hires prompt') ?? '',
    hiresNegativePrompt: text('Hires negative prompt') ?? '',
  };
  const [scale, denoising] = [text('Hires upscale'), text('Denoising strength')];
  if (scale !== undefined) hires.hiresScale = scale;
  if (denoising !== undefined) hires.hiresDenoising = denoising;
  const sampler = findSampler(text('Hires sampler') ?? '');
  if (sampler) hires.hiresSampler = sampler;
  return hires;
}
