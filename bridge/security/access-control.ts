import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Credential } from '../options/options.ts';

/** Random text of 192 bits that fits into a URL and a header. */
export function randomToken(): string {
  return randomBytes(24).toString('base64url');
}

/** Compares in a time that tells nothing of where two texts differ. */
export class SecretComparer {
  readonly #key = randomBytes(32);

  isEqual(a: string, b: string): boolean {
    const digest = (text: string) => createHmac('sha256', this.#key).update(text).digest();
    return timingSafeEqual(digest(a), digest(b));
  }
}

/** Secrets that outlive a restart: kept in one file of the data folder that only its owner reads. */
export interface AccessSecrets {
  /** Signs session cookies. */
  readonly sessionKey: string;
  /** Path segment for clients that cannot send a password (`/k/TOKEN/sdapi/v1/…`). */
  readonly capability: string;
}

/** What an Authorization header amounts to. */
export type HeaderVerdict = 'absent' | 'malformed' | 'right' | 'wrong';

export const SESSION_COOKIE = 'easel_session';
const SESSION_MS = 30 * 24 * 3_600_000;
const LINK_MS = 10 * 60_000;

export interface AccessOptions {
  readonly credentials: readonly Credential[];
  readonly secrets: AccessSecrets;
  readonly now?: () => number;
}

/** Who may use the bridge: passwords, session cookies, the capability path, single-use links. */
export class AccessControl {
  #credentials: readonly Credential[];
  readonly #secrets: AccessSecrets;
  readonly #now: () => number;
  readonly #comparer = new SecretComparer();
  readonly #links = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  constructor({ credentials, secrets, now = Date.now }: AccessOptions) {
    this.#credentials = credentials;
    this.#secrets = secrets;
    this.#now = now;
  }

  /** Takes other passwords from now on. Sessions and links of before end; listeners end what is open. */
  replace(credentials: readonly Credential[]): void {
    this.#credentials = credentials;
    this.#links.clear();
    for (const listener of [...this.#listeners]) listener();
  }

  /** Called when the passwords were replaced; returns the unsubscriber. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** False when no password is set: then everybody whom Host and Origin rules let in may do all. */
  get isOn(): boolean {
    return this.#credentials.length > 0;
  }

  /** The capability path's prefix, e.g. `/k/abc`. */
  get capabilityPath(): string {
    return `/k/${this.#secrets.capability}`;
  }

  /** Judges `user` and `password`; looks at every pair, so that time tells nothing. */
  isPassword(user: string, password: string): boolean {
    let isRight = false;
    for (const known of this.#credentials) {
      const matches = this.#comparer.isEqual(
        `${known.user}:${known.password}`,
        `${user}:${password}`,
      );
      isRight = matches || isRight;
    }
    return isRight;
  }

  #isBearer(value: string): boolean {
    let isRight = false;
    for (const { user, password } of this.#credentials) {
      const asPassword = this.#comparer.isEqual(password, value);
      const asPair = this.#comparer.isEqual(`${user}:${password}`, value);
      isRight = asPassword || asPair || isRight;
    }
    return isRight;
  }

  /** Judges an Authorization header. Blank ones, which several clients send, count as absent. */
  judgeHeader(header: string | undefined): HeaderVerdict {
    const match = /^\s*([A-Za-z]+)\s*(.*?)\s*$/s.exec(header ?? '');
    if (!match) return (header ?? '').trim() === '' ? 'absent' : 'malformed';
    const scheme = (match[1] ?? '').toLowerCase();
    const value = match[2] ?? '';
    if (value === '') return 'absent';
    if (scheme === 'bearer') return this.#isBearer(value) ? 'right' : 'wrong';
    if (scheme !== 'basic') return 'malformed';
    if (!/^[A-Za-z0-9+/_-]+=*$/.test(value)) return 'malformed';
    const decoded = Buffer.from(value, 'base64').toString('utf8');
    const colon = decoded.indexOf(':');
    if (colon < 0) return 'malformed';
    if (decoded === ':') return 'absent';
    return this.isPassword(decoded.slice(0, colon), decoded.slice(colon + 1)) ? 'right' : 'wrong';
  }

  /** The signature covers the passwords, so that changing one ends every session. */
  #sign(expiresAt: number): string {
    const passwords = this.#credentials.map(({ user, password }) => [user, password]);
    return createHmac('sha256', this.#secrets.sessionKey)
      .update(JSON.stringify([expiresAt, passwords]))
      .digest('base64url');
  }

  /** Value of a new session cookie and its life in seconds. */
  issueSession(): { value: string; maxAgeSeconds: number } {
    const expiresAt = this.#now() + SESSION_MS;
    return { value: `${expiresAt}.${this.#sign(expiresAt)}`, maxAgeSeconds: SESSION_MS / 1000 };
  }

  isSession(value: string | undefined): boolean {
    const match = /^(\d{10,16})\.([\w-]{20,100})$/.exec(value ?? '');
    if (!match) return false;
    const expiresAt = Number(match[1]);
    return expiresAt > this.#now() && this.#comparer.isEqual(this.#sign(expiresAt), match[2] ?? '');
  }

  isCapability(token: string): boolean {
    return this.isOn && this.#comparer.isEqual(this.#secrets.capability, token);
  }

  /** A token that opens one session, for the tab that the bridge itself opens. */
  issueLink(): string {
    const token = randomToken();
    this.#links.set(token, this.#now() + LINK_MS);
    return token;
  }

  /** True once for a link that was issued in the last ten minutes. */
  redeemLink(token: string): boolean {
    let isRight = false;
    for (const [known, expiresAt] of this.#links) {
      if (!this.#comparer.isEqual(known, token)) continue;
      isRight = expiresAt > this.#now();
      this.#links.delete(known);
    }
    return isRight;
  }
}
