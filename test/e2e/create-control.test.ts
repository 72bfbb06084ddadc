import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Locator, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT, type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';

const FIXTURES = join(ROOT, 'test/fixtures/models');
/** A name of this machine that does not sound like it: its page is one of another machine. */
const FAR_HOST = 'studio.example';

describe('refiner, VAE and ControlNet units of the page', () => {
  let models: string;
  let bridge: RunningBridge;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;

  beforeAll(async () => {
    models = mkdtempSync(join(tmpdir(), 'easel-models-'));
    const put = (from: string, to: string) => {
      mkdirSync(join(models, to, '..'), { recursive: true });
      cpSync(join(FIXTURES, from), join(models, to), { recursive: true });
    };
    put('sd15-tiny', 'Stable-diffusion/one');
    put('sd15-tiny', 'Stable-diffusion/two');
    put('controlnet-tiny', 'ControlNet/canny-tiny');
    put('vae-tiny.safetensors', 'VAE/soft.safetensors');
    const args = ['--browser', 'none', '--models-dir', models, '--ckpt', 'one'];
    bridge = await startBridge([...args, '--allow-host', FAR_HOST]);
    browser = await launchBrowser({ args: [`--host-resolver-rules=MAP ${FAR_HOST} 127.0.0.1`] });
    context = await browser.newContext();
    page = await context.newPage();
    await page.goto(`${bridge.url}/?device=wasm&precision=fp32`);
    await bridge.ready();
  });
  afterAll(async () => {
    await browser?.close();
    await bridge?.stop();
    rmSync(models, { recursive: true, force: true });
  });

  const button = (on: Page | Locator, name: string) =>
    on.getByRole('button', { name, exact: true });
  const field = (on: Page | Locator, name: string) => on.getByLabel(name, { exact: true });

  /** Fills the fields that every job here has. */
  async function describePicture(on: Page): Promise<void> {
    await on.getByRole('textbox', { name: 'Prompt', exact: true }).fill('an apple');
    for (const [name, value] of [
      ['Steps', '4'],
      ['Width', '64'],
      ['Height', '64'],
      ['Seed', '7'],
    ] as const) {
      await field(on, name).fill(value);
    }
  }

  /** Chooses a drawn picture with the button of an area. */
  async function choosePicture(on: Page, area: Locator): Promise<void> {
    const drawn = await on.evaluate(() => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 96, height: 64 });
      const pen = canvas.getContext('2d')!;
      pen.fillStyle = '#1428a0';
      pen.fillRect(0, 0, 96, 64);
      pen.fillStyle = '#fff';
      pen.fillRect(30, 16, 40, 32);
      return canvas.toDataURL().split(',')[1] ?? '';
    });
    const [chooser] = await Promise.all([
      on.waitForEvent('filechooser'),
      button(area, 'choose a file').click(),
    ]);
    const buffer = Buffer.from(drawn, 'base64');
    await chooser.setFiles({ name: 'box.png', mimeType: 'image/png', buffer });
  }

  async function make(on: Page): Promise<string> {
    await button(on, 'Generate').click();
    await on.getByRole('progressbar').waitFor();
    await on.getByRole('progressbar').waitFor({ state: 'detached', timeout: 120_000 });
    await on.getByText('Details', { exact: true }).waitFor();
    await on.getByText('Details', { exact: true }).click();
    return on.locator('.infotext').innerText();
  }

  it('make a picture, are there after a reload, and are filled from the picture', async () => {
    await describePicture(page);
    await page.getByText('ControlNet', { exact: true }).click();
    const unit = page.getByRole('group', { name: 'Unit 0' });
    await field(unit, 'Unit 0').check();
    expect(await field(unit, 'ControlNet').inputValue()).toBe('canny-tiny');
    await field(unit, 'Preprocessor').selectOption('Canny: edges');
    await field(unit, 'Canny low threshold').fill('50');
    await field(unit, 'Ending control step').fill('0.9');
    await button(page, 'Generate').click();
    await unit.getByRole('alert').filter({ hasText: 'A picture is missing' }).waitFor();

    await choosePicture(page, unit);
    await unit.getByRole('img', { name: 'What unit 0 keeps to' }).waitFor();
    expect(await page.locator('.init-picture').count()).toBe(0);
    await page.getByLabel('Refiner: finish with another checkpoint').check();
    expect(await field(page, 'Refiner checkpoint').inputValue()).toBe('two');
    await page.getByRole('slider', { name: 'Switch at' }).fill('0.5');
    await page.getByText('More settings').click();
    await field(page, 'VAE').selectOption('soft');
    const infotext = await make(page);
    expect(infotext).toMatch(
      /VAE: soft\.safetensors.*ControlNet 0: "Module: canny, Model: canny-tiny.*Threshold A: 50\.0.*Guidance End: 0\.9.*Refiner: two.*Refiner switch at: 0\.5/,
    );

    await page.reload();
    await unit.getByRole('img', { name: 'What unit 0 keeps to' }).waitFor();
    expect(await field(unit, 'Canny low threshold').inputValue()).toBe('50');
    await field(unit, 'Unit 0').uncheck();
    await page.getByLabel('Refiner: finish with another checkpoint').uncheck();

    await page.getByRole('link', { name: 'Gallery', exact: true }).click();
    await page.getByRole('button', { name: 'Open: an apple' }).first().click();
    await button(page, 'Reuse all').click();
    await unit.waitFor();
    expect(await field(unit, 'Unit 0').isChecked()).toBe(true);
    expect(await field(page, 'Refiner checkpoint').inputValue()).toBe('two');
    await button(unit, 'Take the picture of unit 0 away').click();
    await field(unit, 'Unit 0').uncheck();
    await page.getByLabel('Refiner: finish with another checkpoint').uncheck();
  });

  it('are all at hand on another machine, whose page enlarges and compares too', async () => {
    const far = await (await browser.newContext()).newPage();
    await far.goto(`http://${FAR_HOST}:${bridge.port}/`);
    await far.getByText('Pictures are made on the bridge’s machine', { exact: false }).waitFor();
    await describePicture(far);
    await far.getByText('ControlNet', { exact: true }).click();
    const unit = far.getByRole('group', { name: 'Unit 0' });
    await field(unit, 'Unit 0').check();
    await choosePicture(far, unit);
    await far.getByText('Compare', { exact: true }).click();
    await field(far, 'Make').selectOption('X/Y/Z plot');
    await field(far, 'X type').selectOption('Steps');
    await field(far, 'X values').fill('1, 2');
    const infotext = await make(far);
    expect(infotext).toMatch(/ControlNet 0: .*Script: X\/Y\/Z plot, X Type: Steps/);
    await expect.poll(() => far.locator('.thumb').count()).toBe(3);

    await button(far, 'Send to Edit').click();
    await far.getByRole('application', { name: 'Canvas' }).waitFor();
    const { width } = (await far.locator('.layer-picture').evaluate((layer) => ({
      width: (layer as HTMLCanvasElement).width,
    }))) as { width: number };
    await far.getByText('Upscale', { exact: true }).click();
    await field(far, 'Upscaler').selectOption('Nearest');
    await field(far, 'Resize').fill('2');
    await button(far, 'Enlarge the picture').click();
    const result = far.locator('.result img').first();
    await result.waitFor({ timeout: 60_000 });
    await expect
      .poll(() => result.evaluate((image) => (image as HTMLImageElement).naturalWidth))
      .toBe(2 * width);
    await far.context().close();
  });
});
