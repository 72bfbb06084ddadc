/** Held by the one tab of a profile that runs jobs; it also keeps the browser from freezing the tab. */
const ENGINE_LOCK = 'easel-engine';

/** What becomes of a tab by and by. */
export interface ElectionOptions {
  /** Undefined on plain-http pages, where every tab is on its own. */
  readonly locks: Pick<LockManager, 'request'> | undefined;
  /** This tab's turn, until it resolves; `lost` aborts once another tab has taken it. */
  readonly onTurn: (lost: AbortSignal) => Promise<void>;
  /** Another tab has it; this one waits for it to close. */
  readonly onWait: () => void;
  /** This tab closes. */
  readonly ended: AbortSignal;
}

export interface Election {
  /** Resolves when the tab is out of it for good: it closed, or its turn ended by itself. */
  readonly over: Promise<void>;
  /** Takes the turn from the tab that has it; of no effect in that one. */
  takeOver(): void;
}

/** Lets one tab of a browser profile work at a time: the first, and after it the next in line or whoever takes over. */
export function joinElection({ locks, onTurn, onWait, ended }: ElectionOptions): Election {
  let wait: AbortController | null = null;
  let isStealing = false;

  /** One request of the lock, to the end of the turn that came of it. */
  async function request(
    manager: Pick<LockManager, 'request'>,
    options: LockOptions,
  ): Promise<'done' | 'not-mine'> {
    const lost = new AbortController();
    try {
      return await manager.request(ENGINE_LOCK, options, async (lock) => {
        if (!lock) return 'not-mine';
        wait = null;
        await onTurn(AbortSignal.any([lost.signal, ended]));
        return 'done';
      });
    } catch (error) {
      // The lock was stolen from this tab, or the waiting ended because this tab steals it.
      if (error instanceof DOMException && error.name === 'AbortError') return 'not-mine';
      throw error;
    } finally {
      lost.abort();
    }
  }

  async function run(): Promise<void> {
    if (!locks) return onTurn(ended);
    let outcome = await request(locks, { ifAvailable: true });
    while (outcome === 'not-mine' && !ended.aborted) {
      if (isStealing) {
        isStealing = false;
        outcome = await request(locks, { steal: true });
        continue;
      }
      wait = new AbortController();
      onWait();
      outcome = await request(locks, { signal: AbortSignal.any([wait.signal, ended]) });
    }
  }

  return {
    over: run(),
    takeOver() {
      if (!wait) return;
      isStealing = true;
      wait.abort();
    },
  };
}
