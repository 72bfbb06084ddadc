import { describe, expect, it, vi } from 'vitest';
import { STATUS_BY_CODE } from '../../../bridge/a1111/errors.ts';
import { ERROR_CODES, GenerationError } from '../../../protocol/errors.ts';
import { makePng, pngChunk } from './fake-services.ts';
import { createServer } from './helpers.ts';

const JSON_TYPE = { 'content-type': 'application/json' };

async function ask(path: string, init: RequestInit = {}) {
  const server = createServer();
  const response = await server.app.request(path, { method: 'POST', ...init });
  const text = await response.text();
  return { server, response, status: response.status, body: text ? JSON.parse(text) : null };
}

const txt2img = (body: string, headers: Record<string, string> = JSON_TYPE) =>
  ask('/sdapi/v1/txt2img', { body, headers });

describe('paths', () => {
  it('an unknown one is 404 with detail alone', async () => {
    const { status, body } = await ask('/sdapi/v1/nothing', { method: 'GET' });
    expect(status).toBe(404);
    expect(body).toEqual({ detail: 'Not Found' });
  });

  it('a wrong method is 405 with Allow', async () => {
    const { response, body } = await ask('/sdapi/v1/txt2img', { method: 'GET' });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST, OPTIONS');
    expect(body).toEqual({ detail: 'Method Not Allowed' });
  });

  it('OPTIONS without a preflight is answered with 200', async () => {
    const { response } = await ask('/sdapi/v1/options', { method: 'OPTIONS' });
    expect(response.status).toBe(200);
    expect(response.headers.get('allow')).toBe('GET, POST, HEAD, OPTIONS');
  });

  it.each([
    '//sdapi/v1/options',
    '/sdapi/v1/options/',
    '/sdapi//v1/options',
    '/sdapi/v1/sdapi/v1/options',
    '//sdapi/v1//sdapi/v1/options/',
    '/sdapi/v1/options?x=1',
  ])('[M16] %s is /sdapi/v1/options', async (path) => {
    const { app } = createServer();
    const response = await app.request(new Request(`http://localhost:7860${path}`));
    expect(response.status).toBe(200);
  });
});

describe('bodies', () => {
  it('broken JSON is FastAPI’s 422', async () => {
    const { status, body } = await txt2img('{"steps": }');
    expect(status).toBe(422);
    expect(body.detail).toEqual([
      {
        loc: ['body', 10],
        msg: 'Expecting value: line 1 column 11 (char 10)',
        type: 'value_error.jsondecode',
        ctx: { msg: 'Expecting value', pos: 10, lineno: 1, colno: 11 },
      },
    ]);
  });

  it('an error never repeats what was sent', async () => {
    const { body } = await txt2img('{"prompt": "my secret", }');
    expect(JSON.stringify(body)).not.toContain('secret');
  });

  it.each(['', 'null'])('a missing body (%j) is 422 "field required"', async (text) => {
    const { status, body } = await txt2img(text);
    expect(status).toBe(422);
    expect(body.detail).toEqual([
      { loc: ['body'], msg: 'field required', type: 'value_error.missing' },
    ]);
  });

  it.each(['""', '"x"', '3', 'true', '[1]'])('a body of %s is no dict', async (text) => {
    const { status, body } = await txt2img(text);
    expect(status).toBe(422);
    expect(body.detail).toEqual([
      { loc: ['body'], msg: 'value is not a valid dict', type: 'type_error.dict' },
    ]);
  });

  it('bytes that are no UTF-8 are 400', async () => {
    const body = new Uint8Array([0x7b, 0xff, 0x7d]);
    const { status } = await ask('/sdapi/v1/txt2img', { body, headers: JSON_TYPE });
    expect(status).toBe(400);
  });

  it('JSON nested too deeply is 422', async () => {
    const nested = `{"alwayson_scripts":{"a":${'['.repeat(5000)}${']'.repeat(5000)}}}`;
    expect((await txt2img(nested)).status).toBe(422);
  });

  it.each(['multipart/form-data; boundary=x', 'application/x-www-form-urlencoded'])(
    '%s is 415, with and without an Origin',
    async (type) => {
      expect((await txt2img('prompt=x', { 'content-type': type })).status).toBe(415);
      const { status, body } = await ask('/sdapi/v1/interrupt', {
        body: 'x=1',
        headers: { 'content-type': type },
      });
      expect(status).toBe(415);
      expect(body.detail).toContain('JSON');
    },
  );

  it.each(['text/plain', 'text/plain;charset=UTF-8', 'application/octet-stream'])(
    '%s is read as JSON, but not from a page',
    async (type) => {
      const headers = { 'content-type': type };
      const { server, status } = await txt2img('{"prompt":"x"}', headers);
      expect(status).toBe(200);
      expect(server.requests[0]?.params.prompt).toBe('x');
      const page = { ...headers, origin: 'http://localhost:5001' };
      expect((await txt2img('{"prompt":"x"}', page)).status).toBe(415);
    },
  );

  it('a body without a type is read as JSON, but not from a page', async () => {
    const body = new TextEncoder().encode('{"prompt":"x"}');
    const { server, status } = await ask('/sdapi/v1/txt2img', { body });
    expect(status).toBe(200);
    expect(server.requests[0]?.params.prompt).toBe('x');
    const page = { origin: 'http://localhost:5001' };
    expect((await ask('/sdapi/v1/txt2img', { body, headers: page })).status).toBe(415);
  });
});

