import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Browser } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureClients } from '../../tools/lib/python.mjs';
import { ROOT, type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';

/** Client programs as they are published, against the real bridge, tab and embedded model. */
describe('a client program', () => {
  let bridge: RunningBridge;
  let browser: Browser;
  let python: string;

  beforeAll(async () => {
    python = ensureClients();
    bridge = await startBridge(['--browser', 'none']);
    browser = await launchBrowser();
    const page = await browser.newPage();
    await page.goto(`${bridge.url}/?device=wasm`);
    await bridge.ready();
  });

  afterAll(async () => {
    await browser?.close();
    await bridge?.stop();
  });

  it.each([
    ['webuiapi', 'with_webuiapi.py', 25],
    ['OpenAI’s own Python client', 'with_openai.py', 7],
  ])('[S8] %s does all that it offers', async (_, script, least) => {
    const args = [join(ROOT, 'tools/clients', script), String(bridge.port)];
    const child = spawn(python, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    const status = await new Promise((resolve) => child.once('close', resolve));
    expect(status, output).toBe(0);
    expect(output).not.toContain('FAILED');
    // A script that checked nothing would end well too.
    expect(output.match(/^ok /gm)?.length, output).toBeGreaterThanOrEqual(least);
  });
});
