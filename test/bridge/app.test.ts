import { join } from 'node:path';
import type { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AppDeps, createApp } from '../../bridge/app.ts';
import type { AppEnv } from '../../bridge/app-env.ts';
import { ModelDownloads } from '../../bridge/downloads/model-downloads.ts';
import { healthOf } from '../../bridge/health.ts';
import { BridgeMetrics } from '../../bridge/metrics.ts';
import { AccessControl } from '../../bridge/security/access-control.ts';
import { MAX_BODY_BYTES } from '../../bridge/security/body-limit.ts';
import { GuessLimit } from '../../bridge/security/guess-limit.ts';
import type { BridgeServices } from '../../bridge/services.ts';
import { fakeDist, logLines, optionsOf, temporaryFolder } from './support.ts';

const LITE = 'https://lite.koboldai.net';
const EVIL = 'https://evil.test';
const JSON_TYPE = { 'content-type': 'application/json' };
const TOKEN = 't'.repeat(32);
const folder = temporaryFolder();
let dist: string;

beforeAll(() => {
  dist = fakeDist(folder.path);
});
afterAll(() => folder.remove());

/** Services without engine; every call that changes something is counted. */
function services(calls: string[]): BridgeServices {
  return {
    jobs: {
      assertRoom: () => {},
      submit: async () => {
        calls.push('submit');
        throw new Error('not in this test');
      },
      view: () => ({ waiting: 0, running: 0, limit: 64, current: null }),
      list: () => [],
      find: () => null,
      result: async () => null,
      interrupt: () => calls.push('interrupt'),
      skip: () => calls.push('skip'),
      onEvent: () => () => {},
    },
    engines: { list: () => [], control: async () => void calls.push('control') },
    models: {
      list: async () => [],
      sha256: () => null,
      refresh: async () => void calls.push('refresh'),
    },
    settings: { get: () => ({}), set: async () => void calls.push('settings') },
    outputs: { root: '/out', folder: '/out', save: async () => '/out/x.png' },
  };
}

interface TestApp {
  readonly app: Hono<AppEnv>;
  readonly calls: string[];
  readonly access: AccessControl;
  readonly lines: string[];
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, headers?: Record<string, string>, body?: BodyInit): Promise<Response>;
}

function appWith({
  password = '',
  ...changes
}: Partial<AppDeps> & { password?: string } = {}): TestApp {
  const calls: string[] = [];
  const { lines, log } = logLines();
  const access = new AccessControl({
    credentials: password === '' ? [] : [{ user: 'ann', password }],
    secrets: { sessionKey: 's'.repeat(32), capability: 'c'.repeat(32) },
  });
  const queue = { waiting: 0, running: 0, limit: 64 };
  const app = createApp({
    services: services(calls),
    a1111: {},
    library: { index: async () => [], file: async () => null },
    downloads: new ModelDownloads({
      ...optionsOf(dist).downloads,
      folders: optionsOf(dist).folders,
      finishedPath: join(dist, 'downloads.json'),
      library: { list: async () => [], refresh: async () => {} },
      engines: { control: async () => {} },
      log,
    }),
    engine: {
      start: () => ({
        ...{ token: TOKEN, relayPath: '/easel/v1/relay', device: 'auto', precision: 'auto' },
        ...{ checkpoint: null, vae: null, allocator: 'caching', unloadIdleMinutes: null },
      }),
      hasRoom: () => true,
      upgrade: async (c) => c.text('upgraded', 200),
    },
    metrics: new BridgeMetrics({
      queue: () => ({ waiting: 0, running: 0, limit: 64 }),
      engines: () => [],
    }),
    health: () =>
      healthOf({
        engines: [],
        queue,
        isStopping: false,
        isStarting: false,
        download: null,
        pageUrl: 'http://localhost:7860',
      }),
    access,
    guesses: new GuessLimit(),
    hostRule: { isPublic: false, names: [] },
    originRule: { origins: [], hasDefaults: true, allowsNull: false },
    distFolder: dist,
    isTls: false,
    log,
    ...changes,
  });
  return {
    ...{ app, calls, access, lines },
    get: async (path, headers = {}) => await app.request(path, { headers }),
    post: async (path, headers = {}, body) =>
      await app.request(path, { method: 'POST', headers, ...(body === undefined ? {} : { body }) }),
  };
}

