import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const VIEWS = ['create', 'edit', 'gallery', 'models', 'png-info', 'settings'] as const;

const SIZES = [
  ['wide', 1280, 860],
  ['phone', 390, 844],
] as const;

/** What axe finds, as "rule: element" lines; WCAG 2 A and AA with axe's best practices. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: {
        run(): Promise<{
          passes: unknown[];
          violations: { id: string; nodes: { html: string; target: string[] }[] }[];
        }>;
      };
    };
    const result = await axe.run();
    // A page that axe could not look at would have no violations either.
    if (result.passes.length < 10) throw new Error('axe checked next to nothing');
    return result.violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, target }) => `${id}: ${target.join(' ')} ${html.slice(0, 120)}`),
    );
  });
}

describe('gallery, settings and all views', () => {
  let browser: Browser;
  let bridge: RunningBridge;
  let page: Page;
  const problems: string[] = [];
  const open = async (view: (typeof VIEWS)[number]) => {
    await page.goto(`${bridge.url}/?device=wasm#${view}`);
    await page.locator(`nav a[aria-current=page][href="#${view}"]`).waitFor();
  };

  beforeAll(async () => {
    browser = await launchBrowser();
    bridge = await startBridge(['--browser', 'none']);
    page = await browser.newPage();
    page.on('pageerror', (error) => problems.push(String(error)));
    await open('create');
    await bridge.ready();
    for (const [index, prompt] of ['a red apple', 'an owl', 'a blue car'].entries()) {
      const job = { prompt, steps: 2, seed: index + 1, width: 256, height: 256 };
      expect((await bridge.post('/sdapi/v1/txt2img', job)).status).toBe(200);
    }
    const { outdir_samples: folder } = await bridge.get<{ outdir_samples: string }>(
      '/sdapi/v1/options',
    );
    writeFileSync(join(folder, 'broken.png'), 'no picture');
  });
  afterAll(async () => {
    await browser?.close();
    await bridge?.stop();
  });

  it('the gallery shows saved pictures, finds, selects, packs, deletes and reuses them', async () => {
    await open('gallery');
    const cell = (name: string) => page.getByRole('button', { name: `Open: ${name}` });
    await cell('a blue car').waitFor();
    expect(await page.locator('.grid-cell').count()).toBe(4);
    await page.getByText('This file is damaged or gone.').waitFor();

    await page.getByRole('searchbox').fill('OWL');
    await expect.poll(() => page.locator('.grid-cell').count()).toBe(1);
    await page.getByRole('searchbox').fill('');
    await page.getByLabel('Kept in').selectOption('This browser');
    await page.getByText('No picture matches.').waitFor();
    await page.getByRole('button', { name: 'Show all' }).click();

    // The broken one was written last, so it comes first.
    await cell('a blue car').click({ modifiers: ['Control'] });
    await cell('a red apple').click({ modifiers: ['Shift'] });
    await page.getByText('3 selected').waitFor();
    const zip = page.getByRole('button', { name: 'Download as zip' });
    const [download] = await Promise.all([page.waitForEvent('download'), zip.click()]);
    const files = unzipSync(readFileSync((await download.path()) ?? ''));
    expect(Object.keys(files)).toHaveLength(3);
    for (const bytes of Object.values(files))
      expect(bytes.subarray(1, 4)).toEqual(Uint8Array.from([0x50, 0x4e, 0x47]));

    await cell('an owl').click({ modifiers: ['Control'] });
    await cell('a red apple').click({ modifiers: ['Control'] });
    await page.getByText('1 selected').waitFor();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await cell('a blue car').waitFor({ state: 'detached' });
    const { total } = await bridge.get<{ total: number }>('/easel/v1/outputs');
    expect(total).toBe(3);

    await cell('an owl').click();
    await page.getByRole('button', { name: 'Reuse all' }).click();
    const prompt = page.getByRole('textbox', { name: 'Prompt', exact: true });
    await expect.poll(() => prompt.inputValue()).toBe('an owl');
    expect(await page.getByLabel('Seed', { exact: true }).inputValue()).toBe('2');
    expect(await page.getByLabel('Steps', { exact: true }).inputValue()).toBe('2');
  });

  it('settings and the API have the same options, and clients are shown with their last error', async () => {
    await open('settings');
    const clipSkip = page.getByLabel('CLIP_stop_at_last_layers');
    await clipSkip.fill('2');
    await clipSkip.blur();
    const read = async () =>
      (await bridge.get('/sdapi/v1/options')).CLIP_stop_at_last_layers as number;
    await expect.poll(read).toBe(2);
    await bridge.post('/sdapi/v1/options', { CLIP_stop_at_last_layers: 3 });
    await expect.poll(() => clipSkip.inputValue(), { timeout: 10_000 }).toBe('3');
    await clipSkip.fill('99');
    await clipSkip.blur();
    await page.getByText('ensure this value is from 1 to 12').waitFor();
    await expect.poll(() => clipSkip.inputValue()).toBe('3');
    await bridge.post('/sdapi/v1/options', { CLIP_stop_at_last_layers: 1 });

    const headers = { origin: 'https://lite.koboldai.net' };
    await bridge.post('/sdapi/v1/txt2img', { width: 'wide' }, headers);
    await page.getByText(/422 on \/sdapi\/v1\/txt2img/).waitFor({ timeout: 10_000 });
    expect(await page.locator('.client').first().innerText()).toContain('KoboldAI Lite');

    await page.getByRole('button', { name: 'Measure the speed' }).click();
    await page.getByText(/it\/s with easel-tiny/).waitFor({ timeout: 60_000 });
  });

  it('axe finds nothing in any view, wide and on a phone, light and dark, all panels and dialogs open', async () => {
    const found: string[] = [];
    const check = async (what: string) => {
      for (const line of await violations(page)) found.push(`${what}: ${line}`);
      const { scrollWidth, clientWidth } = await page.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return { scrollWidth, clientWidth };
      });
      if (scrollWidth > clientWidth) found.push(`${what}: is wider than the window`);
    };
    for (const [size, width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        for (const view of VIEWS) {
          await open(view);
          await page.locator('#content h1').first().waitFor({ state: 'attached' });
          if (view === 'gallery') await page.locator('.grid-cell img').first().waitFor();
          if (view === 'settings') await page.getByLabel('CLIP_stop_at_last_layers').waitFor();
          if (view === 'create') await page.getByLabel('Hires. fix: enlarge and refine').check();
          await page.evaluate(() => {
            for (const panel of document.querySelectorAll('details')) panel.open = true;
          });
          await check(`${view}, ${size}, ${colorScheme}`);
        }
        await open('gallery');
        await page.locator('.grid-cell').first().click();
        await page.getByRole('dialog').waitFor();
        await check(`picture, ${size}, ${colorScheme}`);
        await page.getByRole('button', { name: 'Close', exact: true }).click();
      }
    }
    expect(found).toEqual([]);
    expect(problems).toEqual([]);
  });
});
