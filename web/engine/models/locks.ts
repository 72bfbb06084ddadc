/**
 * Runs `task` while this tab alone holds the lock `name` among all tabs of the profile; `task` runs
 * without one where the browser has no Web Locks (plain-http pages).
 */
export async function withLock<T>(
  name: string,
  task: () => Promise<T>,
  { signal }: { signal?: AbortSignal } = {},
): Promise<T> {
  if (!globalThis.navigator?.locks) return task();
  return navigator.locks.request(name, signal ? { signal } : {}, task);
}

/** Like `withLock`, but does nothing when another tab holds the lock. */
export async function ifUnlocked(name: string, task: () => Promise<void>): Promise<void> {
  if (!globalThis.navigator?.locks) return task();
  await navigator.locks.request(name, { ifAvailable: true }, (lock) => (lock ? task() : undefined));
}
