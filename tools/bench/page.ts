import { brotliCompressSync } from 'node:zlib';
import type { CDPSession, Page } from 'playwright';
import { startBridge } from '../../test/e2e/support/bridge.ts';
import { launchBrowser } from '../../test/e2e/support/browser.ts';
import { atLeast, atMost, type BenchRow, percentile } from './row.ts';

/** A mid-range phone on a good mobile network: a processor four times slower, 10 Mbit/s, 40 ms. */
const CPU_SLOWDOWN = 4;
const NETWORK = {
  offline: false,
  latency: 40,
  downloadThroughput: (10 * 1e6) / 8,
  uploadThroughput: (5 * 1e6) / 8,
};
const PICTURES = 10_000;
const SCROLL_MS = 4_000;

interface Marks {
  interactiveAt: number | null;
  shift: number;
}

/** Notes when Generate can be pressed, and how much the layout shifts; runs before the page's own scripts. */
function watchPage(): void {
  const marks: Marks = { interactiveAt: null, shift: 0 };
  Object.assign(globalThis, { easelMarks: marks });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      marks.shift += (entry as PerformanceEntry & { value: number }).value;
    }
  }).observe({ type: 'layout-shift', buffered: true });
  const look = () => {
    if (document.querySelector('button.primary')) marks.interactiveAt = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

const readMarks = (page: Page) =>
  page.evaluate(() => (globalThis as unknown as { easelMarks: Marks }).easelMarks);

/** Time between frames while something scrolls the page, in milliseconds. */
function measureFrames(page: Page, { scrolls }: { scrolls: boolean }): Promise<number[]> {
  return page.evaluate(
    ({ scrolls, duration }) =>
      new Promise<number[]>((resolve) => {
        const gaps: number[] = [];
        const start = performance.now();
        let last = start;
        const frame = (now: number) => {
          gaps.push(now - last);
          last = now;
          if (scrolls) scrollBy(0, 60);
          if (now - start < duration) requestAnimationFrame(frame);
          else resolve(gaps.slice(2));
        };
        requestAnimationFrame(frame);
      }),
    { scrolls, duration: SCROLL_MS },
  );
}

const fps = (gaps: readonly number[]) => 1000 / (gaps.reduce((a, b) => a + b, 0) / gaps.length);

/** Puts pictures into the gallery's stores as the page itself would. */
function fillGallery(page: Page): Promise<void> {
  return page.evaluate(async (count) => {
    const open = (name: string) =>
      new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open(`easel-gallery-${name}`);
        request.onupgradeneeded = () => request.result.createObjectStore(name);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const put = async (name: string, makeValue: (index: number) => unknown) => {
      const database = await open(name);
      const transaction = database.transaction(name, 'readwrite');
      for (let i = 0; i < count; i++) transaction.objectStore(name).put(makeValue(i), `p${i}`);
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onerror = reject;
      });
      database.close();
    };
    const thumbs = await Promise.all(
      Array.from({ length: 64 }, async (_, i) => {
        const canvas = new OffscreenCanvas(320, 320);
        const context = canvas.getContext('2d');
        if (!context) throw new Error('no canvas');
        for (let y = 0; y < 16; y++) {
          context.fillStyle = `hsl(${(i * 23 + y * 9) % 360} 60% 55%)`;
          context.fillRect(0, y * 20, 320, 20);
        }
        return await canvas.convertToBlob({ type: 'image/webp', quality: 0.82 });
      }),
    );
    await put('thumbs', (i) => thumbs[i % thumbs.length]);
    await put('index', (i) => ({
      ...{ id: `p${i}`, createdAt: 1.7e12 + i, fileName: `${i}.png`, sizeBytes: 400_000 },
      ...{ infotext: '', prompt: `picture ${i} of a red apple`, negativePrompt: '', seed: i },
      ...{ width: 512, height: 512, steps: 20, guidanceScale: 7, sampler: 'Euler' },
      ...{ scheduler: 'automatic', checkpoint: 'easel-tiny' },
    }));
  }, PICTURES);
}

async function throttle(session: CDPSession): Promise<void> {
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', NETWORK);
  await session.send('Emulation.setCPUThrottlingRate', { rate: CPU_SLOWDOWN });
}

/** What the first load brings, when it can be used, and how smooth painting stays. */
export async function benchPage(): Promise<BenchRow[]> {
  const bridge = await startBridge(['--browser', 'none']);
  const browser = await launchBrowser();
  try {
    const first = await browser.newPage();
    const scripts = new Map<string, number>();
    first.on('response', async (response) => {
      const { pathname } = new URL(response.url());
      const isPage = response.request().resourceType() === 'script' && !/worker|ort/.test(pathname);
      if (!isPage || !pathname.endsWith('.js')) return;
      const body = await response.body().catch(() => null);
      if (body) scripts.set(pathname, brotliCompressSync(body).length);
    });
    await first.addInitScript(watchPage);
    await throttle(await first.context().newCDPSession(first));
    await first.goto(`${bridge.url}/?device=wasm`);
    await first.getByRole('button', { name: 'Generate', exact: true }).waitFor();
    await first.waitForTimeout(3_000);
    const { interactiveAt, shift } = await readMarks(first);
    const bytes = [...scripts.values()].reduce((sum, size) => sum + size, 0);
    await first.close();

    const page = await browser.newPage();
    await page.goto(`${bridge.url}/?device=wasm`);
    await bridge.ready();
    await fillGallery(page);
    await page.reload();
    await bridge.ready();
    const idle = await measureFrames(page, { scrolls: false });
    await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('a red apple');
    await page.getByLabel('Steps', { exact: true }).fill('150');
    await page.getByRole('button', { name: 'Generate', exact: true }).click();
    await page.getByRole('progressbar').first().waitFor();
    await page.waitForTimeout(1_000);
    const generating = await measureFrames(page, { scrolls: false });
    await page.getByRole('link', { name: 'Gallery' }).click();
    await page.locator('.grid-cell img').first().waitFor();
    const both = await measureFrames(page, { scrolls: true });
    await page.getByRole('link', { name: 'Create' }).click();
    await page.getByRole('button', { name: /Interrupt/ }).click();
    await page.getByRole('progressbar').first().waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'Gallery' }).click();
    await page.locator('.grid-cell img').first().waitFor();
    const scrolling = await measureFrames(page, { scrolls: true });
    const worst = (gaps: readonly number[]) =>
      `19 of 20 frames within ${percentile(gaps, 0.95).toFixed(1)} ms`;
    const profile = `processor ${CPU_SLOWDOWN} times slower, 10 Mbit/s, 40 ms`;
    return [
      atMost(
        'page',
        'JavaScript of the first load, brotli',
        bytes / 1024,
        'KiB',
        150,
        `${scripts.size} files, without the engine's worker`,
      ),
      atMost(
        'page',
        'until Generate can be pressed',
        (interactiveAt ?? Number.NaN) / 1000,
        's',
        1,
        profile,
      ),
      atMost('page', 'layout shift of the first load', shift, '', 0, 'sum of all shifts in 3 s'),
      atLeast(
        'page',
        'frames while a picture is made',
        fps(generating),
        'fps',
        55,
        `wasm, both cores busy; idle ${fps(idle).toFixed(1)}; ${worst(generating)}`,
      ),
      atLeast(
        'page',
        `frames while ${PICTURES} pictures scroll`,
        fps(scrolling),
        'fps',
        55,
        `60 pixels a frame; ${worst(scrolling)}`,
      ),
      atLeast('page', 'both at once', fps(both), 'fps', 55, worst(both)),
    ];
  } finally {
    await browser.close();
    await bridge.stop();
  }
}
