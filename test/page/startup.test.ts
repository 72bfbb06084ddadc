import { describe, expect, it } from 'vitest';
import type { EngineStart } from '../../protocol/engine-start.ts';
import {
  baseUrlOf,
  detectServer,
  engineConfigOf,
  isLoopback,
  type Server,
} from '../../web/page/startup.ts';

const START: EngineStart = {
  token: 'a-token-of-twenty-two-characters',
  relayPath: '/easel/v1/relay',
  device: 'wasm',
  precision: 'fp32',
  checkpoint: 'dreamshaper_8',
  vae: null,
  allocator: 'caching',
  unloadIdleMinutes: null,
};

function answering(reply: () => Response | Promise<Response>) {
  const asked: string[] = [];
  const fetchImpl = (async (input: string | URL | Request) => {
    asked.push(String(input));
    return reply();
  }) as typeof fetch;
  return { asked, fetchImpl };
}

const html = () =>
  new Response('<!doctype html>', { headers: { 'content-type': 'text/html' }, status: 200 });

describe('detectServer', () => {
  it('knows a bridge by its token, and takes what the command line asks for', async () => {
    const { asked, fetchImpl } = answering(() => Response.json(START));
    const server = await detectServer('http://localhost:7860/', fetchImpl);
    expect(asked).toEqual(['http://localhost:7860/easel/v1/engine-token']);
    expect(server).toMatchObject({ kind: 'bridge', wishes: { device: 'wasm', precision: 'fp32' } });
  });

  it('knows a bridge of another version', async () => {
    const { fetchImpl } = answering(() => Response.json({ token: 'abc', precision: 'fp7' }));
    const server = await detectServer('http://localhost:7860/', fetchImpl);
    expect(server).toMatchObject({ kind: 'bridge', wishes: { precision: 'auto' } });
  });

  it.each([
    ['404', () => new Response('no', { status: 404 })],
    ['an HTML page for every path', html],
    ['JSON of something else', () => Response.json({ hello: 1 })],
    ['a broken connection', () => Promise.reject(new TypeError('failed to fetch'))],
    ['500', () => new Response('oops', { status: 500 })],
  ])('takes %s for a static host', async (_name, reply) => {
    const { fetchImpl } = answering(reply);
    const server = await detectServer('https://me.github.io/easel/', fetchImpl);
    expect(server.kind).toBe('static');
  });

  it.each([401, 403])('says that a bridge wants its password (%s)', async (status) => {
    const { fetchImpl } = answering(() => new Response('{}', { status }));
    expect((await detectServer('http://pc:7860/', fetchImpl)).kind).toBe('locked');
  });
});

describe('isLoopback', () => {
  it.each(['localhost', 'easel.localhost', 'localhost.', '127.0.0.1', '127.1.2.3', '[::1]'])(
    '%s is this machine',
    (host) => expect(isLoopback(host)).toBe(true),
  );

  it.each(['192.168.1.5', 'pc', 'localhost.evil.com', '127.0.0.1.evil.com', 'mylocalhost'])(
    '%s is another',
    (host) => expect(isLoopback(host)).toBe(false),
  );
});

describe('engineConfigOf', () => {
  const bridge: Server = { kind: 'bridge', wishes: START };
  const staticHost: Server = {
    kind: 'static',
    wishes: { ...START, device: 'auto', precision: 'auto', checkpoint: null },
  };

  it('points the worker at the relay of a bridge', () => {
    expect(engineConfigOf('http://localhost:7860/?x=1#gallery', bridge)).toMatchObject({
      baseUrl: 'http://localhost:7860/',
      relay: {
        url: 'ws://localhost:7860/easel/v1/relay',
        tokenUrl: 'http://localhost:7860/easel/v1/engine-token',
      },
      device: 'wasm',
      precision: 'fp32',
      checkpoint: 'dreamshaper_8',
    });
    expect(engineConfigOf('https://pc:7860/', bridge).relay?.url).toMatch(/^wss:/);
  });

  it('carries what the command line says of buffers and idle time', () => {
    const wishes = { ...START, allocator: 'simple', unloadIdleMinutes: 15 } as const;
    expect(engineConfigOf('https://pc:7860/', { kind: 'bridge', wishes })).toMatchObject({
      allocator: 'simple',
      unloadIdleMinutes: 15,
    });
  });

  it('stays below the folder that the page lies in', () => {
    expect(baseUrlOf('https://me.github.io/easel/index.html?a#b')).toBe(
      'https://me.github.io/easel/',
    );
    expect(engineConfigOf('https://me.github.io/easel/', bridge).relay?.url).toBe(
      'wss://me.github.io/easel/easel/v1/relay',
    );
  });

  it('has no relay on a static host, and begins with the checkpoint used last', () => {
    const page = 'https://me.github.io/easel/';
    expect(engineConfigOf(page, staticHost)).toMatchObject({
      relay: null,
      device: 'auto',
      checkpoint: 'easel-tiny',
    });
    expect(engineConfigOf(page, staticHost, 'mine').checkpoint).toBe('mine');
    expect(engineConfigOf('http://localhost:7860/', bridge, 'mine').checkpoint).toBe(
      'dreamshaper_8',
    );
  });

  it('lets the address of the page decide', () => {
    const page = 'http://localhost:7860/?device=webgpu&precision=q8&checkpoint=other';
    expect(engineConfigOf(page, bridge)).toMatchObject({
      device: 'webgpu',
      precision: 'q8',
      checkpoint: 'other',
    });
    expect(engineConfigOf('http://localhost:7860/?precision=fp7', bridge).precision).toBe('fp32');
  });
});
