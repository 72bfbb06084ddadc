import { createSHA256 } from 'hash-wasm';

/**
 * SHA-256 that takes its input piece by piece. Web Crypto has no incremental digest, and none at all on plain-http
 * pages, while a model's hash must be the one that everybody else shows.
 */
export interface Sha256 {
  update(bytes: Uint8Array): void;
  /** The digest in hex; nothing may be added after it. */
  digest(): string;
}

export async function createSha256(): Promise<Sha256> {
  return createSHA256();
}

/** SHA-256 of bytes that are all there, in hex: by the browser's own code where the page may use it. */
export async function sha256Bytes(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (globalThis.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
  const hash = await createSha256();
  hash.update(bytes);
  return hash.digest();
}

/** SHA-256 of a text's UTF-8 bytes, in hex. */
export function sha256Text(text: string): Promise<string> {
  return sha256Bytes(new TextEncoder().encode(text));
}
