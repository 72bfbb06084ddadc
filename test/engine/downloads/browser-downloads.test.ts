import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DownloadManager } from '../../../protocol/downloads/download-manager.ts';
import type { DownloadView } from '../../../protocol/downloads/download-view.ts';
import { NO_TOKENS } from '../../../protocol/downloads/http-client.ts';
import { createBrowserHttpGet } from '../../../web/engine/downloads/browser-http-get.ts';
import { BrowserDownloadStorage } from '../../../web/engine/downloads/browser-storage.ts';
import {
  createMemoryStore,
  type KeyValueStore,
} from '../../../web/engine/models/key-value-store.ts';
import { createLocalSources } from '../../../web/engine/models/local-sources.ts';
import type { ModelSources } from '../../../web/engine/models/sources.ts';
import { type BadHost, LORA_TENSORS, openBadHost, safetensorsFile } from '../../fakes/bad-host.ts';

const MB = 2 ** 20;
const PIECE = 256 * 1024;
const LORA = safetensorsFile(LORA_TENSORS, 3 * MB);

let hub: BadHost;
let disk: KeyValueStore;

beforeEach(async () => {
  hub = await openBadHost();
  disk = createMemoryStore();
});
afterEach(() => hub.close());

function openTab(
  store = disk,
  quotaBytes = 1e12,
  exclusively = (_id: string, task: () => Promise<void>) => task(),
): DownloadManager {
  const storage = new BrowserDownloadStorage({
    open: async () => store,
    storageUse: async () => ({ usedBytes: 0, quotaBytes }),
    pieceBytes: PIECE,
  });
  return new DownloadManager({
    ...{ storage, get: createBrowserHttpGet(hub.url), hubEndpoint: hub.url, exclusively },
    ...{ tokens: NO_TOKENS, sendsIfRange: false, retryDelaysMs: [5, 5, 5], stallMs: 500 },
  });
}

const ask = (reference: string, tokens = NO_TOKENS) => ({ reference, kind: null, tokens });

