/** How many bytes one call turns into characters: argument lists have a limit. */
const SLICE_BYTES = 0x8000;

/** Bytes as base64 without line breaks. */
export function toBase64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += SLICE_BYTES) {
    parts.push(String.fromCharCode(...bytes.subarray(offset, offset + SLICE_BYTES)));
  }
  return btoa(parts.join(''));
}
