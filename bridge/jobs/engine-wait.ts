import { GenerationError } from '../../protocol/errors.ts';
import type { TabRelay } from '../relay/tab-relay.ts';

export interface EngineWaitOptions {
  readonly relay: TabRelay;
  /** How long a request waits for a tab to be attached. */
  readonly waitMs: number;
  /** Address to name to people who have no page open. */
  readonly pageUrl: () => string;
  readonly now: () => number;
}

/** Knows since when there is no engine, and what to say about it. */
export class EngineWait {
  readonly #options: EngineWaitOptions;
  /** Null while some tab can work. */
  #goneAt: number | null;

  constructor(options: EngineWaitOptions) {
    this.#options = options;
    this.#goneAt = options.now();
    options.relay.onChange(() => {
      if (options.relay.hasUsable) this.#goneAt = null;
      else this.#goneAt ??= options.now();
    });
  }

  /** True when a job accepted then has waited long enough for an engine to come. */
  isOver(acceptedAt: number): boolean {
    if (this.#goneAt === null) return false;
    return this.#options.now() - Math.max(acceptedAt, this.#goneAt) >= this.#options.waitMs;
  }

  /** The sentence for a job that no engine came for. */
  error(): GenerationError {
    if (this.#options.relay.isBlocked) {
      return new GenerationError(
        'webgpu-unavailable',
        'The browser has blocked the GPU after a crash. It comes back by itself within about two minutes; restarting the browser helps at once.',
      );
    }
    return new GenerationError(
      'no-tab',
      `No engine is attached. Open ${this.#options.pageUrl()} in a browser on the machine with the GPU, leave the tab open, and ask again.`,
    );
  }
}
