import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { editedSingleFileBytes } from '../compiler/lib/single-file.ts';
import { measured } from '../promises/figures.ts';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { type KillableBrowser, launchKillable } from './support/killable-browser.ts';
import { firstNewChunk, inspectStore } from './support/store.ts';

/** `npm run chaos -- store` asks for more. */
const KILLS = Number(process.env.EASEL_STORE_KILLS ?? 5);
/** Milliseconds between the first chunk in the store and the kill, in turn: a write takes about as long. */
const DELAYS_MS = [0, 30, 90, 10, 180, 60, 5, 130, 20, 300];

describe('the store of compiled models', () => {
  let bridge: RunningBridge;
  let profile: string;
  let running: KillableBrowser | null = null;
  beforeAll(async () => {
    bridge = await startBridge(['--browser', 'none']);
    profile = mkdtempSync(join(tmpdir(), 'easel-killed-'));
  });
  afterAll(async () => {
    await running?.kill();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    await bridge?.stop();
  });

  async function launch(): Promise<(address: string) => Promise<Page>> {
    running = await launchKillable(profile);
    const [context] = running.browser.contexts();
    return async (address) => {
      const page = await context!.newPage();
      await page.goto(`${bridge.url}/${address}`);
      return page;
    };
  }

  async function choose(page: Page, name: string, bytes: Uint8Array): Promise<void> {
    await page.getByLabel('choose files').setInputFiles({
      ...{ name: `${name}.safetensors`, mimeType: 'application/octet-stream' },
      buffer: Buffer.from(bytes),
    });
  }

  it(`D6 never names missing or wrong bytes after ${KILLS} kills of the browser while it writes`, {
    timeout: 60_000 + KILLS * 20_000,
  }, async () => {
    const left = { halves: 0, wholes: 0 };
    let whole = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const open = await launch();
      const page = await open('?device=wasm#models');
      await page.getByRole('heading', { name: 'Models', exact: true }).waitFor();
      // Other content each time, so that each time a model is written.
      const metadata = {
        'modelspec.prediction_type': 'epsilon',
        num_attention_heads: JSON.stringify({ text_encoder: 4 }),
        kill: String(kill),
      };
      const bytes = await editedSingleFileBytes('sd15-tiny', { metadata });
      await page.getByText('easel-tiny').first().waitFor();
      const writing = firstNewChunk(page);
      await choose(page, `killed-${kill}`, bytes);
      await writing;
      await page.waitForTimeout(DELAYS_MS[kill % DELAYS_MS.length]!);
      await running!.kill();

      // A page of the same origin that starts no engine: what the kill left, before anybody mends it.
      const witness = await (await launch())('easel/v1/models');
      const state = await inspectStore(witness);
      expect(state.broken).toEqual([]);
      if (state.manifests > whole) left.wholes += 1;
      else if (state.orphans > 0) left.halves += 1;
      whole = state.manifests;
      await running!.kill();
    }
    measured('D6', { kills: KILLS, broken: 0, halves: left.halves, wholes: left.wholes });
    expect(left.halves).toBeGreaterThan(0);

    const open = await launch();
    const page = await open('?device=wasm#models');
    // The first thing that needs the store clears away what the kills left.
    await page
      .getByRole('button', { name: 'Load easel-tiny' })
      .or(page.getByText('In memory', { exact: true }))
      .first()
      .waitFor();
    await choose(page, 'alive', await editedSingleFileBytes('sd15-tiny', {}));
    const row = page.locator('.model-row').filter({ hasText: 'alive' }).first();
    await row.getByText('In memory', { exact: true }).waitFor({ timeout: 60_000 });
    expect(await inspectStore(page)).toMatchObject({ broken: [], orphans: 0 });
  });
});
