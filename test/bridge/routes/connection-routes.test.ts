import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AppEnv } from '../../../bridge/app-env.ts';
import { ClientLog, noteClients } from '../../../bridge/client-log.ts';
import { connectionRoutes } from '../../../bridge/routes/connection-routes.ts';
import { connectionView } from '../../../protocol/connection.ts';
import { startTestBridge, type TestBridge } from '../support.ts';

let bridge: TestBridge;
beforeAll(async () => {
  bridge = await startTestBridge();
});
afterAll(() => bridge.dispose());

const view = async () =>
  connectionView.parse(await (await fetch(`${bridge.url}/easel/v1/connection`)).json());

describe('GET /easel/v1/connection', () => {
  test('names who uses the API, with the last error of each, and not the page itself', async () => {
    const lite = { origin: 'https://lite.koboldai.net' };
    await fetch(`${bridge.url}/sdapi/v1/samplers`, { headers: { 'user-agent': 'curl/8' } });
    await fetch(`${bridge.url}/sdapi/v1/sd-models`, { headers: lite });
    const bad = { width: 'wide' };
    expect((await bridge.post('/sdapi/v1/txt2img', bad, lite)).status).toBe(422);
    await fetch(`${bridge.url}/sdapi/v1/samplers`, {
      headers: { 'sec-fetch-site': 'same-origin' },
    });

    const { clients, hasPassword, isPublic, addresses } = await view();
    expect(clients.map(({ name, requests }) => [name, requests])).toEqual([
      ['KoboldAI Lite', 2],
      ['curl', 1],
    ]);
    expect(clients[0]?.lastError).toMatchObject({ status: 422, path: '/sdapi/v1/txt2img' });
    expect(clients[0]?.lastError?.message).toMatch(/width/);
    expect(clients[1]?.lastError).toBeNull();
    expect([hasPassword, isPublic, addresses]).toEqual([false, false, []]);
  });

  test('is for the bridge’s own page', async () => {
    const headers = { 'sec-fetch-site': 'cross-site' };
    expect((await fetch(`${bridge.url}/easel/v1/connection`, { headers })).status).toBe(403);
  });

  test('gives the addresses in the network where other machines can reach the bridge', async () => {
    const app = new Hono<AppEnv>();
    app.use(async (c, next) => {
      c.set('originVerdict', 'none');
      await next();
    });
    const clients = new ClientLog();
    const hosts = () => ['192.168.1.5'];
    app.route('/', connectionRoutes({ clients, hasPassword: () => true, isPublic: true, hosts }));
    const reply = await app.request('http://localhost:7860/easel/v1/connection');
    expect(await reply.json()).toMatchObject({
      hasPassword: true,
      addresses: ['http://192.168.1.5:7860'],
    });
  });
});

describe('the log of clients', () => {
  test('keeps fifty, those seen last, and an error until the next one', () => {
    let now = 0;
    const log = new ClientLog(() => (now += 1));
    for (let i = 0; i < 60; i++) log.note(`c${i}`, null);
    log.note('c20', { status: 503, path: '/sdapi/v1/txt2img', message: 'No engine.' });
    log.note('c20', null);
    const views = log.views();
    expect(views).toHaveLength(50);
    expect(views[0]).toMatchObject({
      name: 'c20',
      requests: 3,
      lastError: { message: 'No engine.' },
    });
    expect(views.some(({ name }) => name === 'c5')).toBe(false);
  });

  test('never fails a request over a body that is no JSON', async () => {
    const log = new ClientLog();
    const app = new Hono<AppEnv>();
    app.use(noteClients(log));
    app.get('/sdapi/v1/x', (c) => c.text('plain', 500));
    const reply = await app.request('/sdapi/v1/x', { headers: { 'user-agent': 'curl/8' } });
    expect(await reply.text()).toBe('plain');
    expect(log.views()[0]?.lastError).toMatchObject({ status: 500, message: '' });
  });
});
