import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { openStaticHost } from './support/static-host.ts';

/** A name of this machine that does not sound like it: its page is one of another machine. */
const FAR_HOST = 'studio.example';

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const prompt = (page: Page) => page.getByRole('textbox', { name: 'Prompt', exact: true });
const alert = (page: Page, text: string | RegExp) =>
  page.getByRole('alert').filter({ hasText: text }).first();

/** Begins a picture of few steps. */
async function begin(page: Page, words: string): Promise<void> {
  await prompt(page).fill(words);
  await page.getByLabel('Steps', { exact: true }).fill('1');
  await button(page, 'Generate').click();
}

const made = (page: Page, words: string) =>
  page.getByRole('img', { name: words, exact: true }).first().waitFor({ timeout: 120_000 });

describe('bad luck', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser({ args: [`--host-resolver-rules=MAP ${FAR_HOST} 127.0.0.1`] });
  });
  afterAll(() => browser?.close());

  it('a full disk is told where it is met, and nothing that was made or painted is lost', async () => {
    const host = await openStaticHost();
    const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
    const page = await context.newPage();
    await page.addInitScript(() => {
      const { put } = IDBObjectStore.prototype;
      IDBObjectStore.prototype.put = function (...args) {
        if ('isDiskFull' in globalThis) throw new DOMException('full', 'QuotaExceededError');
        return put.apply(this, args);
      };
    });
    await page.goto(`${host.url}?device=wasm`);
    await page.getByText('In use: easel-tiny').waitFor({ state: 'attached' });
    await page.evaluate(() => Object.assign(globalThis, { isDiskFull: true }));

    await begin(page, 'a red apple');
    await made(page, 'a red apple');
    await alert(page, 'could not be kept in the gallery').waitFor();
    expect(await page.getByRole('link', { name: 'Download' }).count()).toBeGreaterThan(0);

    await button(page, 'Send to Edit').click();
    await page.getByRole('application', { name: 'Canvas' }).waitFor();
    await alert(page, 'no room to keep the canvas').waitFor({ timeout: 10_000 });
    await page.getByRole('application', { name: 'Canvas' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await page.getByLabel('Mask blur').waitFor();

    // With room again the next picture is kept, and so is the canvas.
    await page.evaluate(() => Reflect.deleteProperty(globalThis, 'isDiskFull'));
    await page.getByRole('link', { name: 'Create', exact: true }).click();
    expect(await prompt(page).inputValue()).toBe('a red apple');
    await begin(page, 'an owl');
    await made(page, 'an owl');
    await alert(page, 'could not be kept in the gallery').waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'Edit', exact: true }).click();
    await page.getByRole('application', { name: 'Canvas' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await page.locator('main[data-kept="true"]').waitFor({ timeout: 10_000 });
    await alert(page, 'no room to keep the canvas').waitFor({ state: 'detached' });
    await context.close();
    await host.close();
  });

  it('a dead bridge is told on every page of it; all go on by themselves once it is back', async () => {
    const args = ['--browser', 'none', '--allow-host', FAR_HOST];
    const bridge = await startBridge(args);
    const near = await (await browser.newContext()).newPage();
    await near.goto(`${bridge.url}/?device=wasm`);
    await bridge.ready();
    const far = await (await browser.newContext()).newPage();
    await far.goto(`http://${FAR_HOST}:${bridge.port}/`);
    await far.getByText('Bridge connected').waitFor();
    expect(await bridge.stop()).toBe(0);

    // The engine is in the tab, so its own page draws on.
    await near.getByText('The connection to the bridge was lost; trying again.').waitFor();
    await begin(near, 'a red apple');
    await made(near, 'a red apple');
    await begin(far, 'a blue car');
    await alert(far, 'The bridge does not answer.').waitFor({ timeout: 20_000 });
    expect(await prompt(far).inputValue()).toBe('a blue car');

    const again = await startBridge(args, { port: bridge.port });
    await near.getByText('Bridge connected').waitFor({ timeout: 30_000 });
    await far.getByText('Bridge connected').waitFor({ timeout: 30_000 });
    await button(far, 'Generate').click();
    await made(far, 'a blue car');
    expect(await far.getByRole('alert').count()).toBe(0);
    await near.context().close();
    await far.context().close();
    await again.stop();
  });
});
