import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MODELS } from '../compiler/lib/files.ts';
import { singleFileBytes } from '../compiler/lib/single-file.ts';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { inspectStore } from './support/store.ts';

describe('checkpoints of the own disk, in a real browser', () => {
  let bridge: RunningBridge;
  let browser: Browser;
  let context: BrowserContext;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'easel-models-'));
    writeFileSync(join(folder, 'served.safetensors'), singleFileBytes('sd15-tiny'));
    bridge = await startBridge(['--browser', 'none', '--ckpt-dir', folder]);
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await bridge?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const row = (page: Page, name: string) => page.locator('.model-row').filter({ hasText: name });

  async function openModels(): Promise<Page> {
    const page = await context.newPage();
    await page.goto(`${bridge.url}/?device=wasm#models`);
    await page.getByRole('heading', { name: 'Models' }).waitFor();
    return page;
  }

  async function choose(page: Page, name: string, bytes = singleFileBytes('sd15-tiny')) {
    await page.getByLabel('choose files').setInputFiles({
      ...{ name, mimeType: 'application/octet-stream' },
      buffer: Buffer.from(bytes),
    });
  }

  const inMemory = (page: Page, name: string) =>
    row(page, name).getByText('In memory', { exact: true }).first().waitFor({ timeout: 120_000 });

  it('are compiled when chosen, work after a reload without their file, and are deleted', async () => {
    context = await browser.newContext();
    const page = await openModels();
    await choose(page, 'my-model.safetensors');
    await inMemory(page, 'my-model.safetensors');
    await page.reload();
    await page.getByRole('button', { name: 'Load my-model' }).click();
    await inMemory(page, 'my-model.safetensors');
    expect(await inspectStore(page)).toMatchObject({ broken: [], orphans: 0 });
    await page.getByRole('button', { name: /^Delete my-model/ }).click();
    await page.getByRole('button', { name: /^Delete my-model/ }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Take off the list my-model' }).click();
    await row(page, 'my-model').waitFor({ state: 'detached' });
    await context.close();
  });

  it('that are no checkpoint are refused by name', async () => {
    context = await browser.newContext();
    const page = await openModels();
    await choose(page, 'broken.safetensors', new Uint8Array(64));
    await page.getByRole('alert').filter({ hasText: 'broken.safetensors' }).waitFor();
    await context.close();
  });

  /** The files that a page saves when a button is pressed. */
  async function savedBy(page: Page, button: RegExp): Promise<Buffer> {
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: button }).click();
    const path = await (await download).path();
    return readFileSync(path);
  }

  it('compiled, are one file that another browser takes without compiling', async () => {
    context = await browser.newContext({ acceptDownloads: true });
    // The dialog for a place is the system's: without it the file is a download.
    await context.addInitScript('delete window.showSaveFilePicker');
    const page = await openModels();
    await choose(page, 'mine.safetensors');
    await inMemory(page, 'mine.safetensors');
    const file = await savedBy(page, /^Export mine/);
    expect(file.subarray(0, 8).toString()).toBe('EASEL1\r\n');
    await context.close();

    context = await browser.newContext();
    const other = await openModels();
    const take = (buffer: Buffer) =>
      other.getByLabel('Import a compiled model').setInputFiles({
        ...{ name: 'mine.easel', mimeType: 'application/octet-stream', buffer },
      });
    const damaged = Buffer.from(file);
    damaged[damaged.length - 100]! ^= 1;
    await take(damaged);
    await other.getByRole('alert').filter({ hasText: 'has other bytes' }).waitFor();
    expect(await inspectStore(other)).toMatchObject({ broken: [], orphans: 0 });
    await take(file);
    await other.getByText('mine is here and listed.').waitFor({ timeout: 60_000 });
    expect(await inspectStore(other)).toMatchObject({ broken: [], orphans: 0 });
    await other.getByRole('button', { name: 'Load mine' }).click();
    await inMemory(other, 'mine');
    await context.close();
  });

  it('and LoRAs and VAEs are in the API’s lists and work there, also after a reload', async () => {
    context = await browser.newContext();
    const page = await openModels();
    await bridge.ready();
    const drop = async (path: string, name: string) => {
      await choose(page, name, readFileSync(join(MODELS, path)));
      await page.getByText(`Added: ${name.replace('.safetensors', '')}`).waitFor();
    };
    await drop('loras/sd15-kohya.safetensors', 'style.safetensors');
    await drop('vae-tiny.safetensors', 'soft.safetensors');
    const lists = async () => {
      const loras = await bridge.get<{ name: string }[]>('/sdapi/v1/loras');
      const vaes = await bridge.get<{ model_name: string }[]>('/sdapi/v1/sd-vae');
      return [loras.map(({ name }) => name), vaes.map(({ model_name }) => model_name)];
    };
    await expect.poll(lists).toEqual([['easel-tiny-lcm', 'style'], ['soft']]);
    await page.reload();
    await bridge.ready();
    await expect.poll(lists).toEqual([['easel-tiny-lcm', 'style'], ['soft']]);
    const response = await bridge.post('/sdapi/v1/txt2img', {
      ...{ prompt: 'a cat <lora:style:0.8>', width: 64, height: 64, steps: 1, seed: 1 },
      override_settings: { sd_model_checkpoint: 'served', sd_vae: 'soft' },
    });
    const reply = await response.json();
    expect(response.status, JSON.stringify(reply)).toBe(200);
    const infotext: string = JSON.parse(reply.info).infotexts[0];
    expect(infotext).toMatch(/VAE: soft\.safetensors.*Lora hashes: "style: [0-9a-f]{12}"/);
    await context.close();
  });

  it('that an API request has to wait for show how far they are', async () => {
    context = await browser.newContext();
    const page = await openModels();
    await bridge.ready();
    let isDone = false;
    const texts = new Set<string>();
    const jobs = new Set<string>();
    const activities = new Set<string>();
    const watching = (async () => {
      while (!isDone) {
        const [progress, health] = await Promise.all([
          bridge.get<{ textinfo: string | null; state: { job: string } }>('/sdapi/v1/progress'),
          bridge.get<{ activity: { kind: string; what: string } | null }>('/health'),
        ]);
        texts.add(progress.textinfo ?? '');
        jobs.add(progress.state.job);
        if (health.activity) activities.add(`${health.activity.kind} ${health.activity.what}`);
      }
    })();
    const response = await bridge.post('/sdapi/v1/txt2img', {
      ...{ prompt: 'a cat', width: 64, height: 64, steps: 1 },
      override_settings: { sd_model_checkpoint: 'served' },
    });
    isDone = true;
    await watching;
    expect(response.status, await response.text()).toBe(200);
    const seen = `${[...texts].join('; ')} | ${[...jobs].join('; ')} | ${[...activities].join('; ')}`;
    expect([...texts], seen).toContainEqual(
      expect.stringMatching(/^Compiling \w+ of served, \d+ %/),
    );
    expect([...jobs], seen).toContainEqual(expect.stringMatching(/^Compiling \w+ of served$/));
    expect([...activities], seen).toContainEqual(expect.stringMatching(/^compile \w+ of served$/));
    expect(await page.locator('.model-row').filter({ hasText: 'served' }).count()).toBeGreaterThan(
      0,
    );
    await context.close();
  });
});
