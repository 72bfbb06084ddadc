import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { EngineStart } from '../../../protocol/engine-start.ts';
import { CLOSE_CODES, PROTOCOL_VERSION } from '../../../protocol/relay.ts';
import { FakeTab } from '../../fakes/fake-tab.ts';
import { helloFrame } from '../../fakes/tab-frames.ts';
import { startTestBridge, type TestBridge } from '../support.ts';

let bridge: TestBridge;
let token: string;
const tabs: FakeTab[] = [];

beforeAll(async () => {
  bridge = await startTestBridge();
  token = ((await (await fetch(`${bridge.url}/easel/v1/engine-token`)).json()) as EngineStart)
    .token;
});
afterEach(async () => {
  for (const tab of tabs.splice(0)) await tab.close();
});
afterAll(() => bridge?.dispose());

async function attach(options: Parameters<typeof FakeTab.attach>[1] = {}): Promise<FakeTab> {
  const tab = await FakeTab.attach(bridge.url, options);
  tabs.push(tab);
  return tab;
}

/** Status of a refused upgrade, or `open`. */
function upgrade(
  path: string,
  options: ConstructorParameters<typeof WebSocket>[2] = {},
): Promise<number | 'open'> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://localhost:${bridge.port}${path}`, options);
    socket.once('open', () => {
      socket.terminate();
      resolve('open');
    });
    socket.once('unexpected-response', (_request, response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    socket.once('error', () => {});
  });
}

