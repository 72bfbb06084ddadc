import { windows1252Character } from './windows-1252.ts';

/** Windows-1252 character, or C1 control, to its byte from 0x80 on. */
const BYTES: ReadonlyMap<string, number> = new Map(
  Array.from({ length: 128 }, (_, i) => i + 128).flatMap((byte): [string, number][] => [
    [String.fromCharCode(byte), byte],
    [windows1252Character(byte), byte],
  ]),
);

function characterClass(first: number, last: number): string {
  const members = [...BYTES].filter(([, byte]) => byte >= first && byte <= last);
  return `[${members.map(([character]) => `\\u${hex(character)}`).join('')}]`;
}

function hex(character: string): string {
  return character.charCodeAt(0).toString(16).padStart(4, '0');
}

const CONTINUATION = characterClass(0x80, 0xbf);
const SEQUENCE = new RegExp(
  `${characterClass(0xf0, 0xf4)}${CONTINUATION}{3}|${characterClass(0xe0, 0xef)}${CONTINUATION}{2}` +
    `|${characterClass(0xc2, 0xdf)}${CONTINUATION}`,
  'g',
);
const BEYOND_ASCII = /[\u0080-\uffff]/;
// What may well follow an accented letter at a word's end: closing quotes, dashes, dots, a trademark sign. ftfy
// leaves a garbled trademark sign alone as well.
const PLAUSIBLE = /^(?:[^ÂÃ][™®…”’›»°·•–—\u00a0\u00ad]+|Â[…”’›»]|Ã[™®…”’›»]|â„¢)$/;
/** How garbled sequences begin in text that is sound elsewhere. */
const TELLING = /^(?:[ÂÃ]|â[€„‚œ˜†‡ˆ]|ðŸ|ï»|ï¸)/;
const ROUNDS = 4;

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Repairs UTF-8 that was read as Windows-1252 or Latin-1: "schÃ¶n", "itâ€™s". Where all of a line's characters beyond
 * ASCII make valid UTF-8 they are decoded together, elsewhere only sequences that begin like the common ones; and
 * nothing that may be meant, such as the end of "“café”…".
 */
export function repairMojibake(line: string): string {
  let repaired = line;
  // Text can be garbled more than once; each repair makes it shorter.
  for (let round = 0; round < ROUNDS; round++) {
    const next = repairOnce(repaired);
    if (next === repaired) break;
    repaired = next;
  }
  return repaired;
}

function repairOnce(line: string): string {
  const sequences = line.match(SEQUENCE);
  if (!sequences?.some((sequence) => !PLAUSIBLE.test(sequence))) return line;
  if (!BEYOND_ASCII.test(line.replace(SEQUENCE, ''))) {
    const decoded = line.replace(SEQUENCE, (sequence) => decodeSequence(sequence) ?? '\ufffd');
    if (!decoded.includes('\ufffd')) return decoded;
  }
  return line.replace(SEQUENCE, (sequence) =>
    TELLING.test(sequence) && !PLAUSIBLE.test(sequence)
      ? (decodeSequence(sequence) ?? sequence)
      : sequence,
  );
}

function decodeSequence(sequence: string): string | null {
  try {
    return strictUtf8.decode(Uint8Array.from(sequence, (character) => BYTES.get(character) ?? 0));
  } catch {
    return null;
  }
}
