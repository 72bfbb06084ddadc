const MAX_WORDS = 6;
const MAX_CHARACTERS = 40;

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/** `YYYYMMDD` in local time: the folder of a day's pictures. */
export function dayFolder(date: Date): string {
  return `${date.getFullYear()}${twoDigits(date.getMonth() + 1)}${twoDigits(date.getDate())}`;
}

/**
 * The prompt's first words, safe in a file name anywhere: letters, digits and hyphens of any script,
 * joined by underscores. Weights and `<lora:…>` tags are no words. Empty where nothing is left.
 */
export function firstWords(prompt: string): string {
  const words = prompt
    .slice(0, 2_000)
    .normalize('NFC')
    .replace(/<[^<>]*>/g, ' ')
    .replace(/:\s*[\d.]+(?=[)\]])/g, ' ')
    .split(/[^\p{L}\p{N}\p{M}-]+/u)
    .map((word) => word.replace(/^-+|-+$/g, ''))
    .filter((word) => word !== '');
  let text = '';
  for (const word of words.slice(0, MAX_WORDS)) {
    const longer = text === '' ? word : `${text}_${word}`;
    if ([...longer].length > MAX_CHARACTERS) break;
    text = longer;
  }
  // One word longer than everything: its beginning. By code points, so that no pair is cut in half.
  return text === '' ? [...(words[0] ?? '')].slice(0, MAX_CHARACTERS).join('') : text;
}

/** `HHMMSS_<first words>_<seed>` in local time, without folder, number and extension. */
export function pictureStem(date: Date, prompt: string, seed: number): string {
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join('');
  return [time, firstWords(prompt), String(seed)].filter((part) => part !== '').join('_');
}

/** A picture's whole file name, `HHMMSS_<first words>_<seed>.<format>`: what the page offers and the bridge saves. */
export function pictureFileName({
  prompt,
  seed,
  format,
  date,
}: {
  readonly prompt: string;
  readonly seed: number;
  readonly format: string;
  readonly date: Date;
}): string {
  return `${pictureStem(date, prompt, seed)}.${format}`;
}
