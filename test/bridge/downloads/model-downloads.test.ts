import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ModelDownloads } from '../../../bridge/downloads/model-downloads.ts';
import type { DownloadView } from '../../../protocol/downloads/download-view.ts';
import { NO_TOKENS } from '../../../protocol/downloads/http-client.ts';
import {
  type BadHost,
  CHECKPOINT_TENSORS,
  HUB_COMMIT,
  LORA_TENSORS,
  openBadHost,
  safetensorsFile,
} from '../../fakes/bad-host.ts';
import { logLines, optionsOf, temporaryFolder } from '../support.ts';

const MB = 2 ** 20;
const LORA = safetensorsFile(LORA_TENSORS, 3 * MB);
const TOKENS = { hub: 'hf_s3cret', civitai: 'civ_s3cret' };

let host: BadHost;
let hub: BadHost;
let other: BadHost;
let folder: ReturnType<typeof temporaryFolder>;
const open: ModelDownloads[] = [];
const logged = logLines();

beforeEach(async () => {
  host = await openBadHost();
  hub = await openBadHost();
  other = await openBadHost();
  folder = temporaryFolder();
  logged.lines.length = 0;
});

afterEach(async () => {
  for (const downloads of open.splice(0)) await downloads.manager.close();
  await host.close();
  await hub.close();
  await other.close();
  folder.remove();
});

const folders = () => optionsOf(folder.path).folders;

function openDownloads(changes = {}): ModelDownloads {
  const downloads = new ModelDownloads({
    folders: folders(),
    finishedPath: join(folder.path, 'downloads.json'),
    hubEndpoint: hub.url,
    tokens: TOKENS,
    ownHosts: [host.host, hub.host],
    library: { list: async () => [], refresh: async () => {} },
    engines: { control: async () => {} },
    log: logged.log,
    retryDelaysMs: [5, 5, 5],
    stallMs: 200,
    ...changes,
  });
  open.push(downloads);
  return downloads;
}

