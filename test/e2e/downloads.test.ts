import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { singleFileBytes } from '../compiler/lib/single-file.ts';
import {
  type BadHost,
  CHECKPOINT_TENSORS,
  LORA_TENSORS,
  openBadHost,
  safetensorsFile,
} from '../fakes/bad-host.ts';
import { ROOT, type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import { openStaticHost } from './support/static-host.ts';

const MB = 2 ** 20;
/** What a killed tab or bridge may fetch again. */
const AGAIN = 64 * MB;

async function until(condition: () => unknown, what: string): Promise<void> {
  for (let i = 0; i < 1200; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`did not come to be: ${what}`);
}

async function startDownload(page: Page, reference: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Name or address' }).fill(reference);
  await page.getByRole('button', { name: 'Download', exact: true }).click();
}

const rowOf = (page: Page, title: string) =>
  page.locator('.download-row').filter({ hasText: title });

const inMemory = (page: Page, name: string) =>
  page
    .locator('.model-row')
    .filter({ hasText: name })
    .getByText('In memory', { exact: true })
    .first()
    .waitFor({ timeout: 120_000 });

describe('downloads through the bridge', () => {
  let hub: BadHost;
  const large = safetensorsFile(CHECKPOINT_TENSORS, 96 * MB);
  beforeAll(async () => {
    hub = await openBadHost();
    hub.repository('owner/large', { 'large.safetensors': large }, { speed: 48 * MB });
    hub.repository('owner/tiny', { 'x.safetensors': singleFileBytes('sd15-tiny') });
  });
  afterAll(() => hub?.close());

  it('D1 go on where a bridge was killed by SIGKILL', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'easel-e2e-'));
    const models = join(dataDir, 'models', 'Stable-diffusion');
    const surroundings = { env: { HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_s3cret' }, dataDir };
    const args = ['--browser', 'none', '--hf-model-id', 'owner/large'];
    const first = await startBridge(args, surroundings);
    const part = join(models, 'large.safetensors.part');
    const held = () => statSync(part, { throwIfNoEntry: false })?.size ?? 0;
    await until(() => held() > 20 * MB, 'a part of 20 MiB');
    const health = await first.get('/health');
    expect(health.activity).toMatchObject({ kind: 'download', what: 'owner/large' });
    first.process.kill('SIGKILL');
    await first.stop();
    const before = held();
    const sent = hub.sent('large.safetensors');

    const second = await startBridge(args, surroundings);
    await until(() => readdirSync(models).includes('large.safetensors'), 'the whole file');
    expect(readFileSync(join(models, 'large.safetensors')).equals(large)).toBe(true);
    expect(hub.sent('large.safetensors') - sent).toBeLessThanOrEqual(large.length - before + AGAIN);
    // In fact nothing that was on the disk is fetched again.
    expect(hub.seen.at(-1)?.headers.range).toBe(`bytes=${before}-`);
    const listed = await second.get<{ sd_model_checkpoint: string }>('/sdapi/v1/options');
    expect(listed.sd_model_checkpoint).toContain('large');
    expect(`${first.output()}${second.output()}`).not.toContain('s3cret');
    expect(await second.stop()).toBe(0);
    rmSync(dataDir, { recursive: true, force: true });
  });

  it('come first where one picture is asked for with a checkpoint that is not there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'easel-e2e-'));
    const out = join(folder, 'out.png');
    const flags =
      '--prompt x --steps 1 --width 64 --height 64 --device wasm --hf-model-id owner/tiny';
    const build = join(ROOT, 'build/bridge/main.js');
    const child = spawn(
      process.execPath,
      [build, ...flags.split(' '), '--out', out, '--data-dir', folder],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HF_ENDPOINT: hub.url } },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code, output).toBe(0);
    const picture = readFileSync(out).toString('latin1');
    expect(picture).toContain('Model: tiny');
    rmSync(folder, { recursive: true, force: true });
  });

  it('are asked for on the page, and the checkpoint is loaded there', async () => {
    const bridge: RunningBridge = await startBridge(['--browser', 'none'], {
      env: { HF_ENDPOINT: hub.url },
    });
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      await page.goto(`${bridge.url}/?device=wasm#models`);
      await startDownload(page, 'nonsense');
      await page.getByRole('alert').filter({ hasText: 'names no model' }).waitFor();
      await startDownload(page, 'owner/gone');
      await rowOf(page, 'owner/gone').getByRole('alert').filter({ hasText: '404' }).waitFor();
      await page.getByRole('button', { name: 'Cancel owner/gone' }).click();
      await startDownload(page, 'owner/large');
      await page.getByRole('button', { name: 'Pause owner/large' }).click();
      await rowOf(page, 'owner/large').getByText('Paused').waitFor();
      await page.getByRole('button', { name: 'Go on owner/large' }).click();
      await page.getByRole('button', { name: 'Cancel owner/large' }).click();
      await rowOf(page, 'owner/large').waitFor({ state: 'detached' });
      await startDownload(page, 'owner/tiny');
      await page.getByRole('button', { name: 'Load tiny' }).click();
      await inMemory(page, 'tiny.safetensors');
      const models = join(bridge.dataDir, 'models', 'Stable-diffusion');
      expect(readdirSync(models)).toEqual(['tiny.safetensors']);
    } finally {
      await browser.close();
      await bridge.stop();
    }
  });
});

