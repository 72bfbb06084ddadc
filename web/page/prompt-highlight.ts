/** How a part of a prompt is read, as the box colours it. */
export type PromptPartKind =
  | 'plain'
  /** In round brackets, or with a weight above 1. */
  | 'stronger'
  /** In square brackets, or with a weight below 1. */
  | 'weaker'
  /** `<lora:name:1>`. */
  | 'network'
  /** `BREAK` and `AND`. */
  | 'keyword'
  /** A textual inversion. */
  | 'embedding'
  /** A bracket that nothing closes or opens. */
  | 'stray';

export interface PromptPart {
  readonly text: string;
  readonly kind: PromptPartKind;
}

const MAX_CHARACTERS = 10_000;

/**
 * A prompt in coloured parts whose texts together are the prompt. A very long one is left plain: colouring
 * must never hold up typing.
 */
export function highlightPrompt(prompt: string, embeddings: readonly string[] = []): PromptPart[] {
  if (prompt.length > MAX_CHARACTERS) return [{ text: prompt, kind: 'plain' }];
  const kinds: PromptPartKind[] = Array.from({ length: prompt.length }, () => 'plain');
  const fill = (from: number, to: number, kind: PromptPartKind) => kinds.fill(kind, from, to);
  colourBrackets(prompt, fill);
  for (const { index, 0: text } of prompt.matchAll(/\b(?:BREAK|AND)\b/g)) {
    fill(index, index + text.length, 'keyword');
  }
  for (const name of embeddings) {
    const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const pattern = new RegExp(`(?<![\\w-])${escaped}(?![\\w-])`, 'gi');
    for (const { index, 0: text } of prompt.matchAll(pattern)) {
      fill(index, index + text.length, 'embedding');
    }
  }
  for (const { index, 0: text } of prompt.matchAll(/<[^<>:\n]+:[^<>\n]+>/g)) {
    fill(index, index + text.length, 'network');
  }
  const parts: { text: string; kind: PromptPartKind }[] = [];
  for (const [place, kind] of kinds.entries()) {
    const last = parts.at(-1);
    if (last?.kind === kind) last.text += prompt.charAt(place);
    else parts.push({ text: prompt.charAt(place), kind });
  }
  return parts;
}

/** Inner brackets are coloured after those around them, so that theirs is the colour that is seen. */
function colourBrackets(
  prompt: string,
  fill: (from: number, to: number, kind: PromptPartKind) => void,
): void {
  const open: { bracket: string; place: number }[] = [];
  const closed: { from: number; to: number; kind: PromptPartKind }[] = [];
  const stray: number[] = [];
  for (let place = 0; place < prompt.length; place++) {
    const character = prompt.charAt(place);
    if (character === '\\') {
      place += 1;
    } else if (character === '(' || character === '[') {
      open.push({ bracket: character, place });
    } else if (character === ')' || character === ']') {
      const top = open.at(-1);
      if (top?.bracket !== (character === ')' ? '(' : '[')) {
        stray.push(place);
        continue;
      }
      open.pop();
      const content = prompt.slice(top.place + 1, place);
      closed.push({ from: top.place, to: place + 1, kind: kindOf(top.bracket, content) });
    }
  }
  for (const { from, to, kind } of closed.sort((a, b) => a.from - b.from)) fill(from, to, kind);
  for (const place of [...stray, ...open.map((entry) => entry.place)]) {
    fill(place, place + 1, 'stray');
  }
}

function kindOf(bracket: string, content: string): PromptPartKind {
  if (bracket === '[') return 'weaker';
  const weight = /:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*$/.exec(content)?.[1];
  return weight !== undefined && Number(weight) < 1 ? 'weaker' : 'stronger';
}
