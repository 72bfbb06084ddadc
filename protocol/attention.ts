import { GenerationError } from './errors.ts';
import { isWholeWord, parsePythonFloat, SPACE, skipSpace, skipSpaceBack } from './python-text.ts';

/** A stretch of prompt text with its weight; 1 is plain. */
export interface WeightedText {
  readonly text: string;
  readonly weight: number;
}

const ROUND_BRACKET_WEIGHT = 1.1;
const SQUARE_BRACKET_WEIGHT = 1 / 1.1;
const BREAK = 'BREAK';
const BREAK_WEIGHT = -1;

/** True for the mark that `parseAttention` leaves where a chunk of tokens ends early. */
export function isBreak({ text, weight }: WeightedText): boolean {
  return text === BREAK && weight === BREAK_WEIGHT;
}

// One token of the grammar: an escape, a bracket, a closing weight, a run of plain text, or a colon.
const TOKEN = new RegExp(
  `\\\\[()[\\]\\\\]?|[()[\\]]|:[${SPACE}]*([+-]?[.\\p{Nd}]+)[${SPACE}]*\\)|[^\\\\()[\\]:]+|:`,
  'gu',
);

/**
 * A1111's attention grammar: `(text)` is 1.1, `[text]` 1/1.1, `(text:1.3)` its number, brackets multiply,
 * `\(` is a bracket as text, and the word BREAK becomes a part of its own (see `isBreak`). Unbalanced
 * brackets weigh everything behind them. Neighbours of equal weight are joined; an empty prompt is one
 * empty part.
 *
 * Throws `invalid-request` for a weight that is no number, such as `(a:1.2.3)`.
 */
export function parseAttention(prompt: string): WeightedText[] {
  const parts = new PartList();
  const roundBrackets: number[] = [];
  const squareBrackets: number[] = [];

  for (const match of prompt.matchAll(TOKEN)) {
    const token = match[0];
    const weight = match[1];
    if (token.startsWith('\\')) {
      parts.add(token.slice(1), 1);
    } else if (token === '(') {
      roundBrackets.push(parts.length);
    } else if (token === '[') {
      squareBrackets.push(parts.length);
    } else if (weight !== undefined && roundBrackets.length > 0) {
      parts.multiplyFrom(roundBrackets.pop() ?? 0, attentionWeight(weight));
    } else if (token === ')' && roundBrackets.length > 0) {
      parts.multiplyFrom(roundBrackets.pop() ?? 0, ROUND_BRACKET_WEIGHT);
    } else if (token === ']' && squareBrackets.length > 0) {
      parts.multiplyFrom(squareBrackets.pop() ?? 0, SQUARE_BRACKET_WEIGHT);
    } else {
      addPlainText(parts, token);
    }
  }

  for (const start of roundBrackets) parts.multiplyFrom(start, ROUND_BRACKET_WEIGHT);
  for (const start of squareBrackets) parts.multiplyFrom(start, SQUARE_BRACKET_WEIGHT);
  return parts.joined();
}

/** True where a prompt weighs any of its text, or would, were its numbers numbers. */
export function usesAttention(prompt: string): boolean {
  try {
    return parseAttention(prompt).some(({ text, weight }) => weight !== 1 && text !== BREAK);
  } catch {
    return true;
  }
}

function attentionWeight(text: string): number {
  const weight = parsePythonFloat(text);
  if (weight !== null) return weight;
  throw new GenerationError(
    'invalid-request',
    'A weight in the prompt is not a number: it has no digit or more than one point. Write weights like (word:1.2).',
  );
}

/** Cuts text at the word BREAK, which takes the blanks around it along. */
function addPlainText(parts: PartList, text: string): void {
  let done = 0;
  for (let at = text.indexOf(BREAK); at >= 0; at = text.indexOf(BREAK, at + 1)) {
    const end = at + BREAK.length;
    if (at < done || !isWholeWord(text, at, end)) continue;
    parts.add(text.slice(done, Math.max(done, skipSpaceBack(text, at))), 1);
    parts.add(BREAK, BREAK_WEIGHT);
    done = skipSpace(text, end);
  }
  parts.add(text.slice(done), 1);
}

/** Parts as they come, with their weights in one growing array: multiplying ranges is the hot loop. */
class PartList {
  readonly #texts: string[] = [];
  #weights = new Float64Array(64);

  get length(): number {
    return this.#texts.length;
  }

  add(text: string, weight: number): void {
    if (this.#texts.length === this.#weights.length) {
      const grown = new Float64Array(this.#weights.length * 2);
      grown.set(this.#weights);
      this.#weights = grown;
    }
    this.#weights[this.#texts.length] = weight;
    this.#texts.push(text);
  }

  multiplyFrom(start: number, factor: number): void {
    const weights = this.#weights.subarray(start, this.#texts.length);
    for (let i = 0; i < weights.length; i++) weights[i] = (weights[i] ?? 1) * factor;
  }

  joined(): WeightedText[] {
    if (this.#texts.length === 0) return [{ text: '', weight: 1 }];
    const result: WeightedText[] = [];
    let first = 0;
    for (let i = 1; i <= this.#texts.length; i++) {
      const weight = this.#weights[first] ?? 1;
      if (i < this.#texts.length && this.#weights[i] === weight) continue;
      result.push({ text: this.#texts.slice(first, i).join(''), weight });
      first = i;
    }
    return result;
  }
}
