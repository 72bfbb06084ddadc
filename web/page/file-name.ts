const MAX_WORDS = 6;
const MAX_WORDS_LENGTH = 40;

/** The first words of a prompt as a file name carries them: letters, digits and dashes of any script. */
export function firstWords(prompt: string): string {
  const words = prompt.normalize('NFC').match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  let joined = '';
  for (const word of words.slice(0, MAX_WORDS)) {
    const next = joined === '' ? word : `${joined}-${word}`;
    if (next.length > MAX_WORDS_LENGTH) break;
    joined = next;
  }
  return joined || (words[0]?.slice(0, MAX_WORDS_LENGTH) ?? 'picture');
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
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
  return `${time}_${firstWords(prompt)}_${seed}.${format}`;
}