describe('downloads by the tab of a page without a bridge', () => {
  const lora = safetensorsFile(LORA_TENSORS, 96 * MB);
  let hub: BadHost;
  let host: Awaited<ReturnType<typeof openStaticHost>>;
  let browser: Browser;
  beforeAll(async () => {
    const tls = new URL('../bridge/tls/', import.meta.url);
    hub = await openBadHost({
      tls: {
        cert: readFileSync(new URL('cert.pem', tls)),
        key: readFileSync(new URL('key.pem', tls)),
      },
      headers: {
        'access-control-allow-origin': '*',
        'access-control-allow-headers': 'authorization, range',
        'access-control-expose-headers': 'etag, content-range, accept-ranges, x-linked-etag',
      },
    });
    host = await openStaticHost();
    // The page knows one hub; here its name leads to this machine.
    browser = await launchBrowser({
      args: [
        `--host-resolver-rules=MAP huggingface.co:443 ${hub.host}`,
        '--ignore-certificate-errors',
      ],
    });
  });
  afterAll(async () => {
    await browser?.close();
    await host?.close();
    await hub?.close();
  });

  it('D1 go on where a tab was killed, and what has come is used', async () => {
    hub.repository('owner/style', { 'style.safetensors': lora }, { speed: 24 * MB });
    hub.repository('owner/tiny', { 'x.safetensors': singleFileBytes('sd15-tiny') });
    const context = await browser.newContext();
    const open = async () => {
      const page = await context.newPage();
      await page.goto(`${host.url}?device=wasm#models`);
      await page.getByRole('heading', { name: 'Download a model' }).waitFor();
      return page;
    };
    const page = await open();
    await startDownload(page, 'owner/style');
    await until(() => hub.sent('style.safetensors') > 40 * MB, '40 MiB on their way');
    const crashed = page.waitForEvent('crash');
    const session = await context.newCDPSession(page);
    void session.send('Page.crash').catch(() => {});
    await crashed;
    await new Promise((resolve) => setTimeout(resolve, 300));
    const sent = hub.sent('style.safetensors');

    const again = await open();
    await rowOf(again, 'owner/style').waitFor();
    const row = again.locator('.model-row').filter({ hasText: 'style.safetensors' });
    await row.first().waitFor({ timeout: 60_000 });
    const total = hub.sent('style.safetensors');
    expect(total - sent).toBeLessThan(lora.length);
    // A piece that was not full, and what the sockets held.
    expect(total).toBeLessThanOrEqual(lora.length + 24 * MB);

    await startDownload(again, 'owner/tiny');
    await again.getByRole('button', { name: 'Load tiny' }).click();
    await inMemory(again, 'tiny.safetensors');
    await again.reload();
    await again.getByRole('button', { name: 'Take off the list style' }).click();
    await row.first().waitFor({ state: 'detached' });
    await context.close();
  });
});
