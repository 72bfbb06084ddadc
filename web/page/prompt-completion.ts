/** What the page knows the names of. */
export interface PromptNames {
  readonly loras: readonly string[];
  readonly embeddings: readonly string[];
}

/** What can stand in the place of the text from `start` to the caret. */
export interface Completion {
  readonly start: number;
  readonly choices: readonly string[];
}

const MAX_CHOICES = 8;
/** So many characters of a plain word before textual inversions are offered. */
const MIN_WORD = 2;

/**
 * Offers names for what stands before the caret: LoRAs after `<lora:` (or any part of it), textual inversions
 * for a word. Names that begin with what is typed come first. Null where there is nothing to offer.
 */
export function completePrompt(
  text: string,
  caret: number,
  { loras, embeddings }: PromptNames,
): Completion | null {
  const before = text.slice(0, caret);
  const tag = /<(?:l(?:o(?:r(?:a(?::([^<>:\n]*))?)?)?)?)?$/i.exec(before);
  if (tag) {
    const choices = matching(loras, tag[1] ?? '').map((name) => `<lora:${name}:1>`);
    return choices.length > 0 ? { start: tag.index, choices } : null;
  }
  const word = /[^\s,()[\]{}<>:|]+$/.exec(before);
  if (!word || word[0].length < MIN_WORD) return null;
  const choices = matching(embeddings, word[0]).filter((name) => name !== word[0]);
  return choices.length > 0 ? { start: word.index, choices } : null;
}

/** All names there are, for a caret before which nothing is typed: LoRAs first, then textual inversions. */
export function offerNames(text: string, caret: number, names: PromptNames): Completion | null {
  const typed = completePrompt(text, caret, names);
  if (typed) return typed;
  const sorted = (list: readonly string[]) => [...list].sort((a, b) => a.localeCompare(b));
  const choices = [
    ...sorted(names.loras).map((name) => `<lora:${name}:1>`),
    ...sorted(names.embeddings),
  ];
  return choices.length > 0 ? { start: caret, choices } : null;
}

function matching(names: readonly string[], typed: string): string[] {
  const wanted = typed.toLowerCase();
  const found = names.filter((name) => name.toLowerCase().includes(wanted));
  const rank = (name: string) => (name.toLowerCase().startsWith(wanted) ? 0 : 1);
  return found.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b)).slice(0, MAX_CHOICES);
}
