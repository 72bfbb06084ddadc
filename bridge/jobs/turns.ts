import type { JobRecord } from './job-store.ts';

/** Clients remembered; those served longest ago are forgotten first, and count as new again. */
const MAX_OWNERS = 1_000;

/** Who a job's turn belongs to. */
export function ownerOf({ owner, client }: Pick<JobRecord, 'owner' | 'client'>): string {
  return owner ?? client;
}

/** Round robin among clients: next is the oldest job of the one that was served longest ago. */
export class Turns {
  /** When each client was last served, by a counter; in the order of being served. */
  readonly #servedAt = new Map<string, number>();
  #count = 0;

  /** Place of the job whose turn it is among those waiting, oldest first; -1 where there is none. */
  next(waiting: readonly (JobRecord | null)[]): number {
    let best = -1;
    let bestAt = Number.POSITIVE_INFINITY;
    for (const [place, record] of waiting.entries()) {
      // What was lost on its way, or is no longer open and to be dropped, has no turn to wait for.
      if (!record || record.attempt > 0) return place;
      const at = this.#servedAt.get(ownerOf(record)) ?? -1;
      if (at < bestAt) {
        best = place;
        bestAt = at;
      }
    }
    return best;
  }

  served(record: JobRecord): void {
    const owner = ownerOf(record);
    this.#servedAt.delete(owner);
    this.#servedAt.set(owner, this.#count++);
    if (this.#servedAt.size <= MAX_OWNERS) return;
    const [oldest] = this.#servedAt.keys();
    if (oldest !== undefined) this.#servedAt.delete(oldest);
  }
}
