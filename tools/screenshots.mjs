// `npm run screenshots [-- FOLDER]`: every view in light, dark and phone sizes, with pictures and empty, with all
// panels open, where something went wrong, and while a picture is made. To be looked at; it is no test.

import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ensureChromium } from './lib/chromium.mjs';
import { freePort } from './lib/free-port.mjs';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

requireNode();
ensureDependencies();
const executablePath = ensureChromium();
const { build } = await import('./build.mjs');
await build({ onlyIfStale: true });
const { chromium } = await import('playwright');

const folder = resolve(process.argv[2] ?? join(ROOT, 'build', 'screenshots'));
mkdirSync(folder, { recursive: true });

const VIEWS = ['create', 'edit', 'gallery', 'models', 'png-info', 'settings'];
const LOOKS = [
  { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 860 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 860 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 390, height: 844 } },
];

async function until(condition) {
  for (let i = 0; i < 600; i++) {
    if (await condition().catch(() => false)) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error('the bridge did not become ready');
}

const port = await freePort();
const url = `http://localhost:${port}`;
const data = mkdtempSync(join(tmpdir(), 'easel-screenshots-'));
// Tiny models of every kind, so that every panel has something to choose.
for (const [from, to] of [
  ['sd15-tiny', 'Stable-diffusion/sd15-tiny'],
  ['controlnet-tiny', 'ControlNet/canny-tiny'],
  ['vae-tiny.safetensors', 'VAE/soft.safetensors'],
  ['loras/sd15-kohya.safetensors', 'Lora/style.safetensors'],
]) {
  const place = join(data, 'models', to);
  mkdirSync(join(place, '..'), { recursive: true });
  cpSync(join(ROOT, 'test/fixtures/models', from), place, { recursive: true });
}
const bridge = spawn(
  process.execPath,
  [
    ...[join(ROOT, 'build/bridge/main.js'), '--port', String(port), '--data-dir', data],
    ...['--browser', 'none', '--models-dir', join(data, 'models')],
  ],
  { stdio: 'ignore' },
);
const gone = new Promise((done) => bridge.once('exit', done));
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-quic'] });

try {
  await until(async () => (await fetch(`${url}/health`)).status > 0);
  const page = await browser.newPage();
  const shoot = async (name, { fullPage = false } = {}) => {
    await page.waitForTimeout(500);
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage });
    console.log(`${name}.png`);
  };
  const open = async (view) => {
    await page.goto(`${url}/?device=wasm#${view}`);
    await page.locator(`nav a[aria-current=page][href="#${view}"]`).waitFor();
  };
  const looks = async (show) => {
    for (const { name, colorScheme, viewport } of LOOKS) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      await show(name);
    }
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize(LOOKS[0].viewport);
  };
  const views = (state) =>
    looks(async (name) => {
      for (const view of VIEWS) {
        await open(view);
        await page.waitForTimeout(700);
        await shoot(`${view}-${state}-${name}`);
      }
    });
  const button = (name) => page.getByRole('button', { name, exact: true });
  const noPicture = { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('no') };
  const chooseWrongFile = () => page.locator('input[type=file]').first().setInputFiles(noPicture);

  await open('create');
  await until(async () => (await fetch(`${url}/health`)).status === 200);
  await views('empty');

  for (const [index, prompt] of [
    'a red apple, 3d',
    'an owl',
    'a blue butterfly',
    'a yellow sun',
  ].entries()) {
    const reply = await fetch(`${url}/sdapi/v1/txt2img`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt, steps: 20, seed: index + 1 }),
    });
    if (!reply.ok) throw new Error(`no picture: ${await reply.text()}`);
  }
  await open('create');
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('a red apple, 3d');
  await page.getByLabel('Steps', { exact: true }).fill('200');
  await button('Generate').click();
  await page.getByRole('progressbar').first().waitFor();
  await page.waitForTimeout(1_500);
  await looks((name) => shoot(`create-loading-${name}`));
  await button('Interrupt').click();
  await page.getByRole('progressbar').first().waitFor({ state: 'detached', timeout: 60_000 });
  await page.getByLabel('Steps', { exact: true }).fill('8');
  await button('Generate').click();
  await page.getByRole('link', { name: 'Download' }).first().waitFor({ timeout: 120_000 });
  await looks((name) => shoot(`create-finished-${name}`));

  // Everything that unfolds, unfolded; a unit of ControlNet without its picture, and a wrong number.
  await page.getByLabel('Hires. fix: enlarge and refine').check();
  await page.getByLabel('Refiner: finish with another checkpoint').check();
  for (const title of ['Styles', 'ControlNet', 'Compare', 'More settings']) {
    await page.getByText(title, { exact: true }).click();
  }
  await page.getByLabel('Unit 0', { exact: true }).check();
  await page.getByLabel('Preprocessor', { exact: true }).selectOption('Canny: edges');
  await looks((name) => shoot(`create-panels-${name}`, { fullPage: true }));
  await page.getByLabel('Steps', { exact: true }).fill('0');
  await chooseWrongFile();
  await button('Generate').click();
  await page.getByText('A picture is missing', { exact: false }).waitFor();
  await looks((name) => shoot(`create-error-${name}`, { fullPage: true }));

  await open('edit');
  await button('Begin with a blank canvas').click();
  await page.getByRole('application', { name: 'Canvas' }).focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  await page.getByText('Upscale', { exact: true }).click();
  await chooseWrongFile();
  await looks((name) => shoot(`edit-painting-${name}`));

  await page.evaluate(() => localStorage.clear());
  await views('full');
  await open('gallery');
  await page.locator('.grid-cell').first().click();
  await looks((name) => shoot(`gallery-open-${name}`));

  for (const view of ['png-info', 'models']) {
    await open(view);
    await chooseWrongFile();
    await page.getByRole('alert').first().waitFor();
    await looks((name) => shoot(`${view}-error-${name}`));
  }

  // The bridge goes away under the page.
  await open('create');
  await page.waitForTimeout(1_000);
  bridge.kill('SIGTERM');
  await gone;
  for (const view of ['gallery', 'settings', 'create']) {
    await page.locator(`nav a[href="#${view}"]`).click();
    await page.waitForTimeout(2_500);
    await looks((name) => shoot(`${view}-no-bridge-${name}`));
  }
} finally {
  await browser.close();
  bridge.kill('SIGTERM');
  rmSync(data, { recursive: true, force: true });
}
console.log(`\nWritten to ${folder}`);
