// `npm run screenshots [-- FOLDER]`: every view in light, dark and phone sizes, with pictures and empty, and
// while a picture is made. To be looked at; it is no test.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ensureChromium } from './lib/chromium.mjs';
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

/** A port that was free a moment ago on loopback. */
function freePort() {
  return new Promise((done) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

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
const bridge = spawn(
  process.execPath,
  [
    join(ROOT, 'build/bridge/main.js'),
    '--port',
    String(port),
    '--data-dir',
    data,
    '--browser',
    'none',
  ],
  { stdio: 'ignore' },
);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-quic'] });

try {
  await until(async () => (await fetch(`${url}/health`)).status > 0);
  const page = await browser.newPage();
  const shoot = async (name) => {
    await page.waitForTimeout(500);
    await page.screenshot({ path: join(folder, `${name}.png`) });
    console.log(`${name}.png`);
  };
  const open = async (view) => {
    await page.goto(`${url}/?device=wasm#${view}`);
    await page.locator(`nav a[aria-current=page][href="#${view}"]`).waitFor();
  };
  const views = async (state) => {
    for (const { name, colorScheme, viewport } of LOOKS) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      for (const view of VIEWS) {
        await open(view);
        await page.waitForTimeout(700);
        await shoot(`${view}-${state}-${name}`);
      }
    }
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize(LOOKS[0].viewport);
  };

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
  await page.getByLabel('Steps', { exact: true }).fill('60');
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  await page.getByRole('progressbar').first().waitFor();
  await page.waitForTimeout(1_500);
  await shoot('create-loading-light');
  await page.getByRole('link', { name: 'Download' }).first().waitFor({ timeout: 120_000 });
  await shoot('create-finished-light');
  await views('full');
  await open('gallery');
  await page.locator('.grid-cell').first().click();
  await shoot('gallery-open-light');
} finally {
  await browser.close();
  bridge.kill('SIGTERM');
  rmSync(data, { recursive: true, force: true });
}
console.log(`\nWritten to ${folder}`);
