import { en, type Strings } from './en.ts';

/** Every language that the page speaks; another one is a file beside `en.ts` and a line here. */
const LANGUAGES: Readonly<Record<string, Strings>> = { en };

/** The first language of the list that the page speaks, else English. */
export function pickLanguage(wanted: readonly string[]): { language: string; strings: Strings } {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split('-')[0] ?? '';
    const strings = LANGUAGES[language];
    if (strings) return { language, strings };
  }
  return { language: 'en', strings: en };
}

const picked = pickLanguage(globalThis.navigator?.languages ?? []);

/** The page's words in the language of the browser. */
export const t: Strings = picked.strings;
export const language: string = picked.language;