/** Every route with its method, as the router has them, parameters filled in. */
function routesOf({ app }: TestApp): { method: string; path: string }[] {
  const seen = new Set<string>();
  return app.routes
    .filter(({ path, method }) => path !== '/*' && method !== 'ALL')
    .map(({ path, method }) => ({ method, path: path.replace(/:\w+/g, 'x').replace(/\*$/, 'x') }))
    .filter(({ method, path }) => !seen.has(`${method} ${path}`) && seen.add(`${method} ${path}`));
}

describe('the order of the middleware', () => {
  it('S2 refuses a foreign Host on every route before anything else happens', async () => {
    const test = appWith();
    const routes = [
      ...routesOf(test),
      { method: 'GET', path: '/' },
      { method: 'GET', path: '/assets/x.js' },
    ];
    expect(routes.length).toBeGreaterThan(40);
    for (const { method, path } of routes) {
      const response = await test.app.request(path, {
        method,
        headers: { host: 'evil.test:7860' },
      });
      expect(response.status, `${method} ${path}`).toBe(403);
    }
    expect(test.calls).toEqual([]);
  });

  it('S3 refuses an unlisted Origin on every route, and its preflight', async () => {
    const test = appWith();
    for (const { method, path } of routesOf(test)) {
      for (const origin of [EVIL, 'null', 'http://localhost.evil.test']) {
        const response = await test.app.request(path, {
          method,
          headers: { origin, ...JSON_TYPE },
        });
        expect(response.status, `${method} ${path}`).toBe(403);
        expect(response.headers.get('access-control-allow-origin')).toBeNull();
        expect(response.headers.get('vary')).toContain('Origin');
      }
      const preflight = await test.app.request(path, {
        method: 'OPTIONS',
        headers: { origin: EVIL, 'access-control-request-method': method },
      });
      expect(preflight.status).toBe(403);
    }
    expect(test.calls).toEqual([]);
  });

  it('[M5] S3 lets a listed page read every reply, errors too, never with credentials', async () => {
    const test = appWith({ password: 'pw' });
    const auth = { authorization: 'Bearer pw' };
    for (const [path, init, status] of [
      ['/health', {}, 503],
      ['/sdapi/v1/sd-models', { headers: auth }, 200],
      ['/nowhere', { headers: auth }, 404],
      ['/sdapi/v1/options', {}, 401],
      ['/sdapi/v1/txt2img', { method: 'POST', body: '{', headers: { ...auth, ...JSON_TYPE } }, 422],
      [
        '/sdapi/v1/txt2img',
        {
          method: 'POST',
          body: 'a=b',
          headers: { ...auth, 'content-type': 'application/x-www-form-urlencoded' },
        },
        415,
      ],
      [
        '/sdapi/v1/txt2img',
        {
          method: 'POST',
          headers: { ...auth, ...JSON_TYPE, 'content-length': String(MAX_BODY_BYTES + 1) },
          body: '{}',
        },
        413,
      ],
      ['/easel/v1/jobs/unknown', { headers: auth }, 404],
    ] as [string, RequestInit, number][]) {
      const headers = { ...(init.headers as Record<string, string>), origin: LITE };
      const response = await test.app.request(path, { ...init, headers });
      expect(response.status, path).toBe(status);
      expect(response.headers.get('access-control-allow-origin'), path).toBe(LITE);
      expect(response.headers.get('access-control-allow-credentials')).toBeNull();
      expect(response.headers.get('access-control-expose-headers')).toContain('X-Easel-Job');
      expect(response.headers.get('vary')).toContain('Origin');
    }
  });

  it('S6 answers preflight before the password', async () => {
    const test = appWith({ password: 'pw' });
    const response = await test.app.request('/sdapi/v1/txt2img', {
      method: 'OPTIONS',
      headers: {
        origin: LITE,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,x-custom',
      },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('access-control-allow-origin')).toBe(LITE);
    expect(response.headers.get('access-control-allow-headers')).toBe('content-type,x-custom');
    expect(response.headers.get('access-control-max-age')).toBe('600');
  });

  it('S6 demands the password on every route but /health, /login and the relay, which has its own key', async () => {
    const test = appWith({ password: 'pw' });
    const open: string[] = [];
    for (const { method, path } of [...routesOf(test), { method: 'GET', path: '/' }]) {
      if (method === 'OPTIONS') continue;
      const response = await test.app.request(path, { method, headers: JSON_TYPE });
      if (response.status !== 401) open.push(`${method} ${path} ${response.status}`);
    }
    expect(open.sort()).toEqual(['GET /health 503', 'GET /login 200']);
    expect(test.calls).toEqual([]);
  });

  it('S6 shows the status alone on /health without the password', async () => {
    const test = appWith({ password: 'pw' });
    expect(await (await test.get('/health')).json()).toEqual({ status: 'no-engine' });
    const full = await (await test.get('/health', { authorization: 'Bearer pw' })).json();
    expect(full).toMatchObject({
      status: 'no-engine',
      version: '0.1.0',
      engines: [],
      activity: null,
    });
    expect(full.queue).toEqual({ waiting: 0, running: 0, limit: 64 });
  });

  it('S6 takes Basic, Bearer, cookie and capability path, and ignores Authorization when off', async () => {
    const test = appWith({ password: 'pw' });
    const basic = `Basic ${Buffer.from('ann:pw').toString('base64')}`;
    const { value } = test.access.issueSession();
    for (const headers of [
      { authorization: basic },
      { authorization: 'Bearer pw' },
      { cookie: `easel_session=${value}` },
    ]) {
      expect((await test.get('/sdapi/v1/options', headers)).status).toBe(200);
    }
    const link = test.access.capabilityPath;
    expect((await test.get(`${link}/sdapi/v1/options`)).status).toBe(200);
    expect((await test.get(`${link}/sdapi/v1/sd-models`)).status).toBe(200);
    expect((await test.post(`${link}/sdapi/v1/interrupt`)).status).toBe(200);
    for (const path of ['/', '/easel/v1/jobs/last', '/easel/v1/engine-token']) {
      expect((await test.get(link + path)).status, path).toBe(403);
    }
    expect((await test.post(`${link}/sdapi/v1/options`, JSON_TYPE, '{}')).status).toBe(403);
    expect((await test.get(`/k/${'x'.repeat(32)}/sdapi/v1/options`)).status).toBe(401);
    const off = appWith();
    for (const authorization of [
      '',
      'Basic ',
      `Basic ${Buffer.from('undefined').toString('base64')}`,
      'Bearer x',
    ]) {
      expect((await off.get('/sdapi/v1/options', { authorization })).status).toBe(200);
    }
  });

  it('S7 answers 429 with Retry-After after too many wrong passwords; blank ones do not count', async () => {
    const test = appWith({ password: 'pw' });
    for (let index = 0; index < 50; index += 1) {
      expect((await test.get('/sdapi/v1/options', { authorization: '' })).status).toBe(401);
    }
    const statuses: number[] = [];
    for (let index = 0; index < 16; index += 1) {
      statuses.push((await test.get('/sdapi/v1/options', { authorization: 'Bearer no' })).status);
    }
    expect(statuses.slice(0, 14)).toEqual(Array(14).fill(401));
    expect(statuses.slice(14)).toEqual([429, 429]);
    const late = await test.get('/sdapi/v1/options', { authorization: 'Bearer pw' });
    expect(late.status).toBe(429);
    expect(Number(late.headers.get('retry-after'))).toBeGreaterThan(0);
    const { value } = test.access.issueSession();
    expect((await test.get('/sdapi/v1/options', { cookie: `easel_session=${value}` })).status).toBe(
      200,
    );
  });

  it('S4 refuses forms and, from a page, untyped bodies; takes them from programs', async () => {
    const test = appWith();
    const path = '/sdapi/v1/interrupt';
    for (const type of ['multipart/form-data; boundary=x', 'application/x-www-form-urlencoded']) {
      expect((await test.post(path, { 'content-type': type }, 'a=b')).status).toBe(415);
      expect((await test.post(path, { 'content-type': type, origin: LITE }, 'a=b')).status).toBe(
        415,
      );
    }
    expect(
      (await test.post(path, { 'content-type': 'text/plain', origin: LITE }, '{}')).status,
    ).toBe(415);
    expect((await test.post(path, { 'content-type': 'text/plain' }, '{}')).status).toBe(200);
    expect(test.calls).toEqual(['interrupt']);
    // SillyTavern's: no body, no type, no Origin.
    expect((await test.post(path)).status).toBe(200);
    expect((await test.post(path, { origin: EVIL })).status).toBe(403);
    expect(test.calls).toEqual(['interrupt', 'interrupt']);
  });

  it('S4 changes nothing on any GET', async () => {
    const test = appWith();
    for (const { method, path } of routesOf(test)) {
      if (method === 'GET') await test.get(path);
    }
    expect(test.calls).toEqual([]);
  });

  it('S3 keeps relay, token and settings from the pages that only * lets in', async () => {
    const test = appWith({ originRule: { origins: ['*'], hasDefaults: true, allowsNull: false } });
    const read = await test.get('/sdapi/v1/options', { origin: EVIL });
    expect(read.status).toBe(200);
    expect(read.headers.get('access-control-allow-origin')).toBe(EVIL);
    expect(
      (await test.post('/sdapi/v1/options', { origin: EVIL, ...JSON_TYPE }, '{}')).status,
    ).toBe(403);
    expect((await test.get('/easel/v1/engine-token', { origin: EVIL })).status).toBe(403);
    expect(
      (await test.get(`/easel/v1/relay?token=${TOKEN}`, { origin: EVIL, upgrade: 'websocket' }))
        .status,
    ).toBe(403);
    expect(test.calls).toEqual([]);
  });

  it('S9 refuses bodies beyond the limit, announced or not', async () => {
    const test = appWith();
    const announced = { ...JSON_TYPE, 'content-length': String(MAX_BODY_BYTES + 1) };
    expect((await test.post('/sdapi/v1/txt2img', announced, '{}')).status).toBe(413);
    let sent = 0;
    const endless = new ReadableStream({
      pull(controller) {
        sent += 1024 ** 2;
        controller.enqueue(new Uint8Array(1024 ** 2));
      },
    });
    const response = await test.app.request('/sdapi/v1/txt2img', {
      method: 'POST',
      headers: JSON_TYPE,
      body: endless,
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(413);
    expect(sent).toBeLessThanOrEqual(MAX_BODY_BYTES + 4 * 1024 ** 2);
  });

  it('[M16, Q19] mends doubled and trailing slashes and a doubled prefix of API paths', async () => {
    const test = appWith();
    for (const path of [
      '//sdapi/v1/options',
      '/sdapi/v1/options/',
      '/sdapi/v1/sdapi/v1/options',
      '//sdapi//v1//options//',
    ]) {
      expect((await test.get(path)).status, path).toBe(200);
    }
  });

  it('carries a request id that the client may choose, and never logs queries or capabilities', async () => {
    const test = appWith({ password: 'pw' });
    const auth = { authorization: 'Bearer pw' };
    const own = await test.get('/sdapi/v1/options?secret=1', { ...auth, 'x-request-id': 'mine-1' });
    expect(own.headers.get('x-request-id')).toBe('mine-1');
    expect(Number(own.headers.get('x-process-time'))).toBeGreaterThanOrEqual(0);
    const other = await test.get('/sdapi/v1/options', { ...auth, 'x-request-id': 'a b\tc' });
    expect(other.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    await test.get(`${test.access.capabilityPath}/sdapi/v1/options`);
    const text = test.lines.join('\n');
    expect(text).toContain('path=/sdapi/v1/options');
    expect(text).not.toContain('secret');
    expect(text).not.toContain('c'.repeat(32));
    expect(text).not.toContain('Bearer');
  });

  it('S5 gives the engine token to its own page alone', async () => {
    const test = appWith();
    const reply = await test.get('/easel/v1/engine-token');
    expect(reply.headers.get('cache-control')).toBe('no-store');
    expect(await reply.json()).toMatchObject({
      token: TOKEN,
      relayPath: '/easel/v1/relay',
      device: 'auto',
    });
    const statusFor = async (headers: Record<string, string>) =>
      (await test.get('/easel/v1/engine-token', headers)).status;
    expect(await statusFor({ 'sec-fetch-site': 'same-origin' })).toBe(200);
    expect(await statusFor({ origin: 'http://localhost' })).toBe(200);
    for (const site of ['same-site', 'cross-site', 'none']) {
      expect(await statusFor({ 'sec-fetch-site': site })).toBe(403);
    }
    for (const origin of [LITE, 'http://localhost:5001', 'http://127.0.0.1']) {
      expect(await statusFor({ origin })).toBe(403);
    }
  });

  it('turns anything unforeseen into JSON without a stack, and logs the stack', async () => {
    const library = {
      index: async () => Promise.reject(new Error('boom')),
      file: async () => null,
    };
    const test = appWith({ library });
    const response = await test.get('/easel/v1/models', { origin: LITE });
    expect(response.status).toBe(500);
    expect(response.headers.get('access-control-allow-origin')).toBe(LITE);
    expect(await response.text()).not.toMatch(/boom|\bat /);
    expect(test.lines.join()).toContain('boom');
  });
});

describe('the page', () => {
  it('is cross-origin isolated, and its hashed files are kept for good', async () => {
    const test = appWith();
    const page = await test.get('/');
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('cache-control')).toBe('no-cache');
    for (const path of ['/', '/assets/main-abc123.js', '/assets/ort-abc123.wasm']) {
      const { headers } = await test.get(path);
      expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
      expect(headers.get('cross-origin-embedder-policy')).toBe('require-corp');
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-security-policy')).toContain("default-src 'self'");
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'self'");
    }
    const script = await test.get('/assets/main-abc123.js');
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(script.headers.get('cache-control')).toContain('immutable');
    expect((await test.get('/assets/ort-abc123.wasm')).headers.get('content-type')).toBe(
      'application/wasm',
    );
    const head = await test.app.request('/', { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('S11 serves nothing outside its folder', async () => {
    const test = appWith();
    for (const path of [
      '/../secret',
      '/..%2fsecret',
      '/%2e%2e/secret',
      '/%2e%2e%2fsecret',
      '/%252e%252e/secret',
      '/..%5csecret',
      '/assets/..%2f..%2fsecret',
      '/assets/%2e%2e/%2e%2e/secret',
      '/assets/../index.html%00',
      '/index.html%00.png',
      '/C:/windows',
      '/c%3a/windows',
      '/\\secret',
      '/.git/config',
      '/index.html.',
      '/index.html%20',
      '/assets//',
      '/%c0%ae%c0%ae/secret',
      '/proc/self/environ',
      '/%2fetc/passwd',
      '//etc/passwd',
      '/assets/',
      '/assets',
      '/%zz',
    ]) {
      const response = await test.get(path);
      expect([404, 400], path).toContain(response.status);
    }
  });

  it('says what to do where it is not built', async () => {
    const response = await appWith({ distFolder: '/nowhere' }).get('/');
    expect(response.status).toBe(503);
    expect(await response.text()).toContain('npm run build');
  });
});

describe('signing in', () => {
  const form = (fields: Record<string, string>) => new URLSearchParams(fields).toString();
  const type = { 'content-type': 'application/x-www-form-urlencoded' };

  it('S6 leads a person to the form and back with a strict cookie', async () => {
    const test = appWith({ password: 'pw' });
    const page = await test.get('/', { accept: 'text/html' });
    expect([page.status, page.headers.get('location')]).toEqual([303, '/login?next=%2F']);
    expect((await test.get('/login')).status).toBe(200);
    const wrong = await test.post('/login', type, form({ user: 'ann', password: 'no', next: '/' }));
    expect(wrong.status).toBe(401);
    expect(wrong.headers.get('set-cookie')).toBeNull();
    const right = await test.post(
      '/login',
      type,
      form({ user: 'ann', password: 'pw', next: '/index.html' }),
    );
    expect([right.status, right.headers.get('location')]).toEqual([303, '/index.html']);
    const cookie = right.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/HttpOnly/i);
    expect(cookie).toMatch(/SameSite=Strict/i);
    const session = cookie.split(';')[0]!;
    expect((await test.get('/', { cookie: session })).status).toBe(200);
  });

  it('leads nowhere else, shows nothing as HTML that came in, and takes no foreign form', async () => {
    const test = appWith({ password: 'pw' });
    for (const next of [
      '//evil.test',
      'https://evil.test',
      '/\\evil.test',
      'javascript:1',
      '/a"b',
      '/%0d%0a x',
    ]) {
      const reply = await test.post('/login', type, form({ user: 'ann', password: 'pw', next }));
      expect(reply.headers.get('location'), next).toBe('/');
      const shown = await (await test.get(`/login?next=${encodeURIComponent(next)}`)).text();
      expect(shown).toContain('name="next" value="/"');
    }
    const foreign = await test.post(
      '/login',
      { ...type, origin: LITE },
      form({ user: 'ann', password: 'pw' }),
    );
    expect(foreign.status).toBe(403);
  });

  it('S17 takes the link of the tab that the bridge opens once', async () => {
    const test = appWith({ password: 'pw' });
    const link = `/login?link=${test.access.issueLink()}`;
    expect((await test.get(link)).status).toBe(303);
    expect((await test.get(link)).status).toBe(200);
  });

  it('S7 limits guesses on the form as well', async () => {
    const test = appWith({ password: 'pw' });
    const guess = () => test.post('/login', type, form({ user: 'ann', password: 'no' }));
    for (let index = 0; index < 14; index += 1) expect((await guess()).status).toBe(401);
    expect((await guess()).status).toBe(429);
  });
});
