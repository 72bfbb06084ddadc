import { usesAttention } from './attention.ts';
import {
  hiresPromptsHaveStyles,
  type InfotextValues,
  restoreOldOptions,
} from './infotext-defaults.ts';
import { formatValue, type InfotextInput, quoteValue, unquoteValue } from './infotext-values.ts';
import { skipSpace, strip } from './python-text.ts';
import { extractStyles, type PromptStyle } from './styles.ts';

const NEGATIVE_PROMPT = 'Negative prompt:';
/** A last line counts as parameters from so many pairs on. */
const MIN_PAIRS = 3;
const KEY_CHARACTER = /[\p{L}\p{N}_ \-/]/u;
const KEY_START = /[\p{L}\p{N}_]/u;
const IMAGE_SIZE = /^(\p{Nd}+)x(\p{Nd}+)\n?$/u;

/** What A1111 knows of one picture when it writes the infotext; absent and null fields are left out. */
export interface InfotextFields {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly steps: number;
  readonly sampler: string;
  /** The schedule's label, `Automatic` or `Karras`. */
  readonly scheduler?: string | null;
  readonly guidanceScale: number;
  readonly imageGuidanceScale?: number | null;
  readonly seed: number;
  /** Name of the face restoration model. */
  readonly faceRestoration?: string | null;
  /** The requested size in pixels, of the first pass. */
  readonly width: number;
  readonly height: number;
  readonly modelHash?: string | null;
  readonly model?: string | null;
  readonly vaeHash?: string | null;
  readonly vae?: string | null;
  readonly subseed?: number;
  /** 0 leaves the variation seed out. */
  readonly subseedStrength?: number;
  readonly seedResizeFromWidth?: number;
  readonly seedResizeFromHeight?: number;
  /** Given for img2img and hires alone. */
  readonly denoisingStrength?: number | null;
  readonly conditionalMaskWeight?: number | null;
  readonly clipSkip?: number;
  /** Given where the sampler uses it. */
  readonly etaNoiseSeedDelta?: number | null;
  readonly tokenMergingRatio?: number;
  readonly tokenMergingRatioHires?: number;
  readonly initImageHash?: string | null;
  readonly randnSource?: 'GPU' | 'CPU' | 'NV';
  readonly isTiling?: boolean;
  /** Further keys in order; one that is among the fixed ones takes that one's place. */
  readonly extraParams?: Readonly<Record<string, InfotextInput>>;
  readonly version?: string | null;
  readonly user?: string | null;
}

/**
 * Writes A1111's "parameters" text: the prompt, the negative prompt where there is one, and a line of
 * `Key: value` pairs in A1111's order. Whole numbers of float-typed keys are written as Python does (`7.0`).
 */
export function formatInfotext(fields: InfotextFields): string {
  const { prompt, negativePrompt } = fields;
  const pairs = [...infotextEntries(fields)].flatMap(([key, value]) => {
    if (value === null) return [];
    const text = formatValue(key, value);
    return [text === key ? key : `${key}: ${quoteValue(text)}`];
  });
  const negative = negativePrompt === '' ? '' : `\n${NEGATIVE_PROMPT} ${negativePrompt}`;
  return strip(`${prompt}${negative}\n${pairs.join(', ')}`);
}