describe('fields of the wrong kind', () => {
  it.each([
    ['steps', '"many"', 'value is not a valid integer', 'type_error.integer'],
    ['steps', '[1]', 'value is not a valid integer', 'type_error.integer'],
    ['steps', '1e999', 'value is not a valid integer', 'type_error.integer'],
    ['cfg_scale', '"high"', 'value is not a valid float', 'type_error.float'],
    ['enable_hr', '"maybe"', 'value could not be parsed to a boolean', 'type_error.bool'],
    ['prompt', '{}', 'str type expected', 'type_error.str'],
    ['styles', '"one"', 'value is not a valid list', 'type_error.list'],
    ['override_settings', '"x"', 'value is not a valid dict', 'type_error.dict'],
    ['send_images', 'null', 'none is not an allowed value', 'type_error.none.not_allowed'],
    ['sampler_index', 'null', 'none is not an allowed value', 'type_error.none.not_allowed'],
    ['alwayson_scripts', 'null', 'none is not an allowed value', 'type_error.none.not_allowed'],
  ])('%s: %s', async (field, value, msg, type) => {
    const { status, body } = await txt2img(`{"${field}": ${value}}`);
    expect(status).toBe(422);
    expect(body.detail).toEqual([{ loc: ['body', field], msg, type }]);
  });

  it.each([
    ['steps', 0, 'ensure this value is greater than or equal to 1'],
    ['steps', -3, 'ensure this value is greater than or equal to 1'],
    ['steps', 1001, 'ensure this value is less than or equal to 1000'],
    ['width', 100_000, 'ensure this value is less than or equal to 4096'],
    ['height', 63, 'ensure this value is greater than or equal to 64'],
    ['batch_size', 17, 'ensure this value is less than or equal to 16'],
    ['n_iter', 0, 'ensure this value is greater than or equal to 1'],
    ['cfg_scale', -1, 'ensure this value is greater than or equal to 0'],
  ])('%s of %d is beyond the limits', async (field, value, msg) => {
    const { status, body } = await txt2img(JSON.stringify({ [field]: value }));
    expect(status).toBe(422);
    expect(body.detail[0]).toMatchObject({ loc: ['body', field], msg });
    expect(body.detail[0].type).toMatch(/^value_error\.number\.not_[gl]e$/);
  });

  it('has one entry for each field', async () => {
    const { body } = await txt2img('{"steps": "a", "width": "b", "prompt": []}');
    const fields = body.detail.map((entry: { loc: string[] }) => entry.loc[1]).sort();
    expect(fields).toEqual(['prompt', 'steps', 'width']);
  });

  it('names the entry of a list', async () => {
    const { body } = await txt2img('{"styles": ["a", {}]}');
    expect(body.detail[0]).toMatchObject({ loc: ['body', 'styles', 1], type: 'type_error.str' });
  });
});

