/**
 * Python's idea of white space, word characters and floats, which A1111's prompt rules lean on and
 * JavaScript's `\s`, `\b` and `Number` differ from (U+FEFF, U+001C to U+001F, U+0085, Unicode digits).
 */

/** The inside of a character class: what Python's `\s` and `str.isspace` accept. */
export const SPACE =
  '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const SPACE_CHARACTER = new RegExp(`[${SPACE}]`);
const WORD_CHARACTER = /[\p{L}\p{N}_]/u;
const DECIMAL_DIGIT = /\p{Nd}/gu;
const PYTHON_FLOAT =
  /^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$/i;
const PYTHON_NAMED_FLOAT = /^([+-]?)(?:(inf|infinity)|nan)$/i;

function isSpace(character: string | undefined): boolean {
  return character !== undefined && SPACE_CHARACTER.test(character);
}

/** Index of the first character of `text` at or after `from` that is no white space. */
export function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && isSpace(text[at])) at++;
  return at;
}

/** Index just behind the last character of `text` before `end` that is no white space. */
export function skipSpaceBack(text: string, end: number): number {
  let at = end;
  while (at > 0 && isSpace(text[at - 1])) at--;
  return at;
}

/** Python's `str.strip()`. */
export function strip(text: string): string {
  const end = skipSpaceBack(text, text.length);
  return text.slice(Math.min(skipSpace(text, 0), end), end);
}

/** True where `text[start, end)` stands between word boundaries, as Python's `\b` on both sides of a word. */
export function isWholeWord(text: string, start: number, end: number): boolean {
  return !isWordBefore(text, start) && !isWordAt(text, end);
}

function isWordAt(text: string, at: number): boolean {
  const code = text.codePointAt(at);
  return code !== undefined && WORD_CHARACTER.test(String.fromCodePoint(code));
}

function isWordBefore(text: string, at: number): boolean {
  if (at <= 0) return false;
  const low = text.charCodeAt(at - 1);
  const isLowSurrogate = low >= 0xdc00 && low <= 0xdfff;
  return isWordAt(text, isLowSurrogate && at >= 2 ? at - 2 : at - 1);
}

/** Python's `float(text)`: white space around it, Unicode digits and `_` are allowed; null where Python raises. */
export function parsePythonFloat(text: string): number | null {
  const plain = strip(text).replace(DECIMAL_DIGIT, (digit) => String(decimalValue(digit)));
  const named = PYTHON_NAMED_FLOAT.exec(plain);
  if (named) {
    if (named[2] === undefined) return Number.NaN;
    return named[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  return PYTHON_FLOAT.test(plain) ? Number(plain.replaceAll('_', '')) : null;
}

/** Python's `int(text)` for base ten; null where Python raises. */
export function parsePythonInt(text: string): number | null {
  const plain = strip(text).replace(DECIMAL_DIGIT, (digit) => String(decimalValue(digit)));
  return /^[+-]?\d+(?:_\d+)*$/.test(plain) ? Number(plain.replaceAll('_', '')) : null;
}

/**
 * The value of a Unicode decimal digit. Every script's ten digits are one run of code points in order; runs
 * may touch, but always in multiples of ten, so the distance to the start of the run gives the value.
 */
function decimalValue(digit: string): number {
  const code = digit.codePointAt(0) ?? 0;
  if (code < 0x80) return code - 0x30;
  let start = code;
  while (/\p{Nd}/u.test(String.fromCodePoint(start - 1))) start--;
  return (code - start) % 10;
}
