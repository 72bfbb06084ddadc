const MAX_WORDS = 6;
const MAX_CHARACTERS = 40;

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/**
 * The prompt's first words as file names carry them: letters, digits and hyphens of any script,
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
  // By code points, so that no pair is cut in half.
  return text === '' ? [...(words[0] ?? '')].slice(0, MAX_CHARACTERS).join('') : text;
}

/** `HHMMSS_<first words>_<seed>.<format>` in local time, as the bridge names the files it saves. */
export function pictureFileName({
  prompt,
  seed,
  format,
  date,
}: {
  prompt: string;
  seed: number;
  format: string;
  date: Date;
}): string {
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join('');
  const stem = [time, firstWords(prompt), String(seed)].filter((part) => part !== '').join('_');
  return `${stem}.${format}`;
}
