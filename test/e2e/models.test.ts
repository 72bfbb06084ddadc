import type { Browser, BrowserContext, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { singleFileBytes } from '../compiler/lib/single-file.ts';
import { type RunningBridge, startBridge } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';

/** What IndexedDB holds, looked at from outside of the page's own code. */
async function inspectStore(page: Page) {
  return page.evaluate(async () => {
    const open = indexedDB.open('easel-models');
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      open.onsuccess = () => resolve(open.result);
      open.onerror = () => reject(open.error);
    });
    if (!database.objectStoreNames.contains('entries')) {
      database.close();
      return { manifests: 0, broken: [], orphans: 0 };
    }
    const all = async (what: 'getAll' | 'getAllKeys') => {
      const request = database.transaction('entries').objectStore('entries')[what]();
      return new Promise<unknown[]>((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    };
    const [keys, values] = [(await all('getAllKeys')) as string[], await all('getAll')];
    database.close();
    const entries = new Map(keys.map((key, i) => [key, values[i]]));
    const broken: string[] = [];
    const known = new Set<string>();
    for (const [key, value] of entries) {
      if (!key.startsWith('manifest:')) continue;
      const { chunkSha256 } = value as { chunkSha256: Record<string, string> };
      for (const [place, expected] of Object.entries(chunkSha256)) {
        const chunkKey = `chunk:${key.slice('manifest:'.length)}:${place}`;
        known.add(chunkKey);
        const chunk = entries.get(chunkKey);
        if (!(chunk instanceof Blob)) {
          broken.push(`${chunkKey} is missing`);
          continue;
        }
        const digest = await crypto.subtle.digest('SHA-256', await chunk.arrayBuffer());
        const hex = [...new Uint8Array(digest)].map((b) => b.toString(16).padStart(2, '0'));
        if (hex.join('') !== expected) broken.push(`${chunkKey} has other bytes`);
      }
    }
    const orphans = keys.filter((key) => key.startsWith('chunk:') && !known.has(key)).length;
    const manifests = keys.filter((key) => key.startsWith('manifest:')).length;
    return { manifests, broken, orphans };
  });
}

describe('checkpoints of the own disk, in a real browser', () => {
  let bridge: RunningBridge;
  let browser: Browser;
  let context: BrowserContext;
  beforeAll(async () => {
    bridge = await startBridge(['--browser', 'none']);
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await bridge?.stop();
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

  it('leave whole models or none when the tab is killed while they are compiled', async () => {
    for (const delayMs of [0, 80, 240]) {
      context = await browser.newContext();
      const page = await openModels();
      await choose(page, 'killed.safetensors');
      await page.waitForTimeout(delayMs);
      const crashed = page.waitForEvent('crash');
      const session = await context.newCDPSession(page);
      void session.send('Page.crash').catch(() => {});
      await crashed;
      // A page of the same origin that starts no engine: what the kill left.
      const witness = await context.newPage();
      await witness.goto(`${bridge.url}/easel/v1/models`);
      expect((await inspectStore(witness)).broken).toEqual([]);
      const again = await openModels();
      await choose(again, 'killed.safetensors');
      await inMemory(again, 'killed.safetensors');
      expect(await inspectStore(witness)).toMatchObject({ broken: [], orphans: 0 });
      await context.close();
    }
  });
});
