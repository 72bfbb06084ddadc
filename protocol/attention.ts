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

/**
 * Parts as they come. Weights are kept by runs of equal ones: a bracket weighs everything from its place to the end,
 * so that deep nesting costs what differs, not what there is. Weights that have grown to infinity or shrunk to
 * nothing are one run.
 */
class PartList {
  readonly #texts: string[] = [];
  #runs = 0;
  /** First part of each run, ascending. */
  #starts = new Uint32Array(64);
  #weights = new Float64Array(64);

  get length(): number {
    return this.#texts.length;
  }

  add(text: string, weight: number): void {
    this.#pushRun(this.#texts.length, weight);
    this.#texts.push(text);
  }

  multiplyFrom(start: number, factor: number): void {
    if (start >= this.#texts.length) return;
    let first = this.#runs - 1;
    while (first > 0 && (this.#starts[first] ?? 0) > start) first--;
    if ((this.#starts[first] ?? 0) < start) this.#splitRun(first++, start);

    const starts = this.#starts;
    const weights = this.#weights;
    let end = first;
    let last = first > 0 ? (weights[first - 1] ?? Number.NaN) : Number.NaN;
    for (let run = first; run < this.#runs; run++) {
      const weight = (weights[run] ?? 1) * factor;
      if (weight === last) continue;
      weights[end] = weight;
      starts[end] = starts[run] ?? 0;
      end++;
      last = weight;
    }
    this.#runs = end;
  }

  joined(): WeightedText[] {
    if (this.#texts.length === 0) return [{ text: '', weight: 1 }];
    return Array.from({ length: this.#runs }, (_, run) => {
      const end = run + 1 < this.#runs ? this.#starts[run + 1] : undefined;
      return {
        text: this.#texts.slice(this.#starts[run], end).join(''),
        weight: this.#weights[run] ?? 1,
      };
    });
  }

  #pushRun(start: number, weight: number): void {
    if (this.#runs > 0 && this.#weights[this.#runs - 1] === weight) return;
    this.#grow();
    this.#starts[this.#runs] = start;
    this.#weights[this.#runs] = weight;
    this.#runs++;
  }

  /** Makes two runs of one, the second from part `start` on. */
  #splitRun(run: number, start: number): void {
    this.#grow();
    this.#starts.copyWithin(run + 1, run, this.#runs);
    this.#weights.copyWithin(run + 1, run, this.#runs);
    this.#starts[run + 1] = start;
    this.#runs++;
  }

  #grow(): void {
    if (this.#runs < this.#starts.length) return;
    const starts = new Uint32Array(this.#starts.length * 2);
    const weights = new Float64Array(this.#weights.length * 2);
    starts.set(this.#starts);
    weights.set(this.#weights);
    this.#starts = starts;
    this.#weights = weights;
  }
}
