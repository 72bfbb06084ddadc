import { ENTITIES, LEGACY_ENTITIES } from './html-entities.ts';
import { repairMojibake } from './mojibake.ts';
import { windows1252Character } from './windows-1252.ts';

const LIGATURES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    Ĳ: 'IJ',
    ĳ: 'ij',
    ŉ: 'ʼn',
    Ǆ: 'DŽ',
    ǅ: 'Dž',
    ǆ: 'dž',
    Ǉ: 'LJ',
    ǈ: 'Lj',
    ǉ: 'lj',
    Ǌ: 'NJ',
    ǋ: 'Nj',
    ǌ: 'nj',
    Ǳ: 'DZ',
    ǲ: 'Dz',
    ǳ: 'dz',
    ﬀ: 'ff',
    ﬁ: 'fi',
    ﬂ: 'fl',
    ﬃ: 'ffi',
    ﬄ: 'ffl',
    ﬅ: 'ſt',
    ﬆ: 'st',
  }),
);
const LIGATURE = new RegExp(`[${[...LIGATURES.keys()].join('')}]`, 'g');
const OTHER_WIDTH = /[\u3000\uff01-\uffef]/g;
const SINGLE_QUOTE = /[\u02bc\u2018-\u201b]/g;
const DOUBLE_QUOTE = /[\u201c-\u201f]/g;
const LINE_BREAK = /\r\n|[\r\u2028\u2029\x85]/g;
const LONE_SURROGATE = /\p{Surrogate}/gu;
const ESCAPE = '\\x1b';
const TERMINAL_ESCAPE = new RegExp(`${ESCAPE}\\[[\\d;]*[a-zA-Z]`, 'g');
const CONTROLS = '\\x00-\\x08\\x0b\\x0e-\\x1f\\x7f\\u206a-\\u206f\\ufeff\\ufff9-\\ufffc';
const CONTROL = new RegExp(`[${CONTROLS}]`, 'g');
const C1_CONTROL = /[\x80-\x9f]/g;

/**
 * Cleans a prompt as A1111's tokenizers do by running ftfy: curly quotes become straight, Latin ligatures, full-width
 * letters and half-width kana plain, line breaks `\n`; control characters, terminal escapes and byte order marks go;
 * HTML entities with a semicolon are decoded on lines (and behind lines) without a `<`; text is composed (NFC); and
 * UTF-8 that was read as Latin-1 or Windows-1252 is repaired.
 *
 * Not done: mojibake of other encodings (Windows-1250, -1251, Mac Roman, code page 437), bytes lost on the way, and
 * the entity names that came with HTML 5.
 */
export function cleanText(text: string): string {
  let cleaned = '';
  let decodeEntities = true;
  for (const line of text.split(/(?<=\n)/)) {
    if (line.includes('<')) decodeEntities = false;
    cleaned += cleanLine(line, decodeEntities);
  }
  return cleaned;
}

// Each round can only shorten what the next one sees; the bound is for text made to be decoded again and again.
const MAX_ROUNDS = 100;

function cleanLine(line: string, decodeEntities: boolean): string {
  let text = line;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const before = text;
    if (decodeEntities) text = decodeStrictEntities(text);
    text = repairMojibake(text);
    text = text
      .replace(C1_CONTROL, (control) => windows1252Character(control.charCodeAt(0)))
      .replace(LIGATURE, (ligature) => LIGATURES.get(ligature) ?? ligature)
      .replace(OTHER_WIDTH, (character) => character.normalize('NFKC'))
      .replace(DOUBLE_QUOTE, '"')
      .replace(SINGLE_QUOTE, "'")
      .replace(LINE_BREAK, '\n')
      .replace(LONE_SURROGATE, '\ufffd')
      .replace(TERMINAL_ESCAPE, '')
      .replace(CONTROL, '')
      .normalize('NFC');
    if (text === before) break;
  }
  return text;
}

/** Entities that end in a semicolon, and names in capitals (`&EACUTE;`), for text that may not be HTML at all. */
function decodeStrictEntities(text: string): string {
  return text.replace(/&(#?[0-9A-Za-z]{1,24});/g, (whole, name: string) => {
    if (name.startsWith('#')) return decodeReference(name) ?? whole;
    const known = ENTITIES.get(name);
    if (known !== undefined) return known;
    const lower = name.toLowerCase();
    return name === name.toUpperCase() ? (ENTITIES.get(lower)?.toUpperCase() ?? whole) : whole;
  });
}

/** Python's `html.unescape`: references with and without a semicolon, as browsers read them. */
export function unescapeHtml(text: string): string {
  return text.replace(
    /&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/g,
    (whole, body: string) => {
      const name = body.endsWith(';') ? body.slice(0, -1) : body;
      if (name.startsWith('#')) return decodeReference(name) ?? whole;
      const known = body.endsWith(';') ? ENTITIES.get(name) : undefined;
      if (known !== undefined) return known;
      const legacy = LEGACY_ENTITIES.find((entry) => body.startsWith(entry));
      return legacy === undefined
        ? whole
        : `${ENTITIES.get(legacy) ?? ''}${body.slice(legacy.length)}`;
    },
  );
}

/** A numeric reference, `#39` or `#x27`, as HTML reads it; null where it is none. */
function decodeReference(name: string): string | null {
  const isHex = /^#x/i.test(name);
  const digits = name.slice(isHex ? 2 : 1);
  if (!(isHex ? /^[0-9a-f]+$/i : /^[0-9]+$/).test(digits)) return null;
  const code = Number.parseInt(digits, isHex ? 16 : 10);
  if (code >= 0x80 && code <= 0x9f) return windows1252Character(code);
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return '\ufffd';
  const isNonCharacter = (code & 0xfffe) === 0xfffe || (code >= 0xfdd0 && code <= 0xfdef);
  const isControl = code < 0x20 && code !== 9 && code !== 10 && code !== 12 && code !== 13;
  return isNonCharacter || isControl || code === 0x7f || code === 0x0b
    ? ''
    : String.fromCodePoint(code);
}
