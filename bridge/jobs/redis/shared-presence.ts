import type { SharedEngines } from '../job-store.ts';

const TELL_MS = 2_000;
/** A bridge that has not spoken for so long has no engines. */
const SILENCE_MS = 6_000;

/** Which bridges have engines: each tells the others every two seconds and when it changes. */
export class SharedPresence implements SharedEngines {
  readonly #tell: (has: boolean) => void;
  readonly #now: () => number;
  readonly #seenAt = new Map<string, number>();
  #toldAt = Number.NEGATIVE_INFINITY;
  #told = false;

  constructor(tell: (has: boolean) => void, now: () => number) {
    this.#tell = tell;
    this.#now = now;
  }

  announce(hasEngines: boolean): void {
    if (hasEngines === this.#told && this.#now() - this.#toldAt < TELL_MS) return;
    this.#told = hasEngines;
    this.#toldAt = this.#now();
    this.#tell(hasEngines);
  }

  heard(bridge: string, has: boolean): void {
    if (has) this.#seenAt.set(bridge, this.#now());
    else this.#seenAt.delete(bridge);
  }

  get goneAt(): number {
    return Math.max(...this.#seenAt.values(), Number.NEGATIVE_INFINITY) + SILENCE_MS;
  }
}
