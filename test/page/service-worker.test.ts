import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';

const SOURCE = readFileSync(new URL('../../public/sw.js', import.meta.url), 'utf8');
const ORIGIN = 'https://me.github.io';

type Handler = (event: object) => void;

/** The service worker on a host whose files the test holds; `isOnline` cuts the network. */
function install(files: Map<string, string>) {
  const handlers = new Map<string, Handler>();
  const kept = new Map<string, Response>();
  const fetched: string[] = [];
  const network = { isOnline: true };
  const cache = {
    match: async (key: string) => kept.get(key)?.clone(),
    put: async (key: string, reply: Response) => void kept.set(key, reply),
    keys: async () => [...kept.keys()].map((url) => ({ url })),
    delete: async ({ url }: { url: string }) => kept.delete(url),
  };
  const self = {
    location: { origin: ORIGIN },
    addEventListener: (type: string, handler: Handler) => handlers.set(type, handler),
    caches: { open: async () => cache, keys: async () => [], delete: async () => true },
  };
  const fetchFile = async ({ url }: { url: string }) => {
    fetched.push(url);
    if (!network.isOnline) throw new TypeError('Failed to fetch');
    const body = files.get(new URL(url).pathname);
    const reply = new Response(body ?? 'not here', { status: body === undefined ? 404 : 200 });
    Object.defineProperty(reply, 'type', { value: 'basic' });
    return reply;
  };
  runInNewContext(SOURCE, { self, fetch: fetchFile, URL, Response, Headers, Promise });

  async function ask(path: string, init: { mode?: string; range?: string; method?: string } = {}) {
    const request = {
      url: path.startsWith('http') ? path : ORIGIN + path,
      method: init.method ?? 'GET',
      mode: init.mode ?? 'cors',
      cache: 'default',
      headers: new Headers(init.range ? { range: init.range } : {}),
    };
    let answer: Promise<Response> | null = null;
    handlers.get('fetch')?.({
      request,
      respondWith: (reply: Promise<Response>) => {
        answer = reply;
      },
    });
    return answer as Promise<Response> | null;
  }
  return { ask, fetched, kept, network };
}

const FILES = () =>
  new Map([
    ['/easel/', 'page 1'],
    ['/easel/assets/index-abc.js', 'script'],
    ['/easel/models/index.json', '{"models":[]}'],
    ['/easel/models/tiny/unet.safetensors', 'weights'],
  ]);

describe('service worker', () => {
  it('makes every reply of its own host isolated, errors too', async () => {
    const { ask } = install(FILES());
    for (const path of ['/easel/', '/easel/assets/index-abc.js', '/nothing']) {
      const reply = await ask(path);
      expect(reply?.headers.get('cross-origin-opener-policy')).toBe('same-origin');
      expect(reply?.headers.get('cross-origin-embedder-policy')).toBe('require-corp');
    }
    expect((await ask('/nothing'))?.status).toBe(404);
    expect(await (await ask('/easel/'))?.text()).toBe('page 1');
  });

  it('leaves other hosts alone', async () => {
    expect(await install(FILES()).ask('https://huggingface.co/model')).toBeNull();
  });

  it('answers without a network what was seen before', async () => {
    const { ask, network } = install(FILES());
    await ask('/easel/?device=wasm', { mode: 'navigate' });
    await ask('/easel/models/index.json');
    network.isOnline = false;
    expect(await (await ask('/easel/?other=1', { mode: 'navigate' }))?.text()).toBe('page 1');
    expect(await (await ask('/easel/models/index.json'))?.text()).toBe('{"models":[]}');
    await expect(ask('/easel/never-seen')).rejects.toThrow('Failed to fetch');
  });

  it('asks the network once for hashed files, and always for the rest', async () => {
    const files = FILES();
    const { ask, fetched } = install(files);
    await ask('/easel/assets/index-abc.js');
    await ask('/easel/assets/index-abc.js');
    expect(fetched).toHaveLength(1);
    await ask('/easel/models/index.json');
    files.set('/easel/models/index.json', 'new');
    expect(await (await ask('/easel/models/index.json'))?.text()).toBe('new');
  });

  it('drops the assets of an old version when the page changes', async () => {
    const files = FILES();
    const { ask, kept } = install(files);
    await ask('/easel/', { mode: 'navigate' });
    await ask('/easel/assets/index-abc.js');
    await ask('/easel/', { mode: 'navigate' });
    expect(kept.has(`${ORIGIN}/easel/assets/index-abc.js`)).toBe(true);
    files.set('/easel/', 'page 2');
    await ask('/easel/', { mode: 'navigate' });
    expect([...kept.keys()]).toEqual([`${ORIGIN}/easel/`]);
  });

  it('keeps no weights, no ranges, no failures and nothing of an API', async () => {
    const files = FILES();
    files.set('/easel/v1/engine-token', '{"token":"secret"}');
    files.set('/sdapi/v1/options', '{}');
    const { ask, kept } = install(files);
    await ask('/easel/models/tiny/unet.safetensors');
    await ask('/easel/', { range: 'bytes=0-1' });
    await ask('/easel/', { method: 'POST' });
    await ask('/nothing');
    await ask('/easel/v1/engine-token');
    await ask('/sdapi/v1/options');
    expect([...kept.keys()]).toEqual([]);
  });
});
