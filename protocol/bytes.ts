/** Joins byte arrays. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Numbers as the text whose UTF-16 code units they are; of bytes that is Latin-1 text, a character a byte. */
export function textOfCodes(codes: Uint8Array | Uint16Array): string {
  let text = '';
  // In slices, since a call takes only so many arguments; not spread, which takes ten times as long.
  for (let at = 0; at < codes.length; at += 8192) {
    const slice: ArrayLike<number> = codes.subarray(at, at + 8192);
    text += String.fromCharCode.apply(null, slice as number[]);
  }
  return text;
}

/** Bytes as Latin-1 text, a character a byte. */
export function latin1Text(bytes: Uint8Array): string {
  return textOfCodes(bytes);
}

/** Latin-1 text as bytes; null where a character is beyond U+00FF. */
export function latin1Bytes(text: string): Uint8Array<ArrayBuffer> | null {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff) return null;
    bytes[i] = code;
  }
  return bytes;
}

export function startsWithBytes(bytes: Uint8Array, prefix: Uint8Array, at = 0): boolean {
  return prefix.every((byte, index) => bytes[at + index] === byte);
}
