/** Runs a task after all tasks before it. */
export type SerialQueue = <T>(task: () => Promise<T>, signal?: AbortSignal) => Promise<T>;

/**
 * Runs tasks one after the other; a failed one does not stop those behind it. A task whose signal is
 * aborted while it waits never runs, and its promise rejects at once.
 */
export function createSerialQueue(): SerialQueue {
  let last: Promise<void> = Promise.resolve();
  return (task, signal) =>
    new Promise((resolve, reject) => {
      const onAbort = () => reject(signal?.reason);
      if (signal?.aborted) return onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
      last = last.then(async () => {
        if (signal?.aborted) return;
        signal?.removeEventListener('abort', onAbort);
        try {
          resolve(await task());
        } catch (error) {
          reject(error);
        }
      });
    });
}
