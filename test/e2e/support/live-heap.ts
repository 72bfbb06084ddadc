import type { RawPage } from './raw-browser.ts';

/** Bytes that a page or worker holds in JavaScript after a collection, its buffers included. */
export async function liveHeapBytes(target: RawPage): Promise<number> {
  await target.send('HeapProfiler.collectGarbage');
  const usage = await target.send('Runtime.getHeapUsage');
  return Number(usage.usedSize) + Number(usage.backingStorageSize ?? 0);
}
