/** A prompt with its selection, as a text area has it. */
export interface PromptSelection {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Step of a weight in `(words:1.1)` and in `<lora:name:0.8>`, A1111's defaults. */
const ATTENTION_STEP = 0.1;
const EXTRA_NETWORK_STEP = 0.05;

const WORD_BREAK = /[\s.,\\/!?%^*;:{}=`~()<>[\]|]/;

/** The innermost pair of brackets around the selection, as offsets of the brackets themselves. */
function enclosing(
  { text, start, end }: PromptSelection,
  open: string,
  close: string,
): { open: number; close: number } | null {
  let depth = 0;
  let from = -1;
  for (let i = start - 1; i >= 0; i--) {
    if (text[i - 1] === '\\') continue;
    if (text[i] === close) depth += 1;
    else if (text[i] === open) {
      if (depth === 0) {
        from = i;
        break;
      }
      depth -= 1;
    }
  }
  if (from < 0) return null;
  depth = 0;
  for (let i = end; i < text.length; i++) {
    if (text[i - 1] === '\\') continue;
    if (text[i] === open) depth += 1;
    else if (text[i] === close) {
      if (depth === 0) return { open: from, close: i };
      depth -= 1;
    }
  }
  return null;
}

/** The word under the caret; the selection itself where there is one, without outer blanks. */
function wordAt({ text, start, end }: PromptSelection): { start: number; end: number } | null {
  let from = start;
  let to = end;
  if (start === end) {
    while (from > 0 && !WORD_BREAK.test(text[from - 1] ?? '')) from -= 1;
    while (to < text.length && !WORD_BREAK.test(text[to] ?? '')) to += 1;
  } else {
    while (from < to && /\s/.test(text[from] ?? '')) from += 1;
    while (to > from && /\s/.test(text[to - 1] ?? '')) to -= 1;
  }
  return from < to ? { start: from, end: to } : null;
}

function rounded(weight: number): number {
  return Math.round(weight * 1e10) / 1e10;
}

const WEIGHT_AT_END = /:\s*(-?\d+(?:\.\d*)?|-?\.\d+)\s*$/;

/**
 * Raises (`direction` 1) or lowers (-1) the weight of the selected words, of the bracket that the
 * caret stands in, or of the word under the caret. A weight of 1 needs no brackets and loses them.
 * Returns null where there is nothing to weigh. The same words stay selected, so that it repeats.
 */
export function changeWeight(
  selection: PromptSelection,
  direction: 1 | -1,
): PromptSelection | null {
  const { text } = selection;
  const network = enclosing(selection, '<', '>');
  if (network) return changeNetworkWeight(selection, network, direction);
  const bracket = enclosing(selection, '(', ')');
  if (bracket) {
    const content = text.slice(bracket.open + 1, bracket.close);
    const weight = WEIGHT_AT_END.exec(content);
    const words = weight ? content.slice(0, weight.index) : content;
    // Plain brackets count 1.1 each.
    const present = weight ? Number(weight[1]) : 1.1;
    return withWeight(
      text,
      { from: bracket.open, to: bracket.close + 1, words },
      rounded(present + direction * ATTENTION_STEP),
    );
  }
  const word = wordAt(selection);
  if (!word) return null;
  return withWeight(
    text,
    { from: word.start, to: word.end, words: text.slice(word.start, word.end) },
    rounded(1 + direction * ATTENTION_STEP),
  );
}

function withWeight(
  text: string,
  { from, to, words }: { from: number; to: number; words: string },
  weight: number,
): PromptSelection {
  const isPlain = weight === 1;
  const replacement = isPlain ? words : `(${words}:${weight})`;
  const start = from + (isPlain ? 0 : 1);
  return {
    text: text.slice(0, from) + replacement + text.slice(to),
    start,
    end: start + words.length,
  };
}

function changeNetworkWeight(
  { text, start, end }: PromptSelection,
  { open, close }: { open: number; close: number },
  direction: 1 | -1,
): PromptSelection | null {
  const content = text.slice(open + 1, close);
  const weight = WEIGHT_AT_END.exec(content);
  if (!weight) return null;
  const changed = rounded(Number(weight[1]) + direction * EXTRA_NETWORK_STEP);
  const head = text.slice(0, open + 1 + weight.index);
  const result = `${head}:${changed}${text.slice(close)}`;
  const last = head.length + 1 + String(changed).length;
  return { text: result, start: Math.min(start, last), end: Math.min(end, last) };
}
