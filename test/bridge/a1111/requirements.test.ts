import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorResponse, httpValidationError } from '../../../bridge/a1111/response-schemas.ts';
import { FakeTab } from '../../fakes/fake-tab.ts';
import { startTestBridge, type TestBridge } from '../support.ts';
import { makePng } from './fake-services.ts';
import { createServer } from './helpers.ts';

/** What clients send and rely on, where no other test of this folder looks at it. */

const PNG = makePng(48, 32).toString('base64');

describe('requests as clients send them', () => {
  it.each(['Basic ', 'Basic dW5kZWZpbmVk', '', 'Bearer x'])(
    '[M13, Q1] Authorization %j counts for nothing while no password is set',
    async (authorization) => {
      const { app } = createServer();
      const response = await app.request('/sdapi/v1/options', { headers: { authorization } });
      expect(response.status).toBe(200);
    },
  );

  it('[Q7] an init picture may have another size than the job; resize_mode says how it fits', async () => {
    const body = { init_images: [PNG], width: 512, height: 768, resize_mode: 2 };
    const { params } = await createServer().generate(body, 'img2img');
    expect(params).toMatchObject({ width: 512, height: 768, resizeMode: 2, initImages: [PNG] });
  });

  it('[Q8, G11] sizes that are no multiple of 8 go to the engine, which rounds them and says so', async () => {
    const { params, info } = await createServer().generate({ width: 517, height: 389 });
    expect([params.width, params.height]).toEqual([517, 389]);
    expect([info.width, info.height]).toEqual([517, 389]);
    const { post } = createServer();
    for (const width of [0, 32, 5000]) {
      const response = await post('/sdapi/v1/txt2img', { width });
      expect(response.status, String(width)).toBe(422);
      const { detail } = (await response.json()) as { detail: { loc: string[]; msg: string }[] };
      expect(detail[0]).toMatchObject({ loc: ['body', 'width'] });
      expect(detail[0]?.msg).toMatch(/64|4096/);
    }
  });

  it('[Q9] 1024 by 1024 is made whatever the checkpoint', async () => {
    const { params } = await createServer().generate({ width: 1024, height: 1024 });
    expect([params.width, params.height, params.notes]).toEqual([1024, 1024, []]);
  });

  it('[Q11] the sampler may be called sampler_index or sampler; sampler_name wins', async () => {
    const sampler = async (body: object) => (await createServer().generate(body)).params.sampler;
    expect(await sampler({ sampler_index: 'Heun' })).toBe('Heun');
    expect(await sampler({ sampler: 'LMS', sampler_index: 'Heun' })).toBe('LMS');
    expect(await sampler({ sampler_name: 'DDIM', sampler: 'LMS', sampler_index: 'Heun' })).toBe(
      'DDIM',
    );
  });

  it('[Q12] a query string on a POST changes nothing', async () => {
    const response = await createServer().post('/sdapi/v1/txt2img?key=value&x', { prompt: 'x' });
    expect(response.status).toBe(200);
  });

  it('[Q15] send_images false leaves pictures out, and save_images true saves them all the same', async () => {
    const server = createServer({}, { saveImages: 'requested' });
    const { reply } = await server.generate({ send_images: false, save_images: true });
    expect(reply.images).toEqual([]);
    expect(server.requests[0]?.saveImages).toBe(true);
  });

  it('[Q16] an eta of 0 reaches Euler a as it is', async () => {
    const { params } = await createServer().generate({ sampler_name: 'Euler a', eta: 0 });
    expect([params.sampler, params.eta]).toEqual(['Euler a', 0]);
  });
});