/** The pairs of an infotext in A1111's order, left-out ones as null. */
function infotextEntries(fields: InfotextFields): Map<string, InfotextInput> {
  const { subseedStrength = 0, clipSkip = 1, randnSource = 'GPU', extraParams = {} } = fields;
  const { seedResizeFromWidth = 0, seedResizeFromHeight = 0 } = fields;
  const hasVariation = subseedStrength !== 0;
  const hasSeedResize = seedResizeFromWidth > 0 && seedResizeFromHeight > 0;
  const entries: [string, InfotextInput][] = [
    ['Steps', fields.steps],
    ['Sampler', fields.sampler],
    ['Schedule type', fields.scheduler ?? null],
    ['CFG scale', fields.guidanceScale],
    ['Image CFG scale', fields.imageGuidanceScale ?? null],
    ['Seed', fields.seed],
    ['Face restoration', fields.faceRestoration ?? null],
    ['Size', `${fields.width}x${fields.height}`],
    ['Model hash', fields.modelHash ?? null],
    ['Model', fields.model ?? null],
    ['VAE hash', fields.vaeHash ?? null],
    ['VAE', fields.vae ?? null],
    ['Variation seed', hasVariation ? (fields.subseed ?? 0) : null],
    ['Variation seed strength', hasVariation ? subseedStrength : null],
    ['Seed resize from', hasSeedResize ? `${seedResizeFromWidth}x${seedResizeFromHeight}` : null],
    ['Denoising strength', fields.denoisingStrength ?? null],
    ['Conditional mask weight', fields.conditionalMaskWeight ?? null],
    ['Clip skip', clipSkip > 1 ? clipSkip : null],
    ['ENSD', fields.etaNoiseSeedDelta ?? null],
    ['Token merging ratio', fields.tokenMergingRatio || null],
    ['Token merging ratio hr', fields.tokenMergingRatioHires || null],
    ['Init image hash', fields.initImageHash ?? null],
    ['RNG', randnSource === 'GPU' ? null : randnSource],
    ['Tiling', fields.isTiling ? 'True' : null],
    ...Object.entries(extraParams),
    ['Version', fields.version ?? null],
    ['User', fields.user ?? null],
  ];
  return new Map(entries);
}

/** A1111's settings that change how an infotext is read. */
export interface ParseInfotextOptions {
  /** `auto_backcompat`: turns old options on for infotexts of old versions. Default true. */
  readonly autoBackcompat?: boolean;
  /** `infotext_skip_pasting`: keys left out of the result. */
  readonly skipKeys?: readonly string[];
  /** `use_old_hires_fix_width_height`. */
  readonly useOldHiresSize?: boolean;
  /** `infotext_styles`: what becomes of saved styles found in the prompts. */
  readonly styleMode?: 'Ignore' | 'Apply' | 'Discard' | 'Apply if any';
  readonly styles?: readonly PromptStyle[];
}

/**
 * Reads A1111's "parameters" text into its labels and values, as A1111 does when it is pasted: values are strings,
 * a size `512x768` under `Size` becomes `Size-1` and `Size-2`, the prompts are `Prompt` and `Negative prompt`, and
 * what an infotext leaves out is filled in with what it then means. Any text can be read; without a last line of
 * three or more pairs it is all prompt. Time is linear in the text.
 */
export function parseInfotext(text: string, options: ParseInfotextOptions = {}): InfotextValues {
  const { styleMode = 'Apply if any', styles = [], skipKeys = [] } = options;
  const lines = strip(text).split('\n');
  const lastLine = lines.pop() ?? '';
  const pairs = parsePairs(lastLine);
  if (pairs.length < MIN_PAIRS) lines.push(lastLine);
  let prompts = readPrompts(lines);

  const values = new Map<string, InfotextValues[string]>();
  if (pairs.length >= MIN_PAIRS) for (const pair of pairs) addPair(values, pair);
  if (styleMode !== 'Ignore') {
    const found = takeStyles(values, prompts, styles);
    if (found) {
      prompts = found;
      const isWanted =
        styleMode === 'Apply' || (styleMode === 'Apply if any' && found.names.length > 0);
      if (isWanted) values.set('Styles array', found.names);
    }
  }
  values.set('Prompt', prompts.prompt);
  values.set('Negative prompt', prompts.negativePrompt);
  const usesEmphasis = usesAttention(prompts.prompt) || usesAttention(prompts.negativePrompt);
  restoreOldOptions(values, { ...options, usesEmphasis });
  for (const key of skipKeys) values.delete(key);
  return Object.fromEntries(values);
}

interface Prompts {
  readonly prompt: string;
  readonly negativePrompt: string;
}

