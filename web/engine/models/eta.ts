/** Seconds left by the pace so far; null in the first moments, when it would be a guess. */
export function createEta(): (done: number) => number | null {
  const startedAt = performance.now();
  return (done) => {
    const elapsed = (performance.now() - startedAt) / 1000;
    return done > 0 && elapsed > 0.5 ? elapsed / done - elapsed : null;
  };
}