async function ended(downloads: ModelDownloads, id: string): Promise<DownloadView> {
  for (let i = 0; i < 2000; i++) {
    const view = downloads.manager.views().find((each) => each.id === id);
    if (view && ['finished', 'failed', 'paused'].includes(view.state)) return view;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('the download did not end');
}

function fetchIt(reference: string, downloads = openDownloads()): Promise<DownloadView> {
  const { id } = downloads.start({ reference, kind: null, tokens: NO_TOKENS });
  return ended(downloads, id);
}

const lora = (name = 'x') => readFileSync(join(folders().lora, `${name}.safetensors`));
const below = (path: string) => readdirSync(path, { recursive: true }).map(String).sort();

describe('a file at an address', () => {
  test('comes into the folder of its kind, and nothing else stays', async () => {
    host.file('/x.safetensors', LORA);
    const view = await fetchIt(`${host.url}/x.safetensors?sig=s3cret`);
    expect(view).toMatchObject({ state: 'finished', kind: 'lora', name: 'x', note: null });
    expect(view.doneBytes).toBe(LORA.length);
    expect(lora().equals(LORA)).toBe(true);
    expect(below(folders().lora)).toEqual(['x.safetensors']);
  });

  test('D1 is taken up where the connection broke', async () => {
    host.file('/x.safetensors', LORA, { cutAfter: MB });
    expect(await fetchIt(`${host.url}/x.safetensors`)).toMatchObject({ state: 'finished' });
    expect(lora().equals(LORA)).toBe(true);
    // The look at the header beside the file itself, and what was on its way when a connection was cut.
    expect(host.sent('/x.safetensors')).toBeLessThanOrEqual(LORA.length + MB + 4 * 64 * 1024);
  });

  test('D1 begins afresh, and says so, at a host that ignores ranges', async () => {
    host.file('/x.safetensors', LORA, { ignoresRange: true, cutAfter: 2 * MB, cuts: 2 });
    const view = await fetchIt(`${host.url}/x.safetensors`);
    expect(view).toMatchObject({ state: 'finished' });
    expect(view.note).toContain('does not continue files');
    expect(lora().equals(LORA)).toBe(true);
  });

  test('is given up where every connection breaks at the same place', async () => {
    host.file('/x.safetensors', LORA, { ignoresRange: true, cutAfter: 2 * MB });
    const view = await fetchIt(`${host.url}/x.safetensors`);
    expect(view).toMatchObject({ state: 'failed', error: { code: 'download-failed' } });
    expect(view.error?.message).toMatch(/connection broke.*kept/);
  });

  test.each([3 * MB, 2 * MB, 4 * MB])(
    'that changed midway begins afresh and says so (%i bytes then)',
    async (bytes) => {
      const changed = safetensorsFile(LORA_TENSORS, bytes, 7);
      const serve = (count: number) => {
        if (count === 2) setImmediate(() => host.file('/x.safetensors', changed));
      };
      host.file('/x.safetensors', LORA, { cutAfter: MB, onRequest: serve });
      const view = await fetchIt(`${host.url}/x.safetensors`);
      expect(view).toMatchObject({ state: 'finished' });
      expect(view.note).toContain('changed at the host');
      expect(lora().equals(changed)).toBe(true);
      expect(view.totalBytes).toBe(changed.length);
    },
  );

  test('from a host that falls silent is asked for again', async () => {
    host.file('/x.safetensors', LORA, {
      stallAfter: 2 * MB,
      onRequest: (count) => {
        if (count === 2) setImmediate(() => host.file('/x.safetensors', LORA));
      },
    });
    expect(await fetchIt(`${host.url}/x.safetensors`)).toMatchObject({ state: 'finished' });
    expect(lora().equals(LORA)).toBe(true);
  });

  test.each([
    [{ status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }, /web page instead/],
    [{ status: 404 }, /no such model or file/],
    [{ status: 403 }, /asks for a login/],
    [{ status: 429, headers: { 'retry-after': '7200' } }, /left alone for 120 minutes/],
    [{ status: 418 }, /answered 418/],
  ])('is refused with what to do: %j', async (answer, sentence) => {
    host.file('/x.safetensors', LORA, { answer });
    const view = await fetchIt(`${host.url}/x.safetensors`);
    expect(view.state).toBe('failed');
    expect(view.error?.message).toMatch(sentence);
    expect(below(folder.path)).not.toContainEqual(expect.stringMatching(/part/));
  });

  test('waits as long as a busy host asks', async () => {
    const answer = { status: 429, headers: { 'retry-after': '1' }, times: 1 };
    host.file('/x.safetensors', LORA, { answer });
    const began = Date.now();
    expect(await fetchIt(`${host.url}/x.safetensors`)).toMatchObject({ state: 'finished' });
    expect(Date.now() - began).toBeGreaterThanOrEqual(1000);
  });

  test('that is pickled, cut short at the host, or of no known kind is refused before it is fetched', async () => {
    const pickle = Buffer.concat([Buffer.from('PK\u0003\u0004'), Buffer.alloc(MB)]);
    host.file('/p.safetensors', pickle);
    host.file('/short.safetensors', LORA.subarray(0, 2 * MB));
    host.file('/odd.safetensors', safetensorsFile(['strange'], MB));
    const said = async (name: string) => (await fetchIt(`${host.url}/${name}`)).error?.message;
    expect(await said('p.safetensors')).toContain('pickled');
    expect(await said('m.ckpt')).toContain('pickled');
    expect(await said('short.safetensors')).toContain('cut short');
    expect(await said('odd.safetensors')).toContain('nothing that Easel knows');
    expect(below(folder.path)).toEqual([]);
  });
});

describe('the hub', () => {
  const half = safetensorsFile(['a'], 2 * MB);
  const pipeline = {
    'model_index.json': Buffer.from('{}'),
    'scheduler/scheduler_config.json': Buffer.from('{}'),
    'tokenizer/vocab.json': Buffer.from('{}'),
    ...Object.fromEntries(
      ['unet', 'vae', 'text_encoder'].flatMap((name) => [
        [`${name}/config.json`, Buffer.from('{}')],
        [`${name}/model.fp16.safetensors`, half],
      ]),
    ),
  };

  test('gives a diffusers folder, which is seen only when it is whole', async () => {
    hub.repository('owner/pipe', pipeline, { cutAfter: MB });
    const view = await fetchIt('owner/pipe');
    expect(view).toMatchObject({ state: 'finished', kind: 'checkpoint', name: 'pipe' });
    const found = below(join(folders().checkpoint, 'pipe'));
    expect(found.filter((path) => path.includes('.'))).toEqual(Object.keys(pipeline).sort());
    expect(readdirSync(folders().checkpoint)).toEqual(['pipe']);
  });

  test('sends to another host, which the token does not follow', async () => {
    hub.repository('owner/lora', { 'pytorch_lora_weights.safetensors': LORA });
    const { path = '' } = {
      path: `/owner/lora/resolve/${HUB_COMMIT}/pytorch_lora_weights.safetensors`,
    };
    other.file('/cdn/lora', LORA);
    const redirectTo = `${other.url.replace('127.0.0.1', 'localhost')}/cdn/lora`;
    hub.file(path, LORA, { redirectTo });
    expect(await fetchIt('owner/lora')).toMatchObject({
      state: 'finished',
      kind: 'lora',
      name: 'lora',
    });
    expect(hub.seen.every(({ headers }) => headers.authorization === 'Bearer hf_s3cret')).toBe(
      true,
    );
    expect(other.seen.length).toBeGreaterThan(0);
    expect(other.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
    const everything = `${logged.lines.join('\n')}${below(folder.path)
      .map((name) => join(folder.path, name))
      .filter((name) => statSync(name).isFile())
      .map((name) => readFileSync(name, 'latin1'))
      .join('\n')}`;
    expect(everything).not.toContain('s3cret');
  });

  test('D2 names a hash, and other bytes are thrown away', async () => {
    hub.repository('owner/lora', { 'x.safetensors': LORA });
    const flipped = Buffer.from(LORA);
    flipped[2 * MB] = (flipped[2 * MB] ?? 0) ^ 1;
    hub.file(`/owner/lora/resolve/${HUB_COMMIT}/x.safetensors`, flipped);
    const downloads = openDownloads();
    const view = await fetchIt('owner/lora', downloads);
    expect(view.error?.message).toMatch(/other bytes than its host names/);
    // Going on after the host mended it fetches all of it anew.
    hub.file(`/owner/lora/resolve/${HUB_COMMIT}/x.safetensors`, LORA);
    await downloads.manager.act(view.id, 'resume');
    expect(await ended(downloads, view.id)).toMatchObject({ state: 'finished' });
    expect(lora('lora').equals(LORA)).toBe(true);
  });

  test.each([
    [NO_TOKENS, /accept its licence at .*owner\/gated.*HF_TOKEN/],
    [TOKENS, /refuses this model to the access token given.*owner\/gated/],
  ])('asks for a licence: %j', async (tokens, sentence) => {
    hub.file('/api/models/owner/gated/revision/main', Buffer.from(''), {
      answer: { status: 401 },
    });
    const view = await fetchIt('owner/gated', openDownloads({ tokens }));
    expect(view.error?.message).toMatch(sentence);
  });
});

describe('a download', () => {
  test('is paused, gone on with after a restart, and fetches nothing twice', async () => {
    host.file('/x.safetensors', LORA, { speed: 4 * MB });
    const first = openDownloads();
    const { id } = first.start({
      reference: `${host.url}/x.safetensors`,
      kind: null,
      tokens: NO_TOKENS,
    });
    while ((first.manager.views()[0]?.doneBytes ?? 0) < MB)
      await new Promise((r) => setTimeout(r, 5));
    await first.manager.act(id, 'pause');
    const paused = await ended(first, id);
    expect(paused.state).toBe('paused');
    expect(below(folders().lora)).toEqual(['x.safetensors.part', 'x.safetensors.part.json']);
    expect(statSync(join(folders().lora, 'x.safetensors.part.json')).mode & 0o77).toBe(0);
    await first.manager.close();

    const second = openDownloads();
    await second.manager.restore();
    expect(second.manager.views()).toMatchObject([
      { id, state: 'paused', doneBytes: paused.doneBytes },
    ]);
    await second.manager.act(id, 'resume');
    expect(await ended(second, id)).toMatchObject({ state: 'finished' });
    expect(lora().equals(LORA)).toBe(true);
    expect(host.seen.at(-1)?.headers.range).toBe(`bytes=${paused.doneBytes}-`);
  });

  test('D1 goes on by itself when the process ended under it', async () => {
    host.file('/x.safetensors', LORA, { speed: 4 * MB });
    const first = openDownloads();
    first.start({ reference: `${host.url}/x.safetensors`, kind: null, tokens: NO_TOKENS });
    while ((first.manager.views()[0]?.doneBytes ?? 0) < MB)
      await new Promise((r) => setTimeout(r, 5));
    await first.manager.close();
    const second = openDownloads();
    await second.manager.restore();
    const [view] = second.manager.views();
    expect(await ended(second, view!.id)).toMatchObject({ state: 'finished' });
    expect(lora().equals(LORA)).toBe(true);
  });

  test('that is cancelled leaves nothing', async () => {
    host.file('/x.safetensors', LORA, { speed: MB });
    const downloads = openDownloads();
    const { id } = downloads.start({
      ...{ reference: `${host.url}/x.safetensors`, kind: null, tokens: NO_TOKENS },
    });
    while ((downloads.manager.views()[0]?.doneBytes ?? 0) === 0)
      await new Promise((r) => setTimeout(r, 5));
    await downloads.manager.act(id, 'cancel');
    expect(downloads.manager.views()).toEqual([]);
    expect(below(folders().lora)).toEqual([]);
  });

  test('of what is there already fetches nothing', async () => {
    host.file('/x.safetensors', LORA);
    await fetchIt(`${host.url}/x.safetensors`);
    const asked = host.sent('/x.safetensors');
    const view = await fetchIt(`${host.url}/x.safetensors`);
    expect(view.note).toContain('is there already');
    expect(host.sent('/x.safetensors') - asked).toBeLessThanOrEqual(MB + 64 * 1024);
  });

  test('of a checkpoint is known by its name afterwards, without asking the host again', async () => {
    const bytes = safetensorsFile(CHECKPOINT_TENSORS, MB);
    host.file('/dream.safetensors', bytes);
    const names = { list: async () => [{ name: 'dream' }] as never, refresh: async () => {} };
    const first = openDownloads();
    expect(await first.checkpoint(`${host.url}/dream.safetensors`)).toBe('dream');
    host.file('/dream.safetensors', bytes, { answer: { status: 500 } });
    const second = openDownloads({ library: names });
    const asked = host.seen.length;
    expect(await second.checkpoint(`${host.url}/dream.safetensors`)).toBe('dream');
    expect(host.seen.length).toBe(asked);
    host.file('/l.safetensors', LORA);
    await expect(first.checkpoint(`${host.url}/l.safetensors`)).rejects.toThrow(/no checkpoint/);
  });

  test('with a damaged state is left alone', async () => {
    host.file('/x.safetensors', LORA);
    await fetchIt(`${host.url}/x.safetensors`);
    writeFileSync(join(folders().lora, 'y.safetensors.part.json'), '{"version":1}');
    const downloads = openDownloads();
    await downloads.manager.restore();
    expect(downloads.manager.views()).toEqual([]);
    expect(logged.lines.join('\n')).toContain('cannot be gone on with');
  });
});

describe('what may be asked', () => {
  test('S13 is no address of this machine or its network, but what the owner named', async () => {
    other.file('/x.safetensors', LORA);
    const downloads = openDownloads();
    for (const reference of [
      `${other.url}/x.safetensors`,
      `${other.url.replace('127.0.0.1', 'localhost')}/x.safetensors`,
      'https://127.0.0.1/x.safetensors',
      'https://[::1]/x.safetensors',
      'https://192.168.0.1/x.safetensors',
      'https://169.254.169.254/latest/x.safetensors',
      'https://[::ffff:10.0.0.1]/x.safetensors',
      'https://[fd00::1]/x.safetensors',
    ]) {
      const view = await fetchIt(reference, downloads);
      expect(view.error?.message, reference).toMatch(/address of this machine or of its network/);
    }
    expect(other.seen).toEqual([]);
  });

  test('D4 needs room on the disk for what is missing', async () => {
    // A header that speaks of far more than any disk holds.
    const header = JSON.stringify({
      'lora_unet_x.lora_up.weight': { dtype: 'U8', shape: [1], data_offsets: [0, 9e14] },
    });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const headers = { 'content-range': `bytes 0-9/${9e14 + 8 + header.length}` };
    host.file('/x.safetensors', Buffer.concat([length, Buffer.from(header)]), { headers });
    const view = await fetchIt(`${host.url}/x.safetensors`);
    expect(view.error).toMatchObject({ code: 'storage-full' });
    expect(view.error?.message).toMatch(/900000\.0 GB.*are free/);
    expect(below(folders().lora)).not.toContain('x.safetensors.part');
  });
});
