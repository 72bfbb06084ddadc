import { z } from 'zod';

/**
 * Field schemas that accept what FastAPI 0.94 with pydantic 1 accepts, and a little more: digits in text, floats for
 * integers (cut, not rounded), `null` and `""` as "use the default". What they refuse carries pydantic's own words.
 * `z.coerce` is of no use here: it turns null, "" and [] into 0 and true into 1.
 */

/** pydantic's text and type for a value that cannot be read. */
const PROBLEMS = {
  integer: ['value is not a valid integer', 'type_error.integer'],
  float: ['value is not a valid float', 'type_error.float'],
  boolean: ['value could not be parsed to a boolean', 'type_error.bool'],
  text: ['str type expected', 'type_error.str'],
  list: ['value is not a valid list', 'type_error.list'],
  dict: ['value is not a valid dict', 'type_error.dict'],
  none: ['none is not an allowed value', 'type_error.none.not_allowed'],
} as const;
type Problem = keyof typeof PROBLEMS;

/** Marks a value that cannot be read; a coercion returns it in place of a value. */
class Unreadable {
  readonly problem: Problem;
  constructor(problem: Problem) {
    this.problem = problem;
  }
}

type Coercion = (value: unknown) => unknown;

interface Nullability {
  /** `null` is refused, as A1111 does for the fields that its API adds. */
  readonly isStrict?: boolean;
}

interface Range {
  readonly min?: number;
  /** The limit itself is refused. */
  readonly above?: number;
  readonly max?: number;
}

function lenient<Inner extends z.ZodType>(
  coerce: Coercion,
  inner: Inner,
  { isStrict = false }: Nullability = {},
) {
  return z.preprocess((value, context) => {
    const result = value === null && isStrict ? new Unreadable('none') : coerce(value);
    if (!(result instanceof Unreadable)) return result;
    const [message, type] = PROBLEMS[result.problem];
    context.issues.push({ code: 'custom', message, params: { type }, input: value });
    return z.NEVER;
  }, inner);
}

function isAbsent(value: unknown): boolean {
  return value === null || value === undefined || (typeof value === 'string' && !value.trim());
}

/** A finite number out of a number, a boolean or a decimal in text; undefined for anything else. */
export function readNumber(value: unknown): number | undefined {
  if (typeof value === 'boolean') return Number(value);
  const isDecimal =
    typeof value === 'string' && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value.trim());
  const number = typeof value === 'number' ? value : isDecimal ? Number(value) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

/** A boolean out of what pydantic 1 takes for one; undefined for anything else. */
export function readBoolean(value: unknown): boolean | undefined {
  const text = typeof value === 'string' ? value.trim().toLowerCase() : String(value);
  if (['object', 'function'].includes(typeof value)) return undefined;
  if (['1', 'on', 't', 'true', 'y', 'yes'].includes(text)) return true;
  if (['0', 'off', 'f', 'false', 'n', 'no'].includes(text)) return false;
  return undefined;
}

function numberOr(fallback: unknown, problem: Problem, finish: (n: number) => number): Coercion {
  return (value) => {
    if (isAbsent(value)) return fallback;
    const number = readNumber(value);
    return number === undefined ? new Unreadable(problem) : finish(number);
  };
}

function limited<S extends z.ZodNumber>(schema: S, { min, above, max }: Range): S {
  let result = schema;
  if (min !== undefined) result = result.min(min) as S;
  if (above !== undefined) result = result.gt(above) as S;
  if (max !== undefined) result = result.max(max) as S;
  return result;
}

/** A whole number; fractions are cut towards zero. */
export function integer(fallback: number, range: Range & Nullability = {}) {
  const inner = limited(z.int(), range);
  return lenient(numberOr(fallback, 'integer', Math.trunc), inner, range).default(fallback);
}

/** A whole number or nothing. */
export function integerOrNull(range: Range = {}) {
  const inner = limited(z.int(), range).nullable();
  return lenient(numberOr(null, 'integer', Math.trunc), inner).default(null);
}

/** A finite number. */
export function float(fallback: number, range: Range & Nullability = {}) {
  const inner = limited(z.number(), range);
  return lenient(
    numberOr(fallback, 'float', (n) => n),
    inner,
    range,
  ).default(fallback);
}

