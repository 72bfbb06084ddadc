import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { measured } from '../promises/figures.ts';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { RawBrowser, type RawPage } from './support/raw-browser.ts';
import { stubRoot } from './support/stub-tab.ts';

/** Browsers ask before a page of the internet may reach this machine (local network access). */
describe('a page that counts as one of the internet', () => {
  let stub: Awaited<ReturnType<typeof stubRoot>>;
  let bridge: RunningBridge;
  let browser: RawBrowser;
  let site: Server;
  let page: RawPage;
  let origin: string;

  beforeAll(async () => {
    stub = await stubRoot(1);
    bridge = await startBridge(['--browser', 'none', '--log-level', 'debug'], { root: stub.root });
    site = createServer((_, response) => {
      response.setHeader('content-type', 'text/html');
      response.end('<!doctype html><title>public</title>');
    });
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    const { port } = site.address() as AddressInfo;
    origin = `http://127.0.0.1:${port}`;
    browser = await RawBrowser.launch([`--ip-address-space-overrides=127.0.0.1:${port}=public`]);
    await browser.open(bridge.url);
    page = await browser.open(`${origin}/`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  });

  afterAll(async () => {
    await browser?.stop();
    site?.close();
    await bridge?.stop();
    stub?.remove();
  });

  async function decide(setting: 'granted' | 'denied'): Promise<void> {
    for (const name of ['local-network-access', 'local-network', 'loopback-network']) {
      // Which of the names a browser has depends on its age.
      await browser
        .send('Browser.setPermission', { permission: { name }, setting, origin })
        .catch(() => {});
    }
  }

  /** The calls that KoboldAI Lite makes, in its order. */
  const FLOW = `(async (base) => {
    const json = async (path, body) => {
      const init = body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
      return await (await fetch(base + path, init)).json();
    };
    try {
      const models = await json('/sdapi/v1/sd-models');
      await json('/sdapi/v1/options');
      const { images } = await json('/sdapi/v1/txt2img', { prompt: 'x', steps: 2, width: 64, height: 64 });
      return { models: models.length, images: images.length };
    } catch (error) {
      return { error: String(error) };
    }
  })`;

  it('S15 reaches nothing without the permission, and everything with it, no header needed', async () => {
    const requests = () => bridge.output().split('path=/sdapi/').length - 1;
    await decide('denied');
    const before = requests();
    const refused = await page.evaluate<{ error?: string }>(
      `${FLOW}(${JSON.stringify(bridge.url)})`,
    );
    expect(refused.error).toContain('Failed to fetch');
    expect(requests() - before).toBe(0);
    await decide('granted');
    const allowed = await page.evaluate<{ images?: number; models?: number }>(
      `${FLOW}(${JSON.stringify(bridge.url)})`,
    );
    expect(allowed).toMatchObject({ images: 1, models: expect.any(Number) });
    measured('S15', { requestsWhenDenied: 0, picturesWhenGranted: allowed.images ?? 0 });
  });
});
