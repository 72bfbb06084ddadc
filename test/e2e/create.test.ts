import type { Browser, BrowserContext, Locator, Page } from 'playwright';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchBrowser } from './support/browser.ts';
import { openStaticHost } from './support/static-host.ts';

describe('Create', () => {
  let browser: Browser;
  let host: Awaited<ReturnType<typeof openStaticHost>>;
  let context: BrowserContext;
  let page: Page;
  let problems: string[];

  beforeAll(async () => {
    [browser, host] = await Promise.all([launchBrowser(), openStaticHost()]);
  });
  afterAll(async () => {
    await browser?.close();
    await host?.close();
  });
  beforeEach(async () => {
    context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    page = await context.newPage();
    problems = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    await page.goto(`${host.url}?device=wasm`);
    await prompt().waitFor();
  });
  afterEach(async () => {
    expect(problems).toEqual([]);
    await context.close();
  });

  const prompt = (): Locator => page.getByRole('textbox', { name: 'Prompt', exact: true });
  const button = (name: string): Locator => page.getByRole('button', { name, exact: true });

  /** The infotext of the next picture. */
  async function make(): Promise<string> {
    await button('Generate').click();
    await page.getByRole('progressbar').waitFor();
    await page.getByRole('progressbar').waitFor({ state: 'detached', timeout: 120_000 });
    await page.getByText('Details', { exact: true }).click();
    return page.locator('.infotext').innerText();
  }

  it('counts tokens of the checkpoint, in chunks of 75', async () => {
    await prompt().fill('a red apple');
    const count = page.locator('.token-count').first();
    await expect.poll(() => count.textContent(), { timeout: 60_000 }).toMatch(/^[1-9]\d?\/75$/);
    await prompt().fill('apple '.repeat(80));
    await expect.poll(() => count.textContent()).toMatch(/^\d+\/150$/);
    await prompt().fill('');
    await expect.poll(() => count.textContent()).toBe('0/75');
  });

  it('colours and changes weights, and offers names while typing and before it', async () => {
    await prompt().fill('a red apple');
    await prompt().evaluate((area) => (area as HTMLTextAreaElement).setSelectionRange(2, 5));
    await prompt().press('Control+ArrowUp');
    expect(await prompt().inputValue()).toBe('a (red:1.1) apple');
    expect(await page.locator('.prompt-backdrop .part-stronger').first().textContent()).toContain(
      'red',
    );

    const offers = page.getByRole('listbox', { name: 'Names that fit' });
    await prompt().fill('');
    await prompt().press('Control+Space');
    await offers.getByRole('option', { name: '<lora:easel-tiny-lcm:1>' }).waitFor();
    await prompt().press('Escape');
    await expect.poll(() => offers.count()).toBe(0);
    await prompt().pressSequentially('a fox <lora:ti');
    await offers.waitFor();
    await prompt().press('Enter');
    expect(await prompt().inputValue()).toBe('a fox <lora:easel-tiny-lcm:1>');
    expect(await page.locator('.prompt-backdrop .part-network').count()).toBe(1);
  });

  it('refines a larger picture in a second pass', async () => {
    await prompt().fill('a red apple, 3d');
    await page.getByLabel('Steps', { exact: true }).fill('2');
    await page.getByLabel('Hires. fix: enlarge and refine').check();
    await page.getByLabel('Upscale by').fill('1.25');
    await page.getByText('gives 640 × 640').waitFor();
    const infotext = await make();
    expect(infotext).toMatch(/Hires upscale: 1\.25.*Hires upscaler: Latent/);
    await page.getByText(/^640 × 640 · seed/).waitFor();
  });

  it('compares two steps and two scales in a labelled grid, which the gallery keeps too', async () => {
    await prompt().fill('a red apple, 3d');
    await page.getByLabel('Width', { exact: true }).fill('64');
    await page.getByLabel('Height', { exact: true }).fill('64');
    await page.getByText('Compare', { exact: true }).click();
    await page.getByLabel('Make', { exact: true }).selectOption('X/Y/Z plot');
    await page.getByLabel('X type').selectOption('Steps');
    await page.getByLabel('X values').fill('1-2');
    await page.getByLabel('Y type').selectOption('CFG Scale');
    await page.getByLabel('Y values').fill('3, 5');
    const infotext = await make();
    expect(infotext).toMatch(
      /Script: X\/Y\/Z plot, X Type: Steps, X Values: 1-2, Y Type: CFG Scale, Y Values: "3, 5"/,
    );
    expect(await page.locator('.thumb').count()).toBe(5);
    // The labels stand beside and above four pictures of 64 pixels.
    const [, width, height] =
      /^(\d+) × (\d+) · seed/.exec(await page.locator('.facts').innerText()) ?? [];
    expect(Number(width)).toBeGreaterThan(128);
    expect(Number(height)).toBeGreaterThan(128);
    await page.getByRole('link', { name: 'Gallery', exact: true }).click();
    await expect.poll(() => page.locator('.grid-item').count()).toBe(5);
  });

  it('saves prompts as a style, draws with it, and knows it after a reload', async () => {
    await prompt().fill('ink drawing of {prompt}, quiet');
    await page.getByText('Styles', { exact: true }).click();
    await page.getByRole('textbox', { name: 'Name of a style' }).fill('ink');
    await button('Save prompts as style').click();
    await button('ink').click();
    await prompt().fill('a fox');
    await page.getByLabel('Steps', { exact: true }).fill('1');
    expect(await make()).toMatch(/^ink drawing of a fox, quiet\n/);

    await page.reload();
    await page.getByText('Styles: ink', { exact: true }).click();
    expect(await prompt().inputValue()).toBe('a fox');
    await button('Write them into the prompts').click();
    expect(await prompt().inputValue()).toBe('ink drawing of a fox, quiet');
    await button('Delete the style ink').click();
    await expect.poll(() => button('ink').count()).toBe(0);
  });
});
