import { strip } from '../../../protocol/python-text.ts';

/** Text, several nodes in a row, or a place where the text depends on the step. */
export type ScheduleNode =
  | string
  | ScheduleNodes
  | {
      readonly type: 'scheduled';
      readonly before: readonly ScheduleNode[];
      readonly after: readonly ScheduleNode[];
      /** The number as it was written. */
      readonly when: string;
    }
  | { readonly type: 'alternate'; readonly options: readonly (readonly ScheduleNode[])[] };

export interface ScheduleNodes {
  readonly type: 'sequence';
  readonly nodes: readonly ScheduleNode[];
}

export interface ScheduleTree {
  readonly nodes: readonly ScheduleNode[];
  /** Every `when` in the tree. */
  readonly whens: readonly string[];
  readonly hasAlternates: boolean;
}

type Separator = ':' | '|';

/** An open bracket and what stands in it so far, cut at its separators. */
interface Frame {
  readonly bracket: '(' | '[';
  readonly segments: ScheduleNode[][];
  readonly separators: Separator[];
}

const SPECIAL = new Set('\\[]():|');
const NUMBER = /^[+-]?(?:\d+e[+-]?\d+|(?:\d+\.\d*|\.\d+)(?:e[+-]?\d+)?|\d+)$/i;

/**
 * Reads a prompt into a tree, in one pass and in linear time. The grammar allows brackets and colons that fit
 * nowhere as text, but only outside of every bracket: a bracket that turns out not to fit makes those around it
 * text too. Null where nothing can make sense of the prompt: a `|` outside of `[…]`, or a backslash with nothing
 * to escape.
 */
export function parseScheduleTree(prompt: string): ScheduleTree | null {
  const builder = new TreeBuilder();
  for (let at = 0; at < prompt.length; ) {
    const end = textEnd(prompt, at);
    if (end > at) builder.text(prompt.slice(at, end));
    at = end;
    const character = prompt[at];
    if (character === undefined) break;
    at++;
    if (character === '\\' || !builder.special(character)) return null;
  }
  return builder.finish();
}

/** End of the plain text from `at` on: escapes belong to it, except before a line feed. */
function textEnd(prompt: string, at: number): number {
  let end = at;
  while (end < prompt.length) {
    const character = prompt[end] ?? '';
    if (character === '\\') {
      const escaped = prompt[end + 1];
      if (escaped === undefined || escaped === '\n') break;
      end += 2;
    } else if (SPECIAL.has(character)) {
      break;
    } else {
      end++;
    }
  }
  return end;
}

class TreeBuilder {
  readonly #root: ScheduleNode[] = [];
  readonly #open: Frame[] = [];
  readonly #whens: string[] = [];
  #hasAlternates = false;

  text(text: string): void {
    this.#segment().push(text);
  }

  /** Takes a bracket, colon or bar; false where the prompt can't be read. */
  special(character: string): boolean {
    if (character === '(' || character === '[') {
      this.#open.push({ bracket: character, segments: [[]], separators: [] });
      return true;
    }
    if (character === ':' || character === '|') return this.#separate(character);
    return this.#close(character === ')' ? '(' : '[', character);
  }

  finish(): ScheduleTree | null {
    if (!this.#giveUpBrackets()) return null;
    return { nodes: this.#root, whens: this.#whens, hasAlternates: this.#hasAlternates };
  }

  #segment(): ScheduleNode[] {
    return this.#open.at(-1)?.segments.at(-1) ?? this.#root;
  }

  #separate(separator: Separator): boolean {
    const frame = this.#open.at(-1);
    if (frame) {
      frame.separators.push(separator);
      frame.segments.push([]);
      return true;
    }
    this.#root.push(separator);
    return separator === ':';
  }

  #close(bracket: Frame['bracket'], character: string): boolean {
    const frame = this.#open.at(-1);
    const node = frame?.bracket === bracket ? this.#closed(frame) : null;
    if (node) {
      this.#open.pop();
      this.#segment().push(node);
      return true;
    }
    if (!this.#giveUpBrackets()) return false;
    this.#root.push(character);
    return true;
  }

  /** What a bracket means that closes now; null where it means nothing. */
  #closed({ bracket, segments, separators }: Frame): ScheduleNode | null {
    const isText = separators.length === 0;
    if (bracket === '(') {
      const isWeighted = separators.length === 1 && separators[0] === ':';
      return isText || isWeighted ? bracketed('(', segments, ')') : null;
    }
    if (isText) return bracketed('[', segments, ']');
    if (separators.every((separator) => separator === '|')) {
      this.#hasAlternates = true;
      return { type: 'alternate', options: segments };
    }
    const when = separators.includes('|') || separators.length > 2 ? null : readWhen(segments);
    if (when === null) return null;
    this.#whens.push(when);
    const [first = [], second = []] = segments;
    return separators.length === 1
      ? { type: 'scheduled', before: [], after: first, when }
      : { type: 'scheduled', before: first, after: second, when };
  }

  /** Makes text of every open bracket; false where a bar would become text. */
  #giveUpBrackets(): boolean {
    for (const { bracket, segments, separators } of this.#open) {
      if (separators.includes('|')) return false;
      this.#root.push(bracket);
      for (const [index, segment] of segments.entries()) {
        if (index > 0) this.#root.push(':');
        for (const node of segment) this.#root.push(node);
      }
    }
    this.#open.length = 0;
    return true;
  }
}

/** Segments as text in their brackets. They are wrapped, not copied: nesting can be as deep as the prompt is long. */
function bracketed(open: string, segments: readonly ScheduleNode[][], close: string): ScheduleNode {
  const nodes: ScheduleNode[] = [open];
  for (const [index, segment] of segments.entries()) {
    if (index > 0) nodes.push(':');
    nodes.push({ type: 'sequence', nodes: segment });
  }
  nodes.push(close);
  return { type: 'sequence', nodes };
}

/** The number that stands alone in the last segment. */
function readWhen(segments: readonly (readonly ScheduleNode[])[]): string | null {
  const last = segments.at(-1);
  const text = last?.length === 1 ? last[0] : undefined;
  if (typeof text !== 'string') return null;
  const number = strip(text);
  return NUMBER.test(number) ? number : null;
}