async function ended(manager: DownloadManager, id: string): Promise<DownloadView> {
  for (let i = 0; i < 2000; i++) {
    const view = manager.views().find((each) => each.id === id);
    if (view && ['finished', 'failed', 'paused'].includes(view.state)) return view;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('the download did not end');
}

const NOTHING: ModelSources = {
  listings: [],
  refresh: async () => [],
  find: () => null,
  open: () => {
    throw new Error('not of the base');
  },
};

async function readLocal(name: string): Promise<Buffer> {
  const sources = createLocalSources(NOTHING, async () => disk);
  const listings = await sources.refresh();
  const listing = listings.find((each) => each.name === name);
  if (!listing) throw new Error(`not listed: ${name}`);
  const [file] = sources.open(listing).files;
  return Buffer.from(await file!.read(0, file!.sizeBytes));
}

describe('a download of the tab itself', () => {
  test('is listed as a model of this browser and read by ranges; taken off, its bytes go', async () => {
    hub.repository('owner/lora', { 'x.safetensors': LORA }, { cutAfter: MB });
    const tab = openTab();
    const { id } = tab.start(ask('owner/lora'));
    expect(await ended(tab, id)).toMatchObject({ state: 'finished', kind: 'lora', name: 'lora' });
    expect((await readLocal('lora')).equals(LORA)).toBe(true);
    for (const key of await disk.keys()) {
      const value = await disk.get(key);
      if (value instanceof Blob) expect(value.size).toBeLessThanOrEqual(PIECE);
    }
    expect(hub.seen.every(({ headers }) => headers['if-range'] === undefined)).toBe(true);
    const sources = createLocalSources(NOTHING, async () => disk);
    await sources.refresh();
    await sources.remove('lora', 'lora');
    expect(await disk.keys()).toEqual([]);
  });

  test('D1 that is killed at any place fetches less than a piece again', async () => {
    hub.repository('owner/lora', { 'x.safetensors': LORA }, { speed: 8 * MB });
    for (const atBytes of [1, PIECE - 1, PIECE + 1, 2 * MB, 2.5 * MB]) {
      disk = createMemoryStore();
      let isDead = false;
      const dying: KeyValueStore = {
        ...disk,
        set: async (...given) => (isDead ? new Promise(() => {}) : disk.set(...given)),
        delete: async (keys) => (isDead ? new Promise(() => {}) : disk.delete(keys)),
      };
      const first = openTab(dying);
      const { id } = first.start(ask('owner/lora'));
      while ((first.views()[0]?.doneBytes ?? 0) < atBytes)
        await new Promise((r) => setTimeout(r, 1));
      isDead = true;
      void first.act(id, 'pause');
      const before = hub.sent('x.safetensors');
      const second = openTab();
      await second.restore();
      const resumedAt = second.views()[0]!.doneBytes;
      expect(resumedAt).toBeGreaterThan(atBytes - PIECE - 64 * 1024);
      expect(await ended(second, id)).toMatchObject({ state: 'finished' });
      expect((await readLocal('lora')).equals(LORA)).toBe(true);
      expect(hub.sent('x.safetensors') - before).toBeLessThanOrEqual(
        LORA.length - atBytes + PIECE + 3 * 64 * 1024,
      );
    }
  });

  test('D1 begins afresh where the file changed, without asking for If-Range', async () => {
    const host = await openBadHost();
    const changed = safetensorsFile(LORA_TENSORS, 2 * MB, 5);
    host.file('/x.safetensors', LORA, {
      cutAfter: MB,
      onRequest: (count) => {
        if (count === 2) setImmediate(() => host.file('/x.safetensors', changed));
      },
    });
    const tab = openTab();
    const { id } = tab.start(ask(`${host.url}/x.safetensors`));
    const view = await ended(tab, id);
    expect(view).toMatchObject({ state: 'finished' });
    expect(view.note).toContain('changed at the host');
    expect((await readLocal('x')).equals(changed)).toBe(true);
    await host.close();
  });

  test('of a diffusers folder keeps every file at its path', async () => {
    const files = {
      'model_index.json': Buffer.from('{"a":1}'),
      'scheduler/scheduler_config.json': Buffer.from('{}'),
      ...Object.fromEntries(
        ['unet', 'vae', 'text_encoder'].flatMap((name) => [
          [`${name}/config.json`, Buffer.from('{}')],
          [`${name}/model.safetensors`, safetensorsFile(['a'], PIECE)],
        ]),
      ),
    };
    hub.repository('owner/pipe', files);
    const tab = openTab();
    const { id } = tab.start(ask('owner/pipe'));
    expect(await ended(tab, id)).toMatchObject({ state: 'finished', kind: 'checkpoint' });
    const sources = createLocalSources(NOTHING, async () => disk);
    const [listing] = await sources.refresh();
    expect(listing?.files.map(({ path }) => path).sort()).toEqual(Object.keys(files).sort());
    expect(sources.find('pipe')?.source).toBe('browser');
    const again = openTab();
    const second = again.start(ask('owner/pipe'));
    expect((await ended(again, second.id)).note).toContain('in this browser already');
  });

  test('D7 of two tabs at once is fetched once', async () => {
    hub.repository('owner/lora', { 'x.safetensors': LORA }, { speed: 8 * MB });
    let line = Promise.resolve();
    const storage = new BrowserDownloadStorage({
      ...{ open: async () => disk, storageUse: async () => null, pieceBytes: PIECE },
    });
    // As the worker does it with a Web Lock.
    const exclusively = (_id: string, task: () => Promise<void>) => {
      const turn = line.then(async () => {
        if (await storage.isOpen(_id)) await task();
      });
      line = turn.catch(() => {});
      return turn;
    };
    const tabs = [openTab(disk, 1e12, exclusively), openTab(disk, 1e12, exclusively)];
    const views = tabs.map((tab) => tab.start(ask('owner/lora')));
    const states = await Promise.all(tabs.map((tab, index) => ended(tab, views[index]!.id)));
    expect(states.map(({ state }) => state)).toEqual(['finished', 'finished']);
    expect((await readLocal('lora')).equals(LORA)).toBe(true);
    // Both looked at the header; one fetched.
    expect(hub.sent('x.safetensors')).toBeLessThan(LORA.length + 2 * MB + 4 * 64 * 1024);
  });

  test('D4 is refused before its first byte where the quota is too small', async () => {
    hub.repository('owner/lora', { 'x.safetensors': LORA });
    const tab = openTab(disk, 4 * MB);
    const { id } = tab.start(ask('owner/lora'));
    expect((await ended(tab, id)).error).toMatchObject({ code: 'storage-full' });
    expect((await disk.keys()).filter((key) => key.startsWith('piece:'))).toEqual([]);
  });

  test('D5 whose bytes the browser gave up says so when it is read', async () => {
    hub.repository('owner/lora', { 'x.safetensors': LORA });
    const tab = openTab();
    await ended(tab, tab.start(ask('owner/lora')).id);
    const piece = (await disk.keys()).find((key) => key.startsWith('piece:'));
    await disk.delete([piece!]);
    await expect(readLocal('lora')).rejects.toThrow(/removed a part.*only what is missing/);
  });

  test('D5 that lost pieces fetches them alone, and keeps the model what it was', async () => {
    hub.repository('owner/lora', { 'x.safetensors': LORA });
    const tab = openTab();
    await ended(tab, tab.start(ask('owner/lora')).id);
    const before = await disk.get('lora:lora');
    const pieces = (await disk.keys()).filter((key) => key.startsWith('piece:')).sort();
    // One in the middle, two beside each other, and the last.
    const lost = [3, 6, 7, pieces.length - 1];
    await disk.delete(lost.map((number) => pieces.find((key) => key.endsWith(`:${number}`))!));
    const sent = hub.sent('x.safetensors');
    const again = openTab();
    const view = await ended(again, again.start(ask('owner/lora')).id);
    expect(view).toMatchObject({ state: 'finished', note: null });
    expect((await readLocal('lora')).equals(LORA)).toBe(true);
    // And the header, which the plan looks at.
    expect(hub.sent('x.safetensors') - sent).toBeLessThanOrEqual(4 * PIECE + MB);
    const listing = (record: unknown) => (record as { listing: object }).listing;
    expect(listing(await disk.get('lora:lora'))).toEqual(listing(before));
    const left = (await disk.keys()).filter((key) => key.startsWith('piece:'));
    expect(left).toHaveLength(pieces.length);
    expect((await disk.keys()).filter((key) => key.startsWith('download:'))).toEqual([]);
  });

  test('D5 that lost a piece takes the rest over from the same file at another address', async () => {
    const hosts = [await openBadHost(), await openBadHost()];
    for (const host of hosts) host.file('/x.safetensors', LORA);
    for (const host of hosts) {
      const tab = openTab();
      await ended(tab, tab.start(ask(`${host.url}/x.safetensors`)).id);
      await disk.delete([(await disk.keys()).find((key) => /^piece:.*:5$/.test(key))!]);
    }
    const tab = openTab();
    await ended(tab, tab.start(ask(`${hosts[0]!.url}/x.safetensors`)).id);
    expect((await readLocal('x')).equals(LORA)).toBe(true);
    // The first host's file came from it whole, the second one's and the last one's but for a piece from here.
    expect(hosts[1]!.sent('x.safetensors')).toBeLessThanOrEqual(PIECE + MB);
    expect((await disk.keys()).filter((key) => key.startsWith('piece:'))).toHaveLength(13);
    for (const host of hosts) await host.close();
  });

  test('D5 that lost a piece of what changed at its host since begins afresh', async () => {
    const host = await openBadHost();
    host.file('/x.safetensors', LORA);
    const tab = openTab();
    await ended(tab, tab.start(ask(`${host.url}/x.safetensors`)).id);
    await disk.delete([(await disk.keys()).find((key) => /^piece:.*:2$/.test(key))!]);
    const changed = safetensorsFile(LORA_TENSORS, 3 * MB, 5);
    host.file('/x.safetensors', changed);
    const again = openTab();
    const view = await ended(again, again.start(ask(`${host.url}/x.safetensors`)).id);
    expect(view).toMatchObject({ state: 'finished' });
    expect((await readLocal('x')).equals(changed)).toBe(true);
    await host.close();
  });

  test('gives a key to the hub, and to no other host', async () => {
    const cdn = await openBadHost();
    cdn.file('/cdn/x', LORA);
    hub.repository('owner/lora', { 'x.safetensors': LORA });
    const { path } = { path: `/owner/lora/resolve/${'c'.repeat(40)}/x.safetensors` };
    hub.file(path, LORA, { redirectTo: `${cdn.url}/cdn/x` });
    const tab = openTab();
    const { id } = tab.start(ask('owner/lora', { hub: 'hf_s3cret', civitai: 'c' }));
    expect(await ended(tab, id)).toMatchObject({ state: 'finished' });
    expect(hub.seen.every(({ headers }) => headers.authorization === 'Bearer hf_s3cret')).toBe(
      true,
    );
    expect(cdn.seen.map(({ headers }) => headers.authorization)).toEqual(
      cdn.seen.map(() => undefined),
    );
    expect(JSON.stringify(await disk.getMany(await disk.keys()))).not.toContain('s3cret');
    await cdn.close();
  });

  test('from a host that does not answer names the bridge as the way', async () => {
    const tab = openTab();
    const gone = await openBadHost();
    await gone.close();
    const { id } = tab.start(ask(`${gone.url}/x.safetensors`));
    expect((await ended(tab, id)).error?.message).toMatch(/does not answer this page.*npm start/);
  });
});
