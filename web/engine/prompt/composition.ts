import type { WeightedText } from '../../../protocol/attention.ts';
import {
  isWholeWord,
  parsePythonFloat,
  skipSpace,
  skipSpaceBack,
} from '../../../protocol/python-text.ts';

const AND = 'AND';
// A colon and a number at the very end of a part.
const NUMBER = /^[-+]?(?:\p{Nd}+\.?|\p{Nd}*\.\p{Nd}+)$/u;

/**
 * Cuts a prompt at the word AND into the parts that are denoised apart and summed by weight. A part's weight is
 * a colon and a number at its end (`a photo :0.7`), 1 without one; it needs no AND, so "at 12:30" weighs 30.
 * Blanks before the weight and at the end of a part are dropped, blanks at its start kept, as A1111 does.
 */
export function splitComposition(prompt: string): WeightedText[] {
  return splitAtAnd(prompt).map(readWeight);
}

function splitAtAnd(prompt: string): string[] {
  const parts: string[] = [];
  let done = 0;
  for (let at = prompt.indexOf(AND); at >= 0; at = prompt.indexOf(AND, at + 1)) {
    if (at < done || !isWholeWord(prompt, at, at + AND.length)) continue;
    parts.push(prompt.slice(done, at));
    done = at + AND.length;
  }
  parts.push(prompt.slice(done));
  return parts;
}

function readWeight(part: string): WeightedText {
  const text = part.slice(0, skipSpaceBack(part, part.length));
  const colon = text.lastIndexOf(':');
  if (colon >= 0) {
    const number = text.slice(skipSpace(text, colon + 1));
    const weight = NUMBER.test(number) ? parsePythonFloat(number) : null;
    if (weight !== null) return { text: text.slice(0, skipSpaceBack(text, colon)), weight };
  }
  return { text, weight: 1 };
}

/** The parts of several prompts with every distinct text once. */
export interface Composition {
  readonly texts: readonly string[];
  /** For each prompt its parts: an index into `texts`, and the weight. */
  readonly parts: readonly (readonly { readonly index: number; readonly weight: number }[])[];
}

/** Splits prompts at AND and numbers the distinct texts in order of appearance. */
export function composePrompts(prompts: readonly string[]): Composition {
  const indexes = new Map<string, number>();
  const parts = prompts.map((prompt) =>
    splitComposition(prompt).map(({ text, weight }) => {
      const index = indexes.get(text) ?? indexes.size;
      indexes.set(text, index);
      return { index, weight };
    }),
  );
  return { texts: [...indexes.keys()], parts };
}
