/** A bucket that refills steadily. */
interface Bucket {
  tokens: number;
  updatedAt: number;
}

interface Rate {
  readonly size: number;
  readonly perMs: number;
}

const MINUTE: Rate = { size: 2, perMs: 2 / 60_000 };
const HOUR: Rate = { size: 12, perMs: 12 / 3_600_000 };
/** Addresses remembered; the oldest are forgotten first, so that a flood cannot fill the memory. */
const MAX_ADDRESSES = 10_000;

function refill(bucket: Bucket, rate: Rate, now: number): void {
  bucket.tokens = Math.min(rate.size, bucket.tokens + (now - bucket.updatedAt) * rate.perMs);
  bucket.updatedAt = now;
}

/**
 * Slows the guessing of passwords: an address may fail twice a minute and twelve times an hour on top;
 * then it waits. Successes cost nothing.
 */
export class GuessLimit {
  readonly #now: () => number;
  readonly #addresses = new Map<string, { minute: Bucket; hour: Bucket }>();

  constructor({ now = Date.now }: { now?: () => number } = {}) {
    this.#now = now;
  }

  /** Seconds until the address may try again; 0 when it may try now. */
  waitSeconds(address: string): number {
    const entry = this.#addresses.get(address);
    if (!entry) return 0;
    const now = this.#now();
    refill(entry.minute, MINUTE, now);
    refill(entry.hour, HOUR, now);
    if (entry.minute.tokens >= 1 || entry.hour.tokens >= 1) return 0;
    const waitMs = Math.min(
      (1 - entry.minute.tokens) / MINUTE.perMs,
      (1 - entry.hour.tokens) / HOUR.perMs,
    );
    return Math.ceil(waitMs / 1000);
  }

  /** Notes a wrong credential. */
  failed(address: string): void {
    const now = this.#now();
    let entry = this.#addresses.get(address);
    if (!entry) {
      entry = {
        minute: { tokens: MINUTE.size, updatedAt: now },
        hour: { tokens: HOUR.size, updatedAt: now },
      };
    }
    // Moved to the end: the map's order is the order of the last failure.
    this.#addresses.delete(address);
    this.#addresses.set(address, entry);
    refill(entry.minute, MINUTE, now);
    refill(entry.hour, HOUR, now);
    if (entry.minute.tokens >= 1) entry.minute.tokens -= 1;
    else entry.hour.tokens = Math.max(0, entry.hour.tokens - 1);
    if (this.#addresses.size > MAX_ADDRESSES) {
      const oldest = this.#addresses.keys().next().value;
      if (oldest !== undefined) this.#addresses.delete(oldest);
    }
  }
}
