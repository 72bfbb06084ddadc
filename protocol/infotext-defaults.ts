import { parsePythonInt } from './python-text.ts';
import { compareVersions, parseVersion, type VersionKey } from './python-version.ts';

/** A parsed infotext: label to value. */
export type InfotextValues = Readonly<
  Record<string, string | number | boolean | readonly string[]>
>;
type InfotextValue = InfotextValues[string];

function version(text: string): VersionKey {
  const key = parseVersion(text);
  if (!key) throw new Error(`${text} is no version`);
  return key;
}

const OLD_PROMPT_EDITING = version('1.6.0');
const ROUNDED_ALPHAS = version('v1.7.0-225');
const REFINER_BY_SIGMA = version('1.8.0');
const HIRES_STYLES = version('1.8.0-139');

function readVersion(value: InfotextValue | undefined): VersionKey | null {
  return typeof value === 'string' ? parseVersion(value) : null;
}

/** Whether the version that wrote an infotext kept styles in the hires prompts too; unknown versions do. */
export function hiresPromptsHaveStyles(value: InfotextValue | undefined): boolean {
  const key = readVersion(value);
  return key === null || compareVersions(key, HIRES_STYLES) > 0;
}

/** What an absent label means; sizes, emphasis and the like, which depend on others, are done apart. */
const DEFAULTS: readonly (readonly [string, InfotextValue])[] = [
  ['Hires sampler', 'Use same sampler'],
  ['Hires schedule type', 'Use same scheduler'],
  ['Hires checkpoint', 'Use same checkpoint'],
  ['Hires prompt', ''],
  ['Hires negative prompt', ''],
  ['Mask mode', 'Inpaint masked'],
  ['Masked content', 'original'],
  ['Inpaint area', 'Whole picture'],
  ['Masked area padding', 32],
  ['RNG', 'GPU'],
  ['Schedule type', 'Automatic'],
  ['Schedule max sigma', 0],
  ['Schedule min sigma', 0],
  ['Schedule rho', 0],
  ['VAE Encoder', 'Full'],
  ['VAE Decoder', 'Full'],
  ['FP8 weight', 'Disable'],
];

export interface RestoreOptions {
  readonly autoBackcompat?: boolean;
  readonly useOldHiresSize?: boolean;
  /** Whether either prompt weighs any of its text. */
  readonly usesEmphasis: boolean;
}

/** Fills in what an infotext leaves out, and turns on the old ways that its version implies. */
export function restoreOldOptions(
  values: Map<string, InfotextValue>,
  { autoBackcompat = true, useOldHiresSize = false, usesEmphasis }: RestoreOptions,
): void {
  const setDefault = (key: string, value: InfotextValue): void => {
    if (!values.has(key)) values.set(key, value);
  };
  setDefault('Clip skip', '1');
  const hypernet = values.get('Hypernet');
  if (hypernet !== undefined) {
    const strength = values.get('Hypernet strength') ?? '1.0';
    values.set('Prompt', `${values.get('Prompt') ?? ''}<hypernet:${hypernet}:${strength}>`);
  }
  if (!values.has('Hires resize-1')) {
    values.set('Hires resize-1', 0);
    values.set('Hires resize-2', 0);
  }
  for (const [key, value] of DEFAULTS) setDefault(key, value);
  restoreFirstPassSize(values, useOldHiresSize);
  if (values.get('FP8 weight') !== 'Disable') setDefault('Cache FP16 weight for LoRA', false);
  if (usesEmphasis) setDefault('Emphasis', 'Original');
  setDefault('Refiner switch by sampling steps', false);
  if (autoBackcompat) turnOnOldWays(values);
}

/** Old infotexts gave the final size and "First pass size"; now `Size` is the first pass's. */
function restoreFirstPassSize(values: Map<string, InfotextValue>, useOldHiresSize: boolean): void {
  const read = (key: string): number | null => parsePythonInt(String(values.get(key) ?? ''));
  if (useOldHiresSize) {
    const width = read('Hires resize-1');
    const height = read('Hires resize-2');
    if (width && height) {
      values.set('Size-1', width);
      values.set('Size-2', height);
      return;
    }
  }
  const firstWidth = read('First pass size-1');
  const firstHeight = read('First pass size-2');
  if (firstWidth === null || firstHeight === null) return;
  const width = read('Size-1') ?? 512;
  const height = read('Size-2') ?? 512;
  const size =
    firstWidth === 0 || firstHeight === 0
      ? oldFirstPassSize(width, height)
      : { width: firstWidth, height: firstHeight };
  values.set('Size-1', size.width);
  values.set('Size-2', size.height);
  values.set('Hires resize-1', width);
  values.set('Hires resize-2', height);
}

/**
 * The first pass's size in pixels that "First pass size: 0x0" stood for: about 512 × 512 pixels in the same shape, in
 * steps of 64; smaller pictures keep their size.
 */
export function oldFirstPassSize(width: number, height: number): { width: number; height: number } {
  const scale = Math.sqrt((512 * 512) / (width * height));
  if (!(scale < 1)) return { width, height };
  const shrink = (side: number): number => Math.ceil((scale * side) / 64) * 64;
  return { width: shrink(width), height: shrink(height) };
}

function turnOnOldWays(values: Map<string, InfotextValue>): void {
  const key = readVersion(values.get('Version'));
  if (key === null) return;
  const isBefore = (other: VersionKey): boolean => compareVersions(key, other) < 0;
  if (isBefore(OLD_PROMPT_EDITING)) {
    if (String(values.get('Prompt')).includes('['))
      values.set('Old prompt editing timelines', true);
    const sampler = values.get('Sampler');
    if (sampler === 'DDIM' || sampler === 'PLMS') values.set('Pad conds v0', true);
  }
  if (isBefore(ROUNDED_ALPHAS)) values.set('Downcast alphas_cumprod', true);
  if (isBefore(REFINER_BY_SIGMA) && values.get('Refiner')) {
    values.set('Refiner switch by sampling steps', true);
  }
}