describe('replies that clients rely on', () => {
  it.each([
    ['a broken picture', 'img2img', { init_images: ['AAAA'] }],
    ['an unknown script', 'txt2img', { script_name: 'no such script' }],
    ['a checkpoint that is not there', 'options', { sd_model_checkpoint: 'gone' }],
    ['a wrong size', 'txt2img', { width: 1 }],
  ])(
    '[G6, G7, G8] %s is told as JSON with detail and message, and not as 404',
    async (_, path, body) => {
      const response = await createServer().post(`/sdapi/v1/${path}`, body);
      const reply = (await response.json()) as Record<string, unknown>;
      expect(response.status).toBe(422);
      expect(reply).toHaveProperty('detail');
      expect(reply.message).toMatch(/\w/);
      const documented = Array.isArray(reply.detail) ? httpValidationError : errorResponse;
      expect(Object.keys(reply)).toEqual(Object.keys(documented.shape));
    },
  );

  it('[N3, N4] memory and sd-modules are there', async () => {
    const server = createServer();
    expect(await server.get('/sdapi/v1/memory')).toHaveProperty('ram.free');
    expect(await server.get('/sdapi/v1/sd-modules')).toEqual(await server.get('/sdapi/v1/sd-vae'));
  });
});

describe('a bridge over real sockets', () => {
  let bridge: TestBridge;
  let tab: FakeTab;
  beforeAll(async () => {
    bridge = await startTestBridge();
    tab = await FakeTab.attach(bridge.url);
  });
  afterAll(async () => {
    await tab?.close();
    await bridge?.dispose();
  });

  it('[M5] a page that may ask reads every reply, a picture’s and an error’s, after a preflight', async () => {
    const origin = 'https://lite.koboldai.net';
    const preflight = await fetch(`${bridge.url}/sdapi/v1/txt2img`, {
      method: 'OPTIONS',
      headers: {
        ...{ origin, 'access-control-request-method': 'POST' },
        'access-control-request-headers': 'content-type',
      },
    });
    expect(preflight.status).toBe(200);
    expect(preflight.headers.get('access-control-allow-headers')).toBe('content-type');
    expect(preflight.headers.get('access-control-allow-methods')).toContain('POST');
    for (const [path, body, status] of [
      ['/sdapi/v1/txt2img', { prompt: 'x', steps: 1 }, 200],
      ['/sdapi/v1/txt2img', { steps: 'many' }, 422],
      ['/sdapi/v1/img2img', {}, 404],
      ['/sdapi/v1/interrogate', { image: PNG }, 501],
      ['/sdapi/v1/nothing', {}, 404],
    ] as const) {
      const response = await bridge.post(path, body, { origin });
      expect(response.status, path).toBe(status);
      expect(response.headers.get('access-control-allow-origin'), path).toBe(origin);
      await response.arrayBuffer();
    }
  });

  it('[S9] a connection may rest, longer than Node’s own five seconds', async () => {
    const request = `GET /sdapi/v1/samplers HTTP/1.1\r\nHost: localhost:${bridge.port}\r\n\r\n`;
    const socket = connect(bridge.port, '127.0.0.1');
    const replies: string[] = [];
    let ended = false;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => replies.push(chunk));
    socket.on('close', () => {
      ended = true;
    });
    const count = () => replies.join('').match(/HTTP\/1\.1 200 OK/g)?.length ?? 0;
    const waitFor = async (wanted: number) => {
      const end = Date.now() + 5_000;
      while (count() < wanted && Date.now() < end) await new Promise((r) => setTimeout(r, 20));
      expect(count()).toBe(wanted);
    };
    socket.write(request);
    await waitFor(1);
    const seconds = Number(/keep-alive: timeout=(\d+)/i.exec(replies.join(''))?.[1]);
    expect(seconds).toBeGreaterThanOrEqual(30);
    await new Promise((resolve) => setTimeout(resolve, 6_500));
    expect(ended).toBe(false);
    socket.write(request);
    await waitFor(2);
    socket.destroy();
  }, 20_000);

  it('[S10] answers on the loopback addresses of both families that this machine has', async () => {
    const loopback = Object.values(networkInterfaces())
      .flatMap((entries) => entries ?? [])
      .filter(({ internal }) => internal)
      .map(({ address }) => address);
    const expected = ['127.0.0.1', '::1'].filter((address) => loopback.includes(address));
    expect(expected).toContain('127.0.0.1');
    expect([...bridge.addresses].sort()).toEqual(expected);
    for (const address of expected) {
      const host = address.includes(':') ? `[${address}]` : address;
      const response = await fetch(`http://${host}:${bridge.port}/sdapi/v1/options`);
      expect(response.status, address).toBe(200);
      await response.arrayBuffer();
    }
  });
});