/** A finite number or nothing. */
export function floatOrNull(range: Range = {}) {
  const inner = limited(z.number(), range).nullable();
  return lenient(
    numberOr(null, 'float', (n) => n),
    inner,
  ).default(null);
}

/** A1111's seed: -1, null, "" and text that is no number all mean "draw one"; here that is -1. */
export function seed() {
  const coerce: Coercion = (value) => {
    if (isAbsent(value)) return -1;
    const number = readNumber(value);
    if (number === undefined) return typeof value === 'string' ? -1 : new Unreadable('integer');
    return Math.max(-1, Math.trunc(number));
  };
  // Room is left above the seed for the pictures of a batch, which count up from it.
  const inner = z
    .int()
    .min(-1)
    .max(2 ** 53 - 2 ** 16);
  return lenient(coerce, inner).default(-1);
}

function booleanOr(fallback: boolean | null): Coercion {
  return (value) =>
    isAbsent(value) ? fallback : (readBoolean(value) ?? new Unreadable('boolean'));
}

/** A boolean, also spelled as pydantic 1 reads it (`"yes"`, `"off"`, 1, 0). */
export function boolean(fallback: boolean, nullability: Nullability = {}) {
  return lenient(booleanOr(fallback), z.boolean(), nullability).default(fallback);
}

/** A boolean or nothing. */
export function booleanOrNull() {
  return lenient(booleanOr(null), z.boolean().nullable()).default(null);
}

/** Text out of text, a number or a boolean (pydantic 1 writes the last as Python does). */
export function readText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined;
}

function textOr(fallback: string | null | undefined): Coercion {
  return (value) =>
    value === null || value === undefined ? fallback : (readText(value) ?? new Unreadable('text'));
}

interface Length extends Nullability {
  readonly maxLength?: number;
}

/** Names, paths and the like are never longer; prompts and pictures say their own limit. */
const MAX_NAME_LENGTH = 4096;

/** Text; `null` is the default. */
export function text(fallback: string, { maxLength = MAX_NAME_LENGTH, ...rest }: Length = {}) {
  return lenient(textOr(fallback), z.string().max(maxLength), rest).default(fallback);
}

/** Text that has to be there. */
export function requiredText({ maxLength }: { maxLength: number }) {
  return lenient(textOr(undefined), z.string().max(maxLength), { isStrict: true });
}

/** Text or nothing. */
export function textOrNull({ maxLength = MAX_NAME_LENGTH }: Length = {}) {
  return lenient(textOr(null), z.string().max(maxLength).nullable()).default(null);
}

/** A name or nothing: blank text means nothing too. */
export function nameOrNull() {
  const read = textOr(null);
  const coerce: Coercion = (value) => (isAbsent(value) ? null : read(value));
  return lenient(coerce, z.string().max(MAX_NAME_LENGTH).nullable()).default(null);
}

/** A list of texts or nothing; `null` and blank entries are dropped. */
export function textListOrNull({ maxItems, maxLength }: { maxItems: number; maxLength: number }) {
  const coerce: Coercion = (value) => {
    if (value === null || value === undefined) return null;
    if (!Array.isArray(value)) return new Unreadable('list');
    return value.filter((entry) => !isAbsent(entry)).map((entry) => readText(entry) ?? entry);
  };
  const inner = z.array(z.string().max(maxLength)).max(maxItems).nullable();
  return lenient(coerce, inner).default(null);
}

/** A list of anything. */
export function list(nullability: Nullability = {}) {
  const coerce: Coercion = (value) =>
    value === null ? [] : Array.isArray(value) ? value : new Unreadable('list');
  return lenient(coerce, z.array(z.unknown()).max(1000), nullability).default([]);
}

/** True for a plain JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** As Python's `dict()` reads it: an object, or an empty list. */
function recordOr(fallback: Record<string, unknown> | null): Coercion {
  return (value) => {
    if (value === null) return fallback;
    if (Array.isArray(value) && value.length === 0) return {};
    return isRecord(value) ? value : new Unreadable('dict');
  };
}

/** An object of anything. */
export function record(nullability: Nullability = {}) {
  const inner = z.record(z.string(), z.unknown());
  return lenient(recordOr({}), inner, nullability).default({});
}

/** An object of anything, or nothing. */
export function recordOrNull() {
  const inner = z.record(z.string(), z.unknown()).nullable();
  return lenient(recordOr(null), inner).default(null);
}