/** Sends bytes as they are and returns everything that comes back until the end. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(bridge.port, '127.0.0.1');
    let reply = '';
    socket.setTimeout(3_000, () => socket.destroy());
    socket.on('data', (data) => {
      reply += data;
      if (/\r\n\r\n/.test(reply)) socket.end();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(reply));
    socket.write(text);
  });
}

const statusLine = async (text: string) => Number((await raw(text)).split(' ')[1]);

describe('the upgrade', () => {
  it('S5 takes the token of this start and nothing else', async () => {
    expect(token.length).toBeGreaterThanOrEqual(22);
    expect(await upgrade(`/easel/v1/relay?token=${token}`)).toBe('open');
    expect(await upgrade('/easel/v1/relay')).toBe(401);
    expect(await upgrade('/easel/v1/relay?token=')).toBe(401);
    expect(await upgrade(`/easel/v1/relay?token=${token.slice(1)}`)).toBe(401);
    expect(await upgrade(`/easel/v1/relay?token=${'x'.repeat(32)}`)).toBe(401);
    expect(await upgrade(`/elsewhere?token=${token}`)).toBe(404);
    expect(bridge.relay.list()).toEqual([]);
  });

  it('S5 refuses foreign pages and foreign hosts before the upgrade, token or not', async () => {
    const path = `/easel/v1/relay?token=${token}`;
    for (const origin of [
      'https://evil.test',
      'null',
      'http://localhost:1',
      'https://lite.koboldai.net',
      'http://127.0.0.1',
    ]) {
      expect(await upgrade(path, { headers: { origin } }), origin).toBe(403);
    }
    expect(await upgrade(path, { headers: { 'sec-fetch-site': 'cross-site' } })).toBe(403);
    expect(await upgrade(path, { headers: { host: 'evil.test' } })).toBe(403);
    expect(await upgrade(path, { headers: { origin: `http://localhost:${bridge.port}` } })).toBe(
      'open',
    );
  });

  it('S5 is new at each start', async () => {
    const other = await startTestBridge();
    const theirs = (
      (await (await fetch(`${other.url}/easel/v1/engine-token`)).json()) as EngineStart
    ).token;
    await other.dispose();
    expect(theirs).not.toBe(token);
  });

  it('S14 leaves no other upgrade hanging', async () => {
    const host = `Host: localhost:${bridge.port}`;
    expect(
      await statusLine(`GET / HTTP/1.1\r\n${host}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`),
    ).toBe(426);
    expect(await statusLine(`GET /easel/v1/relay?token=${token} HTTP/1.1\r\n${host}\r\n\r\n`)).toBe(
      426,
    );
  });

  it('S2 refuses malformed and doubled hosts on the wire', async () => {
    const get = (lines: string) =>
      statusLine(`GET /health HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`);
    const own = `Host: localhost:${bridge.port}\r\n`;
    expect(await get(own)).toBe(503);
    expect(await get(`${own}Host: evil.test\r\n`)).toBe(400);
    expect(await get(`Host: evil.test\r\n${own}`)).toBe(400);
    expect(await get('Host: user@localhost\r\n')).toBe(400);
    expect(await get('Host: 2130706433\r\n')).toBe(400);
    expect(await get('Host: [::1\r\n')).toBe(400);
    expect(await get('Host: evil.test\r\n')).toBe(403);
    expect(await get('')).toBe(400);
    expect(
      await statusLine(`GET http://evil.test/health HTTP/1.1\r\n${own}Connection: close\r\n\r\n`),
    ).toBe(400);
    expect(await statusLine('GET /health HTTP/1.0\r\n\r\n')).toBe(400);
  });

  it('S9 refuses headers beyond 16 KiB', async () => {
    const big = `X-Big: ${'x'.repeat(17 * 1024)}\r\n`;
    expect(await statusLine(`GET /health HTTP/1.1\r\nHost: localhost\r\n${big}\r\n`)).toBe(431);
  });

  it('S1 listens on loopback of both families and nowhere else', () => {
    expect(bridge.addresses.filter((address) => !['127.0.0.1', '::1'].includes(address))).toEqual(
      [],
    );
    expect(bridge.addresses).toContain('127.0.0.1');
  });
});

describe('tabs over real sockets', () => {
  it('shows attached tabs and a running job on /health', async () => {
    const tab = await attach({ answers: false, status: { state: 'idle' } });
    const reply = bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 2 });
    await tab.until(() => tab.jobs.length === 1);
    const health = await fetch(`${bridge.url}/health`);
    expect(health.status).toBe(200);
    expect(await health.json()).toMatchObject({
      status: 'ready',
      engines: [
        {
          device: 'webgpu',
          adapter: 'Fake adapter',
          state: 'busy',
          checkpoint: 'easel-tiny',
          precision: 'fp16',
        },
      ],
      queue: { waiting: 0, running: 1, limit: 64 },
    });
    await bridge.post('/sdapi/v1/interrupt', {});
    tab.kill();
    expect((await reply).status).toBe(409);
  });

  it('closes on another protocol version with its own code', async () => {
    const socket = new WebSocket(`ws://localhost:${bridge.port}/easel/v1/relay?token=${token}`);
    const code = await new Promise((resolve) => {
      socket.once('open', () =>
        socket.send(JSON.stringify(helloFrame({ protocolVersion: PROTOCOL_VERSION + 1 }))),
      );
      socket.once('close', resolve);
    });
    expect(code).toBe(CLOSE_CODES.versionMismatch);
  });

  it('S14 closes on a malformed and on a binary frame, and serves others on', async () => {
    const tab = await attach();
    tab.sendRaw('{"type":"heartbeat"}');
    expect(await tab.closed).toBe(CLOSE_CODES.badFrame);
    expect((await fetch(`${bridge.url}/health`)).status).toBe(503);
  });

  it('R2 hands the job of a killed tab on within a second', async () => {
    const dying = await attach({ answers: false });
    const reply = bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 2, seed: 3 });
    await dying.until(() => dying.jobs.length === 1);
    const heir = await attach();
    dying.kill();
    const start = Date.now();
    await heir.until(() => heir.jobs.length === 1, 2_000);
    expect(Date.now() - start).toBeLessThan(1_000);
    expect(heir.jobs[0]).toMatchObject({ jobId: dying.jobs[0]!.jobId, attempt: 2 });
    expect((await reply).status).toBe(200);
  });

  it('R11 interrupts within a step, and answers 200 with what exists', async () => {
    const tab = await attach({ stepMs: 50 });
    const reply = bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 500, batch_size: 4 });
    await tab.until(() => tab.jobs.length === 1);
    const start = Date.now();
    expect(await (await bridge.post('/sdapi/v1/interrupt', {})).json()).toEqual({});
    const response = await reply;
    expect(Date.now() - start).toBeLessThan(550);
    expect(response.status).toBe(200);
    expect((await response.json()).images).toHaveLength(1);
  });

  it('R12 frees the place of a client that hangs up', async () => {
    const tab = await attach({ stepMs: 30 });
    const hangUp = new AbortController();
    const gone = fetch(`${bridge.url}/sdapi/v1/txt2img`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'x', steps: 1000 }),
      signal: hangUp.signal,
    }).catch(() => 'gone');
    await tab.until(() => tab.jobs.length === 1);
    hangUp.abort();
    expect(await gone).toBe('gone');
    await tab.until(() => tab.received.some(({ type }) => type === 'cancel'), 1_000);
    await tab.until(() => tab.received.some(({ type }) => type === 'ack'), 2_000);
    expect(bridge.services.jobs.view().running).toBe(0);
  });

  it('R10 shares the queue between two tabs, each job once', async () => {
    const both = [await attach({ stepMs: 5 }), await attach({ stepMs: 5 })];
    const seeds = Array.from({ length: 8 }, (_, index) => index + 1);
    const replies = await Promise.all(
      seeds.map((seed) => bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 3, seed })),
    );
    expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(200));
    const done = both.flatMap((tab) => tab.jobs.map(({ params }) => params.seed));
    expect(done.sort((a, b) => a - b)).toEqual(seeds);
    for (const tab of both) expect(tab.jobs.length).toBeGreaterThan(0);
  });
});
