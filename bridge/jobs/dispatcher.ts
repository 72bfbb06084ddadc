import type { Tab } from '../relay/tab.ts';
import type { TabRelay } from '../relay/tab-relay.ts';
import type { JobRecord, JobStore } from './job-store.ts';

/** Gives waiting jobs to tabs that can take one. */
export class Dispatcher {
  readonly #store: JobStore;
  readonly #relay: TabRelay;
  readonly #onAssigned: (record: JobRecord) => void;
  /** Counts reasons to look for work, so that one that comes while a tab is asking is not lost. */
  #wakeUps = 0;
  #isStopped = false;

  constructor(store: JobStore, relay: TabRelay, onAssigned: (record: JobRecord) => void) {
    this.#store = store;
    this.#relay = relay;
    this.#onAssigned = onAssigned;
  }

  /** There may be work for a tab, or a tab for work. */
  wake(): void {
    this.#wakeUps += 1;
    this.#giveAll();
  }

  /** Gives out nothing any more. */
  stop(): void {
    this.#isStopped = true;
  }

  #giveAll(): void {
    if (this.#isStopped) return;
    for (const tab of this.#relay.takers()) {
      tab.isReserved = true;
      void this.#give(tab);
    }
  }

  async #give(tab: Tab): Promise<void> {
    const wakeUps = this.#wakeUps;
    const record = await this.#store.take();
    if (!record) {
      tab.isReserved = false;
      if (this.#wakeUps !== wakeUps) this.#giveAll();
      return;
    }
    if (this.#relay.assign(tab, record)) {
      this.#onAssigned(record);
      return;
    }
    await this.#store.release(record, {
      code: 'tab-disconnected',
      message: `Engine ${tab.id} went away before it got the job.`,
    });
  }
}
