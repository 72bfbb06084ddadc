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

/** Like `withLock`, but does nothing and gives false when anybody holds the lock. */
export async function ifUnlocked(name: string, task: () => Promise<void>): Promise<boolean> {
  const run = async () => {
    await task();
    return true;
  };
  if (!globalThis.navigator?.locks) return run();
  return navigator.locks.request(name, { ifAvailable: true }, (lock) =>
    lock ? run() : Promise.resolve(false),
  );
}

/** Holds the lock beside others who share it, until the returned function is called or the tab ends. */
export async function holdShared(name: string): Promise<() => void> {
  if (!globalThis.navigator?.locks) return () => {};
  return new Promise((resolve, reject) => {
    const held = () => new Promise<void>((release) => resolve(release));
    navigator.locks.request(name, { mode: 'shared' }, held).catch(reject);
  });
}
