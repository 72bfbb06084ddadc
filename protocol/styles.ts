import { strip } from './python-text.ts';

/** A saved style: text that is put around or behind a prompt. */
export interface PromptStyle {
  readonly name: string;
  /** May hold `{prompt}`; null where a row of the file was too short. */
  readonly prompt: string | null;
  readonly negativePrompt: string | null;
}

const PLACEHOLDER = '{prompt}';

/** Puts a prompt into a style at `{prompt}`, or the style behind the prompt with a comma. */
export function mergeStyle(style: string, prompt: string): string {
  if (style.includes(PLACEHOLDER)) return style.replaceAll(PLACEHOLDER, () => prompt);
  return [strip(prompt), strip(style)].filter((part) => part !== '').join(', ');
}

/** Applies style texts in order; each sees what the one before made. */
export function applyStyles(prompt: string, styles: readonly string[]): string {
  return styles.reduce((text, style) => mergeStyle(style, text), prompt);
}

/** Both prompts with the styles of these names; unknown names and missing texts change nothing. */
export function applyNamedStyles(
  prompts: { readonly prompt: string; readonly negativePrompt: string },
  names: readonly string[],
  styles: readonly PromptStyle[],
): { prompt: string; negativePrompt: string } {
  const known = new Map(styles.map((style) => [style.name, style]));
  const used = names.map((name) => known.get(name));
  return {
    prompt: applyStyles(
      prompts.prompt,
      used.map((style) => style?.prompt ?? ''),
    ),
    negativePrompt: applyStyles(
      prompts.negativePrompt,
      used.map((style) => style?.negativePrompt ?? ''),
    ),
  };
}

/**
 * Takes a style's text out of a prompt again: what stands around `{prompt}`, or the end. Null where the prompt
 * does not have it; an empty style is in every prompt. The prompt's own blanks at its ends go.
 */
export function removeStyle(style: string, prompt: string): string | null {
  const text = strip(prompt);
  const styleText = strip(style);
  const placeholder = styleText.indexOf(PLACEHOLDER);
  if (placeholder >= 0) {
    const before = styleText.slice(0, placeholder);
    const after = styleText.slice(placeholder + PLACEHOLDER.length);
    if (!text.startsWith(before) || !text.endsWith(after)) return null;
    // Like a slice with both ends given: where they overlap nothing is left.
    const end = text.length - after.length;
    return before.length > end ? '' : text.slice(before.length, end);
  }
  if (!text.endsWith(styleText)) return null;
  const rest = text.slice(0, text.length - styleText.length);
  return rest.endsWith(', ') ? rest.slice(0, -2) : rest;
}

/** Styles found in a pair of prompts, in the order in which they were applied, and what is left of the prompts. */
export interface ExtractedStyles {
  readonly names: readonly string[];
  readonly prompt: string;
  readonly negativePrompt: string;
}

/**
 * Finds the styles that a pair of prompts was made with: again and again the first style that both prompts have, and
 * that takes something away.
 */
export function extractStyles(
  prompt: string,
  negativePrompt: string,
  styles: readonly PromptStyle[],
): ExtractedStyles {
  const names: string[] = [];
  const candidates = styles.filter(
    (style) => (style.prompt ?? '') !== '' || (style.negativePrompt ?? '') !== '',
  );
  let rest = { prompt, negativePrompt };
  for (;;) {
    const found = candidates
      .filter(({ name }) => !names.includes(name))
      .flatMap((style) => {
        const left = removeStyle(style.prompt ?? '', rest.prompt);
        const leftNegative = removeStyle(style.negativePrompt ?? '', rest.negativePrompt);
        return left === null || leftNegative === null
          ? []
          : [{ name: style.name, prompt: left, negativePrompt: leftNegative }];
      })[0];
    if (!found) break;
    names.push(found.name);
    rest = found;
  }
  return { names: names.reverse(), prompt: rest.prompt, negativePrompt: rest.negativePrompt };
}
