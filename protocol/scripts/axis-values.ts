import { GenerationError } from '../errors.ts';
import { formatPythonFloat } from '../infotext-values.ts';
import { MAX_CELLS } from './grid-plan.ts';

/** A value of an axis, as its cells are made with it. */
export type AxisValue = number | string | readonly string[];

export type AxisKind = 'integer' | 'float' | 'text' | 'permutations';

function refuse(text: string): GenerationError {
  return new GenerationError('invalid-request', text);
}

function tooMany(): GenerationError {
  return refuse(`X/Y/Z plot: more than ${MAX_CELLS} values; ask for fewer.`);
}

/** Length of a quoted field from its opening quote on, and what it holds. */
function readQuoted(text: string, from: number): { value: string; end: number } {
  let value = '';
  let at = from + 1;
  for (; at < text.length; at++) {
    if (text[at] !== '"') value += text[at];
    else if (text[at + 1] === '"') {
      value += '"';
      at += 1;
    } else return { value, end: at + 1 };
  }
  return { value, end: at };
}

/**
 * The fields of comma-separated text as Python's `csv.reader` reads them, lines one after the other: a field that starts
 * with a quote goes on to the next single quote, `""` in it is one quote; quotes elsewhere are letters. Fields are trimmed.
 */
export function readCsvFields(text: string): string[] {
  const fields: string[] = [];
  for (let at = 0; at < text.length; ) {
    let field = '';
    if (text[at] === '"') {
      const quoted = readQuoted(text, at);
      field = quoted.value;
      at = quoted.end;
    } else if (text[at] === '\n' || text[at] === '\r') {
      at += 1;
      continue;
    }
    while (at < text.length && !',\r\n'.includes(text[at] as string)) {
      field += text[at];
      at += 1;
    }
    fields.push(field.trim());
    const isComma = text[at] === ',';
    at += 1;
    // A comma at the end of a line has one more, empty field behind it.
    if (isComma && (at >= text.length || text[at] === '\n' || text[at] === '\r')) fields.push('');
  }
  return fields;
}

/** The other way round, as Python's `csv.writer` does. */
export function writeCsvFields(fields: readonly string[]): string {
  return fields
    .map((field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field))
    .join(',');
}

const NUMBER = String.raw`([+-]?\s*\d+(?:\.\d*)?)`;
const RANGE = new RegExp(
  String.raw`^\s*${NUMBER}\s*-\s*${NUMBER}(?:\s*\(([+-]\d+(?:\.\d*)?)\s*\))?\s*$`,
);
const COUNTED = new RegExp(String.raw`^\s*${NUMBER}\s*-\s*${NUMBER}\s*\[(\d+)\s*\]\s*$`);

function toNumber(text: string | undefined): number {
  return Number((text ?? '').replace(/\s/g, ''));
}

/** `first`, `first + step`, … below `end`; numpy's `arange`. */
function stepped(first: number, end: number, step: number): number[] {
  if (step === 0) throw refuse('X/Y/Z plot: a range needs a step other than 0.');
  const count = Math.max(0, Math.ceil((end - first) / step));
  if (count > MAX_CELLS) throw tooMany();
  return Array.from({ length: count }, (_, index) => first + index * step);
}

/** `count` values from `first` to `last`; numpy's `linspace`. */
function spaced(first: number, last: number, count: number): number[] {
  if (count > MAX_CELLS) throw tooMany();
  return Array.from({ length: count }, (_, index) =>
    index > 0 && index === count - 1 ? last : first + (index * (last - first)) / (count - 1 || 1),
  );
}

/** The numbers that one entry stands for: `3`, `1-5`, `1-5 (+2)`, `10-5 (-3)`, `1-10 [5]`. */
function numbersOf(entry: string, isWhole: boolean): number[] {
  const range = RANGE.exec(entry);
  const counted = COUNTED.exec(entry);
  const hasFraction = isWhole && /\./.test(entry);
  if (range && !hasFraction) {
    const [first, last] = [toNumber(range[1]), toNumber(range[2])];
    const step = range[3] === undefined ? 1 : toNumber(range[3]);
    return stepped(first, last + (isWhole ? 1 : step), step);
  }
  if (counted && !hasFraction) {
    const values = spaced(toNumber(counted[1]), toNumber(counted[2]), toNumber(counted[3]));
    return isWhole ? values.map(Math.trunc) : values;
  }
  const number = entry.trim() === '' ? Number.NaN : Number(entry);
  if (Number.isFinite(number) && (!isWhole || Number.isInteger(number))) return [number];
  const kind = isWhole ? 'whole number' : 'number';
  throw refuse(`X/Y/Z plot: "${entry.slice(0, 60)}" is no ${kind} and no range.`);
}

/** Every order of the entries, the given one first. */
function permutations(entries: readonly string[]): string[][] {
  if (entries.length > 6) throw tooMany();
  if (entries.length === 0) return [[]];
  return entries.flatMap((entry, index) =>
    permutations(entries.toSpliced(index, 1)).map((rest) => [entry, ...rest]),
  );
}

/** An axis's values out of its entries, in A1111's grammar. Throws `invalid-request`, which names what cannot be read. */
export function readAxisValues(entries: readonly string[], kind: AxisKind): AxisValue[] {
  if (kind === 'permutations') return permutations(entries);
  if (kind === 'text') {
    if (entries.length > MAX_CELLS) throw tooMany();
    return [...entries];
  }
  const values: number[] = [];
  for (const entry of entries) {
    values.push(...numbersOf(entry, kind === 'integer'));
    if (values.length > MAX_CELLS) throw tooMany();
  }
  return values;
}

/** A value as A1111 prints it in a label: floats at eight decimals and with a point. */
export function formatAxisValue(value: AxisValue, kind: AxisKind): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'number') return value.join(', ');
  return kind === 'float' ? formatPythonFloat(Math.round(value * 1e8) / 1e8) : String(value);
}

/** A label that names the axis too. */
export function axisLabel(name: string, kind: AxisKind, value: AxisValue): string {
  return `${name}: ${formatAxisValue(value, kind)}`;
}

/** A label of a file's name without its folders. */
export function baseName(value: AxisValue): string {
  return String(value).split(/[\\/]/).at(-1) ?? '';
}

interface Prompts {
  readonly prompt: string;
  readonly negativePrompt: string;
}

/**
 * Prompt S/R: the first of an axis's values, wherever it stands in the prompts, replaced with another of them. Throws
 * `invalid-request` where it stands in neither.
 */
export function replaceInPrompts(
  { prompt, negativePrompt }: Prompts,
  value: AxisValue,
  all: readonly AxisValue[],
): Prompts {
  const wanted = String(all[0] ?? '');
  if (!prompt.includes(wanted) && !negativePrompt.includes(wanted)) {
    const text = wanted.slice(0, 200);
    throw refuse(`Prompt S/R did not find ${text} in prompt or negative prompt.`);
  }
  return {
    prompt: prompt.replaceAll(wanted, String(value)),
    negativePrompt: negativePrompt.replaceAll(wanted, String(value)),
  };
}
