/** Speed over this long: steady enough to read, quick enough to follow. */
const WINDOW_MS = 10_000;

/** Tells how fast bytes come, from what came in the last seconds. */
export class DownloadRate {
  #samples: { atMs: number; bytes: number }[] = [];

  /** Notes that `bytes` are here in all. */
  add(bytes: number, nowMs = Date.now()): void {
    const last = this.#samples.at(-1);
    // Began afresh: what was measured of the bytes before tells nothing.
    if (last && bytes < last.bytes) this.#samples = [];
    this.#samples.push({ atMs: nowMs, bytes });
    while ((this.#samples[1]?.atMs ?? nowMs) < nowMs - WINDOW_MS) this.#samples.shift();
    // A fast line brings thousands of pieces a second: two samples a twentieth of a second are enough.
    const before = this.#samples.at(-3);
    if (before && nowMs - before.atMs < 50) this.#samples.splice(-2, 1);
  }

  /** Bytes a second, or null before there is a second's worth to tell from. */
  perSecond(nowMs = Date.now()): number | null {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || nowMs - first.atMs < 500) return null;
    return ((last.bytes - first.bytes) * 1000) / (nowMs - first.atMs);
  }

  reset(): void {
    this.#samples = [];
  }
}
