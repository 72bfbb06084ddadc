// The bytes 0x80 to 0x9F; the five that Windows-1252 leaves open stay control characters. Node 20's TextDecoder
// reads this encoding as Latin-1, so it can't be asked.
const FROM_0X80 =
  '\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f' +
  '\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178';

/** What a byte is in Windows-1252. */
export function windows1252Character(byte: number): string {
  return FROM_0X80[byte - 0x80] ?? String.fromCharCode(byte);
}
