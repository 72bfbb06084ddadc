import { windows1252Character } from './windows-1252.ts';

/**
 * UTF-8 read as Windows-1252 (or Latin-1): "schÃ¶n", "itâ€™s". Sequences that form valid UTF-8 are decoded where
 * they can hardly be meant: any three or four byte sequence, a two byte one behind Â or Ã, and the other
 * two byte ones (Greek, Cyrillic, …) where they come in numbers.
 */
export function repairMojibake(text: string): string {
  let repaired = text;
  // Text can be garbled twice; each repair makes it shorter.
  for (let round = 0; round < 4 && SUSPECT.test(repaired); round++) {
    const next = repairOnce(repaired);
    if (next === repaired) break;
    repaired = next;
  }
  return repaired;
}

/** Windows-1252 character, or C1 control, to its byte. */
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
const SUSPECT = new RegExp(`${characterClass(0xc2, 0xf4)}${CONTINUATION}`);
const SEQUENCE = new RegExp(
  `${characterClass(0xf0, 0xf4)}${CONTINUATION}{3}|${characterClass(0xe0, 0xef)}${CONTINUATION}{2}` +
    `|${characterClass(0xc2, 0xdf)}${CONTINUATION}`,
  'g',
);
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** So many two byte sequences of other leads make a text in another script likely. */
const MANY = 3;

function repairOnce(text: string): string {
  const twoByte = (text.match(SEQUENCE) ?? []).filter((sequence) => sequence.length === 2).length;
  return text.replace(SEQUENCE, (sequence) => {
    const isLikely = sequence.length > 2 || /^[ÂÃ]/.test(sequence) || twoByte >= MANY;
    return isLikely ? decodeSequence(sequence) : sequence;
  });
}

function decodeSequence(sequence: string): string {
  try {
    return strictUtf8.decode(Uint8Array.from(sequence, (character) => BYTES.get(character) ?? 0));
  } catch {
    return sequence;
  }
}
