import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { measured } from '../promises/figures.ts';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { listenToJobs, sleep, until } from './support/job-events.ts';
import { RawBrowser, type RawPage } from './support/raw-browser.ts';
import { stubRoot } from './support/stub-tab.ts';

/** Discards a tab by the browser's own page for that, as it does itself where memory is short. */
const DISCARD = `(async (address) => {
  const { DetailsProvider } = await import('chrome://discards/discards.mojom-webui.js');
  const provider = DetailsProvider.getRemote();
  const { infos } = await provider.getTabDiscardsInfo();
  const { id } = infos.find(({ tabUrl }) => tabUrl.startsWith(address));
  await provider.discardById(id, 1);
})`;

describe('a tab that the browser discards', () => {
  let stub: Awaited<ReturnType<typeof stubRoot>>;
  let bridge: RunningBridge;
  let browser: RawBrowser;
  let discards: RawPage;

  beforeAll(async () => {
    stub = await stubRoot(50);
    bridge = await startBridge(['--browser', 'none'], { root: stub.root });
    // The page for discarding is one of those that must be allowed first.
    browser = await RawBrowser.launch([], { internal_only_uis_enabled: true });
    // Not attached to: a tab that somebody debugs is not discarded.
    await browser.send('Target.createTarget', { url: bridge.url });
    await until('the tab', async () => (await health()).status === 'ready');
    discards = await browser.open('chrome://discards/');
    await browser.activate(discards);
  });
  afterAll(async () => {
    await browser?.stop();
    await bridge?.stop();
    stub?.remove();
  });

  const health = () => bridge.get<{ status: string }>('/health');

  it('R8 gives its job back at once, and is an engine again as soon as somebody looks at it', async () => {
    const { events, stop } = await listenToJobs(bridge.url);
    const reply = bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 60 });
    await until('a step', () => events.length > 2);
    const discardedAt = performance.now();
    await discards.evaluate(`${DISCARD}(${JSON.stringify(bridge.url)})`);
    await until('its end', async () => (await health()).status === 'no-engine');
    const noticedMs = performance.now() - discardedAt;
    await sleep(500);
    const { targetInfos } = await browser.send('Target.getTargets');
    const tab = (targetInfos as { targetId: string; url: string }[]).find(({ url }) =>
      url.startsWith(bridge.url),
    );
    const shownAt = performance.now();
    await browser.send('Target.activateTarget', { targetId: tab?.targetId });
    await until('the tab', async () => (await health()).status === 'ready');
    const backMs = performance.now() - shownAt;
    expect((await reply).status).toBe(200);
    await stop();
    expect(backMs).toBeLessThan(3_000);
    measured('R8', { discardNoticedMs: Math.round(noticedMs), afterDiscardMs: Math.round(backMs) });
  });
});