describe('init images', () => {
  const img2img = (init_images: unknown, more: object = {}) =>
    ask('/sdapi/v1/img2img', {
      body: JSON.stringify({ init_images, ...more }),
      headers: JSON_TYPE,
    });

  it.each([[null], [undefined], [[]], [['']]])('none (%j) is 404', async (images) => {
    const { status, body } = await img2img(images);
    expect(status).toBe(404);
    expect(body).toEqual({
      error: 'HTTPException',
      detail: 'Init image not found',
      body: '',
      errors: '',
      message: 'Init image not found',
    });
  });

  const truncated = makePng(64, 64).subarray(0, 20);
  it.each([
    ['broken base64', '&&&not base64&&&'],
    ['text', Buffer.from('hello').toString('base64')],
    ['a cut PNG', truncated.toString('base64')],
    ['a cut JPEG', Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16]).toString('base64')],
    ['a JPEG without a frame', Buffer.from([0xff, 0xd8, 0xff, 0xd9]).toString('base64')],
    ['a cut WebP', Buffer.from('RIFF....WEBPVP8 ').toString('base64')],
    ['a PNG of no size', makePng(0, 0).toString('base64')],
    ['a data URI of nothing', 'data:image/png;base64,'],
  ])('%s is 422 by A1111’s words', async (_name, image) => {
    const { status, body } = await img2img([image]);
    expect(status).toBe(422);
    expect(body.detail).toBe('Invalid encoded image');
  });

  it('a picture of a huge size is refused by its header', async () => {
    const { status, body } = await img2img([makePng(16_384, 16_384).toString('base64')]);
    expect(status).toBe(422);
    expect(body.detail).toContain('16384 × 16384');
  });

  it('addresses are refused: the bridge opens no connection', async () => {
    const { status, body } = await img2img(['http://127.0.0.1/x.png']);
    expect(status).toBe(422);
    expect(body.detail).toMatch(/base64/);
  });

  it('GIFs and animations are refused by name', async () => {
    const gif = await img2img([Buffer.from('GIF89a000000').toString('base64')]);
    expect(gif.status).toBe(422);
    expect(gif.body.detail).toContain('PNG, JPEG or WebP');
    const frames = Buffer.alloc(8);
    frames.writeUInt32BE(9);
    const animated = await img2img([makePng(8, 8, [pngChunk('acTL', frames)]).toString('base64')]);
    expect(animated.status).toBe(422);
    expect(animated.body.detail).toContain('Animated');
  });

  it('a broken mask is an error, not a picture without one', async () => {
    const { status } = await img2img([makePng(8, 8).toString('base64')], { mask: 'x' });
    expect(status).toBe(422);
  });
});

describe('errors of the engine and the queue', () => {
  it.each(ERROR_CODES)('%s has its status and A1111’s body', async (code) => {
    const sentence = 'What went wrong, and what to do.';
    const server = createServer({ failure: new GenerationError(code, sentence) });
    const response = await server.post('/sdapi/v1/txt2img', {});
    expect(response.status).toBe(STATUS_BY_CODE[code]);
    const body = (await response.json()) as Record<string, unknown>;
    expect(Object.keys(body)).toEqual(['error', 'detail', 'body', 'errors', 'message']);
    expect(body).toMatchObject({ detail: sentence, message: sentence, body: '' });
  });

  it('503 says when to try again', async () => {
    const failure = new GenerationError('no-tab', 'Open http://localhost:7860 in a browser.');
    const response = await createServer({ failure }).post('/sdapi/v1/txt2img', {});
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
  });

  it('an unforeseen one is logged and shows neither its text nor its stack', async () => {
    const log = vi.fn();
    const server = createServer({}, { log });
    server.services.models.list = () => Promise.reject(new Error('disk gone at /home/me'));
    const response = await server.app.request('/sdapi/v1/sd-models');
    expect(response.status).toBe(500);
    expect(await response.text()).not.toMatch(/disk gone|at .*:\d+:\d+/);
    expect(log.mock.calls[0]?.[0]).toContain('disk gone');
  });
});
