import { latin1Text } from '../../protocol/bytes.ts';

/** Bytes as base64 without line breaks. */
export function toBase64(bytes: Uint8Array): string {
  return btoa(latin1Text(bytes));
}
