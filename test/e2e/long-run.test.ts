import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { amount, measured, percentile } from '../promises/figures.ts';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { sleep } from './support/job-events.ts';
import { liveHeapBytes } from './support/live-heap.ts';
import { RawBrowser, type RawPage } from './support/raw-browser.ts';

const MIB = 2 ** 20;

interface Sample {
  /** What page and worker hold in JavaScript after a collection, their buffers included, in MiB. */
  readonly heapMiB: number;
  /** The tab's whole process, which wasm's memory belongs to, in MiB. */
  readonly processMiB: number;
}

/** A real tab that makes pictures for a bridge, one after the other. */
describe('a tab that works for long', () => {
  let bridge: RunningBridge;
  let browser: RawBrowser;
  let page: RawPage;
  let workers: RawPage[];

  beforeAll(async () => {
    bridge = await startBridge(['--browser', 'none']);
    browser = await RawBrowser.launch();
    ({ page, workers } = await browser.openWithWorkers(`${bridge.url}/?device=wasm`));
    await bridge.ready();
  });
  afterAll(async () => {
    await browser?.stop();
    await bridge?.stop();
  });

  async function sample(): Promise<Sample> {
    const heaps = await Promise.all([page, ...workers].map(liveHeapBytes));
    const residents = browser.processes().map((pid) => {
      const isRenderer = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer');
      const status = isRenderer ? readFileSync(`/proc/${pid}/status`, 'utf8') : '';
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
    });
    return {
      heapMiB: heaps.reduce((sum, bytes) => sum + bytes, 0) / MIB,
      processMiB: Math.max(...residents),
    };
  }

  const minutes = amount('SOAK_MINUTES', 0.25, 30);

  it(`R17 leaves the tab's heap as it was after ${minutes} minutes of pictures`, {
    timeout: 120_000 + minutes * 90_000,
  }, async () => {
    const end = Date.now() + minutes * 60_000;
    const warm = Date.now() + Math.min(minutes / 4, 5) * 60_000;
    const samples: Sample[] = [];
    let pictures = 0;
    let sampledAt = 0;
    while (Date.now() < end) {
      const reply = await bridge.post('/sdapi/v1/txt2img', {
        ...{ prompt: `picture ${pictures}`, steps: 2, width: 128, height: 128, seed: pictures },
      });
      expect(reply.status).toBe(200);
      expect(((await reply.json()) as { images: string[] }).images).toHaveLength(1);
      pictures += 1;
      if (Date.now() >= warm && Date.now() - sampledAt >= Math.min(15_000, minutes * 4_000)) {
        sampledAt = Date.now();
        samples.push(await sample());
      }
      await sleep(300);
    }
    const third = Math.max(1, Math.floor(samples.length / 3));
    const level = (part: readonly Sample[], what: keyof Sample) =>
      percentile(
        part.map((one) => one[what]),
        0.5,
      );
    const grown = (what: keyof Sample) => {
      const first = level(samples.slice(0, third), what);
      const last = level(samples.slice(-third), what);
      return { first, last, percent: Math.round((last / first - 1) * 1_000) / 10 };
    };
    const [heap, whole] = [grown('heapMiB'), grown('processMiB')];
    measured('R17', {
      ...{ tabMinutes: minutes, pictures, heapFirstMiB: heap.first, heapLastMiB: heap.last },
      ...{ heapGrowthPercent: heap.percent, tabFirstMiB: whole.first, tabLastMiB: whole.last },
      tabGrowthPercent: whole.percent,
    });
    expect(heap.first).toBeGreaterThan(1);
    if (minutes >= 5) expect(heap.percent).toBeLessThan(10);
  });
});
