import type { ModelSession } from './runtime.ts';

interface CachedSession {
  readonly opening: Promise<ModelSession>;
  readonly weightBytes: number;
}

/**
 * Sessions by key, each opened once. A session holds its own copy of the weights, so when the budget is
 * exceeded those unused for longest are released first. Not for concurrent jobs: a session that was
 * handed out must be run before the next one is asked for.
 */
export class SessionCache {
  #budgetBytes: number;
  /** In order of last use. */
  readonly #sessions = new Map<string, CachedSession>();

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  /** From now on every session runs alone: the one before leaves before the next is opened. */
  async keepOne(): Promise<void> {
    this.#budgetBytes = 0;
    await this.clear();
  }

  get weightBytes(): number {
    let sum = 0;
    for (const { weightBytes } of this.#sessions.values()) sum += weightBytes;
    return sum;
  }

  /** True when a session is open, or can be without another one leaving. */
  hasRoomFor(key: string, weightBytes: number): boolean {
    return this.#sessions.has(key) || this.weightBytes + weightBytes <= this.#budgetBytes;
  }

  async get(
    key: string,
    weightBytes: number,
    open: () => Promise<ModelSession>,
  ): Promise<ModelSession> {
    const known = this.#sessions.get(key);
    if (known) {
      this.#sessions.delete(key);
      this.#sessions.set(key, known);
      return known.opening;
    }
    // Entered before anything is awaited: a second caller finds it.
    const opening = this.#makeRoom(weightBytes).then(open);
    this.#sessions.set(key, { opening, weightBytes });
    try {
      return await opening;
    } catch (error) {
      this.#sessions.delete(key);
      throw error;
    }
  }

  /** Releases the sessions whose keys match. */
  async drop(matches: (key: string) => boolean): Promise<void> {
    const leaving = [...this.#sessions].filter(([key]) => matches(key));
    for (const [key] of leaving) this.#sessions.delete(key);
    for (const [, { opening }] of leaving) await release(opening);
  }

  /** Releases everything; the cache stays usable. */
  async clear(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const { opening } of sessions) await release(opening);
  }

  async #makeRoom(weightBytes: number): Promise<void> {
    const leaving: CachedSession[] = [];
    for (const [key, session] of this.#sessions) {
      if (this.weightBytes + weightBytes <= this.#budgetBytes) break;
      this.#sessions.delete(key);
      leaving.push(session);
    }
    for (const { opening } of leaving) await release(opening);
  }
}

/** A session that never opened, or whose device is gone, has nothing to give back. */
async function release(opening: Promise<ModelSession>): Promise<void> {
  try {
    await (await opening).release();
  } catch (error) {
    console.warn('A session could not be released.', error);
  }
}
