/** One value that others watch: a new listener is told the present value at once. */
export interface Watched<T> {
  readonly value: T;
  set(value: T): void;
  /** Returns the unsubscriber. */
  watch(listener: (value: T) => void): () => void;
}

export function createWatched<T>(initial: T): Watched<T> {
  let value = initial;
  const listeners = new Set<(value: T) => void>();
  return {
    get value() {
      return value;
    },
    set(next) {
      value = next;
      for (const listener of listeners) listener(value);
    },
    watch(listener) {
      listeners.add(listener);
      listener(value);
      return () => listeners.delete(listener);
    },
  };
}
