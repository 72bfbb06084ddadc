import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { amount, measured } from '../promises/figures.ts';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { listenToJobs, sleep, until } from './support/job-events.ts';
import { RawBrowser, type RawPage } from './support/raw-browser.ts';
import { stubRoot } from './support/stub-tab.ts';

const STEP_MS = 50;

let stub: Awaited<ReturnType<typeof stubRoot>>;
let bridge: RunningBridge;
let browser: RawBrowser;

beforeAll(async () => {
  stub = await stubRoot(STEP_MS);
  bridge = await startBridge(['--browser', 'none'], { root: stub.root });
  // The throttling that begins after five minutes begins after five seconds.
  browser = await RawBrowser.launch([
    '--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/5',
  ]);
});
afterAll(async () => {
  await browser?.stop();
  await bridge?.stop();
  stub?.remove();
});

async function states(): Promise<string[]> {
  const health = (await bridge.get('/health')) as { engines: { state: string }[] };
  return health.engines.map(({ state }) => state);
}

const open = async (profile?: string) => {
  const before = (await states()).length;
  const page = await browser.open(bridge.url, profile);
  await until('the tab', async () => (await states()).length > before);
  return page;
};

async function closeAll(pages: readonly RawPage[]): Promise<void> {
  for (const page of pages) await browser.close(page).catch(() => {});
  await until('nobody', async () => (await states()).length === 0);
}

const draw = (steps: number) => bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps });

