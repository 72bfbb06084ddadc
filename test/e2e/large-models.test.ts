import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { amount, measured } from '../promises/figures.ts';
import type { LargeModelRun } from './large-models/page.ts';
import { ROOT, type RunningBridge, startBridge } from './support/bridge.ts';
import { sleep, until } from './support/job-events.ts';
import { liveHeapBytes } from './support/live-heap.ts';
import { RawBrowser, type RawPage } from './support/raw-browser.ts';

const MIB = 2 ** 20;
const CHUNK_BYTES = 64 * MIB;

/** A figure of a process that the kernel keeps, in MiB. */
function memoryOf(pid: number, what: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${what}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024;
}

/** The store of compiled models in a real browser: its own page, with no engine around it. */
describe('the store of compiled models', () => {
  let root: string;
  let bridge: RunningBridge;
  let browser: RawBrowser;
  let page: RawPage;

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'easel-large-'));
    cpSync(join(ROOT, 'build'), join(root, 'build'), { recursive: true });
    const dist = join(root, 'dist');
    await build({
      root: join(ROOT, 'test/e2e/large-models'),
      ...{ configFile: false, publicDir: false, logLevel: 'error' },
      build: { outDir: dist, target: 'es2023', modulePreload: false },
    });
    mkdirSync(join(dist, 'models'));
    writeFileSync(join(dist, 'models', 'index.json'), '{"models":[]}');
    bridge = await startBridge(['--browser', 'none'], { root });
    browser = await RawBrowser.launch();
    page = await browser.open(bridge.url);
    const isThere = () => page.evaluate<boolean>(`'runLargeModel' in globalThis`);
    await until('the page', () => isThere().catch(() => false));
  });
  afterAll(async () => {
    await browser?.stop();
    await bridge?.stop();
    rmSync(root, { recursive: true, force: true });
  });

  const mebibytes = amount('STORE_MIB', 192, 4_096);

  it(`D3 takes ${mebibytes} MiB in chunks of 64, gives them out as a file, takes that in again, and holds two chunks at most`, {
    timeout: 120_000 + mebibytes * 200,
  }, async () => {
    await page.evaluate('new Promise((resolve) => setTimeout(resolve, 500))');
    const renderers = browser
      .processes()
      .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer'));
    const before = new Map(renderers.map((pid) => [pid, memoryOf(pid, 'VmRSS')]));
    const heapBefore = await liveHeapBytes(page);
    let isOver = false;
    const heapPeak = (async () => {
      let most = 0;
      while (!isOver) {
        most = Math.max(most, await liveHeapBytes(page));
        await sleep(250);
      }
      return most;
    })();
    const run = await page.evaluate<LargeModelRun>(`runLargeModel(${mebibytes})`);
    isOver = true;
    const chunksInMemory = Math.round((((await heapPeak) - heapBefore) / CHUNK_BYTES) * 10) / 10;
    const grown = renderers.map((pid) => memoryOf(pid, 'VmHWM') - (before.get(pid) ?? 0));
    const peakMiB = Math.round(Math.max(...grown));
    expect(run.largestChunkBytes).toBeLessThanOrEqual(CHUNK_BYTES);
    expect(run.chunks).toBe(Math.ceil((mebibytes * MIB) / CHUNK_BYTES));
    expect(run.exportedBytes).toBeGreaterThan(mebibytes * MIB);
    measured('D3', { mebibytes, chunksInMemory, processPeakMiB: peakMiB, ...run });
  });

  it('D7 lets another tab that has a newer version upgrade it at once', async () => {
    // The first page keeps it open, by the product's own store.
    const newer = await browser.open(`${bridge.url}/health`);
    const isOpen = () => newer.evaluate<boolean>(`location.pathname === '/health'`);
    await until('the other page', () => isOpen().catch(() => false));
    const upgradeMs = await newer.evaluate<number>(`new Promise((resolve, reject) => {
      const start = performance.now();
      const opening = indexedDB.open('easel-models', 2);
      opening.onupgradeneeded = () => resolve(performance.now() - start);
      opening.onerror = () => reject(opening.error);
    })`);
    expect(upgradeMs).toBeLessThan(2_000);
    measured('D7', { upgradeMs: Math.round(upgradeMs) });
  });
});
