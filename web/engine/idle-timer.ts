/** Tells when nothing was done for a while. */
export interface IdleTimer {
  /** Runs `task`; while any task runs or waits there is no idle time. */
  during<T>(task: () => Promise<T>): Promise<T>;
  /** Ends the watch; safe to call twice. */
  close(): void;
}

/** Timers beyond 2^31 - 1 ms fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Calls `onIdle` each time that nothing ran for `minutes` after a task; never when that is null. */
export function createIdleTimer(minutes: number | null, onIdle: () => void): IdleTimer {
  let running = 0;
  let isClosed = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function arm(): void {
    if (minutes === null || isClosed || running > 0) return;
    timer = setTimeout(onIdle, Math.min(minutes * 60_000, MAX_DELAY_MS));
  }

  return {
    async during(task) {
      clearTimeout(timer);
      running += 1;
      try {
        return await task();
      } finally {
        running -= 1;
        arm();
      }
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
