import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { contrast, decodePng } from './support/png.ts';
import { openStaticHost } from './support/static-host.ts';

/** Types into the page as a person would, by the names that the design settles. */
async function generateByHand(page: Page, prompt: string): Promise<Buffer> {
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill(prompt);
  await page.getByRole('textbox', { name: 'Negative prompt', exact: true }).fill('blurry');
  await page.getByLabel('Steps', { exact: true }).fill('4');
  await page.getByLabel('Seed', { exact: true }).fill('11');
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  await page.getByRole('progressbar').first().waitFor({ timeout: 60_000 });
  const download = page
    .getByRole('link', { name: /Download/ })
    .or(page.getByRole('button', { name: /Download/ }));
  await download.first().waitFor({ timeout: 180_000 });
  const [file] = await Promise.all([page.waitForEvent('download'), download.first().click()]);
  const chunks: Buffer[] = [];
  for await (const chunk of await file.createReadStream()) chunks.push(chunk);
  expect(file.suggestedFilename()).toMatch(/\.png$/);
  return Buffer.concat(chunks);
}

describe('the page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  describe('served by the bridge', () => {
    let bridge: RunningBridge;
    beforeAll(async () => {
      bridge = await startBridge(['--browser', 'none']);
    });
    afterAll(() => bridge?.stop());

    it('makes a picture by hand, shows the device and the bridge, and offers the download', async () => {
      const page = await browser.newPage();
      const problems: string[] = [];
      page.on('pageerror', (error) => problems.push(String(error)));
      page.on('console', (message) => {
        if (message.type() === 'error') problems.push(message.text());
      });
      await page.goto(`${bridge.url}/?device=wasm`);
      await bridge.ready();
      const bytes = await generateByHand(page, 'a red apple, 3d');
      const picture = decodePng(bytes);
      expect([picture.width, picture.height]).toEqual([512, 512]);
      expect(contrast(picture)).toBeGreaterThan(10);
      const text = await page.locator('body').innerText();
      expect(text).toMatch(/wasm/i);
      expect(problems).toEqual([]);
      await page.close();
    });
  });

  describe('on a static host, under a sub-path, with no bridge and no headers', () => {
    let host: Awaited<ReturnType<typeof openStaticHost>>;
    beforeAll(async () => {
      host = await openStaticHost();
    });
    afterAll(() => host?.close());

    it('makes a picture', async () => {
      const page = await browser.newPage();
      await page.goto(`${host.url}?device=wasm`);
      const picture = decodePng(await generateByHand(page, 'a yellow sun'));
      expect([picture.width, picture.height]).toEqual([512, 512]);
      expect(contrast(picture)).toBeGreaterThan(10);
      await page.close();
    });
  });
});
