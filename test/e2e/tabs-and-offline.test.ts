import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser } from './support/browser.ts';
import { openStaticHost } from './support/static-host.ts';

describe('the page without a bridge', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
  const takeOver = (page: Page) => button(page, 'Use this tab instead');

  /** The checkpoint that is in memory, as the choice of one says. */
  const inMemory = (page: Page) =>
    page.getByText('In use: easel-tiny').waitFor({ state: 'attached' });

  async function make(page: Page, prompt: string): Promise<void> {
    await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill(prompt);
    await page.getByLabel('Steps', { exact: true }).fill('1');
    await button(page, 'Generate').click();
    await page.getByRole('img', { name: prompt }).waitFor({ timeout: 120_000 });
  }

  it.each([
    ['whose headers isolate it', true],
    ['that sends none', false],
  ])('opens and draws offline after the first load, from a host %s', async (_, isIsolated) => {
    const host = await openStaticHost({ isIsolated });
    const context = await browser.newContext();
    const page = await context.newPage();
    let loads = 0;
    page.on('load', () => {
      loads += 1;
    });
    await page.goto(`${host.url}?device=wasm`);
    await inMemory(page);
    expect(loads).toBe(isIsolated ? 1 : 2);
    // The canvas of Edit comes last, once the page has stood for two seconds.
    const kept = () =>
      page.evaluate(async () => {
        const requests = await (await caches.open('easel-page-1')).keys();
        return requests.map(({ url }) => url).join('\n');
      });
    await expect.poll(kept, { timeout: 20_000 }).toMatch(/edit-view.*\.js(?:\n|$)/);
    await expect.poll(kept, { timeout: 20_000 }).toMatch(/edit-view.*\.css(?:\n|$)/);
    await host.close();

    await page.reload();
    await inMemory(page);
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await make(page, 'a red apple');
    await page.getByRole('link', { name: 'Edit', exact: true }).click();
    await button(page, 'Begin with a blank canvas').waitFor();
    await context.close();
  });

  it('can be installed; one tab is the engine, others say so and take over', async () => {
    const host = await openStaticHost();
    const context = await browser.newContext();
    const first = await context.newPage();
    await first.goto(`${host.url}?device=wasm`);
    await inMemory(first);
    const session = await context.newCDPSession(first);
    const { installabilityErrors: errors } = await session.send('Page.getInstallabilityErrors');
    // The contexts of tests are incognito windows, where nothing can be installed.
    expect(errors.filter(({ errorId }) => errorId !== 'in-incognito')).toEqual([]);

    const second = await context.newPage();
    await second.goto(`${host.url}?device=wasm`);
    await second
      .getByText(/Another tab of this browser runs Easel/)
      .first()
      .waitFor();
    await takeOver(second).click();
    await inMemory(second);
    await takeOver(first).waitFor();
    await first.getByText('In use: easel-tiny').waitFor({ state: 'detached' });
    expect(await takeOver(second).count()).toBe(0);

    // Whoever asks for a picture takes over too, and keeps what was typed.
    await make(first, 'a blue car');
    await takeOver(second).waitFor();
    await first.close();
    await takeOver(second).waitFor({ state: 'detached' });
    await make(second, 'a fox');
    await context.close();
    await host.close();
  });
});
