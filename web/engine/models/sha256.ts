/**
 * SHA-256 (FIPS 180-4) that takes its input piece by piece. Web Crypto has no incremental digest, and
 * none at all on plain-http pages, while a model's hash must be the one that everybody else shows.
 */
export interface Sha256 {
  update(bytes: Uint8Array): void;
  /** The digest in hex; nothing may be added after it. */
  digest(): string;
}

/** First 32 bits of the fractional parts of the cube roots of the first 64 primes (§4.2.2). */
const ROUND = rootFractions(64, Math.cbrt);
/** The same of the square roots of the first eight primes (§5.3.3). */
const INITIAL = rootFractions(8, Math.sqrt);

function rootFractions(count: number, root: (value: number) => number): Int32Array {
  const words = new Int32Array(count);
  for (let candidate = 2, found = 0; found < count; candidate++) {
    let isPrime = true;
    for (let d = 2; d * d <= candidate; d++) if (candidate % d === 0) isPrime = false;
    if (isPrime) words[found++] = ((root(candidate) % 1) * 2 ** 32) | 0;
  }
  return words;
}

const BLOCK = 64;

export function createSha256(): Sha256 {
  const state = INITIAL.slice();
  const schedule = new Int32Array(64);
  const pending = new Uint8Array(BLOCK);
  const pendingView = new DataView(pending.buffer);
  let pendingLength = 0;
  let totalLength = 0;

  function update(bytes: Uint8Array): void {
    totalLength += bytes.length;
    let offset = 0;
    if (pendingLength > 0) {
      const taken = Math.min(BLOCK - pendingLength, bytes.length);
      pending.set(bytes.subarray(0, taken), pendingLength);
      pendingLength += taken;
      offset = taken;
      if (pendingLength < BLOCK) return;
      compress(state, schedule, pendingView, 0);
      pendingLength = 0;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (; offset + BLOCK <= bytes.length; offset += BLOCK) {
      compress(state, schedule, view, offset);
    }
    pending.set(bytes.subarray(offset));
    pendingLength = bytes.length - offset;
  }

  function digest(): string {
    const lengthBytes = totalLength;
    const padding = new Uint8Array(BLOCK * (pendingLength < 56 ? 1 : 2) - pendingLength);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, Math.floor(lengthBytes / 2 ** 29));
    view.setUint32(padding.length - 4, (lengthBytes << 3) >>> 0);
    update(padding);
    return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  return { update, digest };
}

/** SHA-256 of bytes that are all there, in hex: by the browser's own code where the page may use it. */
export async function sha256Bytes(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (globalThis.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
  const hash = createSha256();
  hash.update(bytes);
  return hash.digest();
}

/** SHA-256 of a text's UTF-8 bytes, in hex. */
export function sha256Text(text: string): string {
  const hash = createSha256();
  hash.update(new TextEncoder().encode(text));
  return hash.digest();
}

/** One block (§6.2.2), with the standard's letters. */
function compress(state: Int32Array, w: Int32Array, block: DataView, offset: number): void {
  for (let t = 0; t < 16; t++) w[t] = block.getInt32(offset + 4 * t);
  for (let t = 16; t < 64; t++) {
    const w15 = w[t - 15] as number;
    const w2 = w[t - 2] as number;
    const s0 = ((w15 >>> 7) | (w15 << 25)) ^ ((w15 >>> 18) | (w15 << 14)) ^ (w15 >>> 3);
    const s1 = ((w2 >>> 17) | (w2 << 15)) ^ ((w2 >>> 19) | (w2 << 13)) ^ (w2 >>> 10);
    w[t] = ((w[t - 16] as number) + s0 + (w[t - 7] as number) + s1) | 0;
  }
  let a = state[0] as number;
  let b = state[1] as number;
  let c = state[2] as number;
  let d = state[3] as number;
  let e = state[4] as number;
  let f = state[5] as number;
  let g = state[6] as number;
  let h = state[7] as number;
  for (let t = 0; t < 64; t++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (ROUND[t] as number) + (w[t] as number)) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] = (state[0] as number) + a;
  state[1] = (state[1] as number) + b;
  state[2] = (state[2] as number) + c;
  state[3] = (state[3] as number) + d;
  state[4] = (state[4] as number) + e;
  state[5] = (state[5] as number) + f;
  state[6] = (state[6] as number) + g;
  state[7] = (state[7] as number) + h;
}