function readPrompts(lines: readonly string[]): Prompts {
  let isNegative = false;
  let prompt = '';
  let negativePrompt = '';
  for (const rawLine of lines) {
    let line = strip(rawLine);
    if (line.startsWith(NEGATIVE_PROMPT)) {
      isNegative = true;
      line = strip(line.slice(NEGATIVE_PROMPT.length));
    }
    // Blank lines at the start leave no trace: the line break comes only behind text.
    if (isNegative) negativePrompt += negativePrompt === '' ? line : `\n${line}`;
    else prompt += prompt === '' ? line : `\n${line}`;
  }
  return { prompt, negativePrompt };
}

type Pair = readonly [key: string, value: string];

/**
 * The `key: value` pairs of a line: a key of two or more letters, digits, blanks, dashes and slashes that starts with
 * a letter or digit; a value up to the next comma, or in double quotes up to a comma behind them.
 */
function parsePairs(line: string): Pair[] {
  const pairs: Pair[] = [];
  for (let at = 0; at < line.length; ) {
    const colon = line.indexOf(':', at);
    if (colon < 0) break;
    const key = keyBefore(line, at, colon);
    if (key === null) {
      at = colon + 1;
      continue;
    }
    const start = skipSpace(line, colon + 1);
    const comma = line.indexOf(',', start);
    const end = quotedEnd(line, start) ?? (comma < 0 ? line.length : comma);
    pairs.push([key, line.slice(start, end)]);
    at = end + 1;
  }
  return pairs;
}

function keyBefore(line: string, from: number, colon: number): string | null {
  let start = -1;
  let at = from;
  for (const character of line.slice(from, colon)) {
    if (!KEY_CHARACTER.test(character)) start = -1;
    else if (start < 0 && KEY_START.test(character)) start = at;
    at += character.length;
  }
  if (start < 0) return null;
  const key = line.slice(start, colon);
  return [...key.slice(0, 4)].length >= 2 ? key : null;
}

/** End of a value in quotes that starts here and has a comma or nothing behind it. */
function quotedEnd(line: string, start: number): number | null {
  if (line[start] !== '"') return null;
  let at = start + 1;
  while (at < line.length && line[at] !== '"') at += line[at] === '\\' ? 2 : 1;
  const isClosed = at < line.length && at > start + 1;
  const isLast = at + 1 === line.length || line[at + 1] === ',';
  return isClosed && isLast ? at + 1 : null;
}

function addPair(values: Map<string, InfotextValues[string]>, [key, quoted]: Pair): void {
  if (quoted === '') return;
  const value = unquoteValue(quoted);
  const size = IMAGE_SIZE.exec(value);
  if (size) {
    values.set(`${key}-1`, size[1] ?? '');
    values.set(`${key}-2`, size[2] ?? '');
  } else {
    values.set(key, value);
  }
}

/** The prompts without styles, where the hires prompts were made with the same ones; else null. */
function takeStyles(
  values: Map<string, InfotextValues[string]>,
  { prompt, negativePrompt }: Prompts,
  styles: readonly PromptStyle[],
): (Prompts & { readonly names: readonly string[] }) | null {
  const found = extractStyles(prompt, negativePrompt, styles);
  const hiresPrompt = values.get('Hires prompt');
  const hiresNegativePrompt = values.get('Hires negative prompt');
  const hasHiresPrompts = hiresPrompt !== undefined || hiresNegativePrompt !== undefined;
  if (!hasHiresPrompts || !hiresPromptsHaveStyles(values.get('Version'))) return found;
  const hires = extractStyles(
    String(hiresPrompt ?? prompt),
    String(hiresNegativePrompt ?? negativePrompt),
    styles,
  );
  const isSame =
    hires.names.length === found.names.length &&
    hires.names.every((name, index) => name === found.names[index]);
  if (!isSame) return null;
  values.set('Hires prompt', hires.prompt === found.prompt ? '' : hires.prompt);
  values.set(
    'Hires negative prompt',
    hires.negativePrompt === found.negativePrompt ? '' : hires.negativePrompt,
  );
  return found;
}