describe('a tab in a real browser', () => {
  it('R2 that crashes or freezes gives its job to another', async () => {
    const first = await open();
    const { events, stop } = await listenToJobs(bridge.url);
    const reply = draw(100);
    await until('a step', () => events.length > 2);
    const second = await open(await browser.profile());
    const crashAt = performance.now();
    void first.send('Page.crash').catch(() => {});
    await until('the second attempt', () => events.some(({ attempt }) => attempt === 2));
    const crashMs = (events.find(({ attempt }) => attempt === 2)?.at ?? 0) - crashAt;
    expect(crashMs).toBeLessThan(1_000 + 2 * STEP_MS);
    expect((await reply).status).toBe(200);
    await browser.close(first).catch(() => {});

    events.length = 0;
    const long = draw(200);
    await until('a step', () => events.length > 2);
    const third = await open(await browser.profile());
    const frozenAt = performance.now();
    await second.send('Page.setWebLifecycleState', { state: 'frozen' });
    await until('the second attempt', () => events.some(({ attempt }) => attempt === 2));
    const frozenMs = (events.find(({ attempt }) => attempt === 2)?.at ?? 0) - frozenAt;
    expect(frozenMs).toBeLessThan(12_000 + 2 * STEP_MS);
    expect((await long).status).toBe(200);

    const resumedAt = performance.now();
    await second.send('Page.setWebLifecycleState', { state: 'active' });
    await until(
      'the tab that was frozen',
      async () => (await states()).filter((state) => state === 'idle').length === 2,
    );
    const resumedMs = performance.now() - resumedAt;
    expect(resumedMs).toBeLessThan(3_000);
    await stop();
    await closeAll([second, third]);
    measured('R2', { crashMs: Math.round(crashMs), frozenMs: Math.round(frozenMs) });
    measured('R8', { afterFreezeMs: Math.round(resumedMs) });
  });

  it('R8 comes back by itself after a sleep and a reload', async () => {
    const page = await open();
    browser.signal('SIGSTOP');
    await until('silence', async () => {
      const health = (await bridge.get('/health')) as { status: string };
      return health.status === 'no-engine';
    });
    const reply = draw(4);
    await sleep(amount('SLEEP_MS', 1_000, 15_000));
    const wokenAt = performance.now();
    browser.signal('SIGCONT');
    await until(
      'the tab',
      async () => ((await bridge.get('/health')) as { status: string }).status === 'ready',
    );
    const wokenMs = performance.now() - wokenAt;
    expect((await reply).status).toBe(200);
    expect(wokenMs).toBeLessThan(3_000);

    const reloadedAt = performance.now();
    await page.send('Page.reload');
    await sleep(50);
    await until('the tab', async () => (await states()).includes('idle'));
    const reloadedMs = performance.now() - reloadedAt;
    expect(reloadedMs).toBeLessThan(3_000);
    await closeAll([page]);
    measured('R8', { afterSleepMs: Math.round(wokenMs), afterReloadMs: Math.round(reloadedMs) });
  });

  const seconds = amount('HIDDEN_SECONDS', 8, 600);

  it(`R7 keeps its speed in the background for ${seconds} s`, {
    timeout: 120_000 + seconds * 2_000,
  }, async () => {
    const page = await open();
    const { events, stop } = await listenToJobs(bridge.url);
    /** Pictures a second over so many seconds, and the longest silence of the tab's worker meanwhile. */
    const work = async (length: number) => {
      const start = performance.now();
      events.length = 0;
      let jobs = 0;
      while (performance.now() - start < length * 1_000) {
        expect((await draw(4)).status).toBe(200);
        jobs += 1;
      }
      const times = [start, ...events.map(({ at }) => at)];
      const silences = times.slice(1).map((at, place) => at - (times[place] ?? at));
      return {
        perSecond: (jobs * 1_000) / (performance.now() - start),
        silenceMs: Math.round(Math.max(...silences)),
      };
    };
    const isHidden = async () => (await page.evaluate('document.visibilityState')) === 'hidden';
    // What else the machine does changes over minutes: the visible tab is measured before and after.
    const visibleSeconds = Math.max(4, seconds / 5);
    const before = await work(visibleSeconds);
    expect(await isHidden()).toBe(false);
    const front = await browser.open('about:blank');
    await browser.activate(front);
    await until('the hidden tab', isHidden);
    // Beyond the grace of the intensive throttling.
    await sleep(6_000);
    const hidden = await work(seconds);
    expect(await isHidden()).toBe(true);
    await browser.activate(page);
    await until('the visible tab', async () => !(await isHidden()));
    const after = await work(visibleSeconds);
    const ratio = hidden.perSecond / ((before.perSecond + after.perSecond) / 2);
    // A hidden tab's own timers tick once a second or a minute: a fifth at best, or nothing at all.
    expect(ratio).toBeGreaterThan(0.6);
    await stop();
    await browser.close(front);
    await closeAll([page]);
    const rounded = (value: number) => Math.round(value * 100) / 100;
    measured('R7', {
      ...{ seconds, visibleBefore: rounded(before.perSecond) },
      ...{ hidden: rounded(hidden.perSecond), visibleAfter: rounded(after.perSecond) },
      ...{ ratio: rounded(ratio), silenceMs: hidden.silenceMs },
    });
  });

  it('R10 of the same profile waits for the first and takes over when that closes', async () => {
    const first = await open();
    const second = await browser.open(bridge.url);
    await sleep(1_000);
    expect(await states()).toEqual(['idle']);
    const reply = draw(100);
    await sleep(300);
    const closedAt = performance.now();
    await browser.close(first);
    await until('the second tab', async () => (await states()).length === 1, 5_000);
    const takeoverMs = performance.now() - closedAt;
    expect(takeoverMs).toBeLessThan(2_000);
    expect((await reply).status).toBe(200);
    await closeAll([second]);
    measured('R10', { takeoverMs: Math.round(takeoverMs) });
  });

  it('S12 of another site can neither show nor run what is stored', async () => {
    const page = await open();
    const reply = await draw(1);
    const id = reply.headers.get('x-easel-job');
    expect(reply.status).toBe(200);
    const address = `${bridge.url}/easel/v1/jobs/${id}/images/0`;
    const picture = await fetch(address);
    expect(picture.headers.get('content-type')).toBe('image/png');
    expect(picture.headers.get('x-content-type-options')).toBe('nosniff');
    expect(picture.headers.get('content-security-policy')).toContain("default-src 'none'");
    const site = createServer((_, response) => response.end('<!doctype html><title>x</title>'));
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    // 127.0.0.1 and localhost are two sites.
    const other = await browser.open(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
    const load = (tag: string) => `new Promise((resolve) => {
      const node = document.createElement('${tag}');
      node.onload = () => resolve('loaded');
      node.onerror = () => resolve('blocked');
      node.src = ${JSON.stringify(address)};
      document.head.append(node);
    })`;
    await sleep(300);
    expect(await other.evaluate(load('img'))).toBe('blocked');
    expect(await other.evaluate(load('script'))).toBe('blocked');
    expect(await page.evaluate(load('img'))).toBe('loaded');
    expect(await page.evaluate(load('script'))).toBe('blocked');
    await browser.close(other);
    await closeAll([page]);
    site.close();
    measured('S12', { crossSiteLoads: 0, scriptsRun: 0 });
  });
});
