import { describe, expect, it } from 'vitest';
import { openaiRoutes } from '../../../bridge/openai/routes.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import {
  EMBEDDED,
  type FakeOptions,
  fakeServices,
  listing,
  makePng,
} from '../a1111/fake-services.ts';

interface ImagesReply {
  created: number;
  data: { b64_json?: string; url?: string }[];
}

function createServer(options: FakeOptions = {}) {
  const fake = fakeServices(options);
  const log: string[] = [];
  const app = openaiRoutes(fake.services, { log: (message) => log.push(message) });
  async function post(path: string, body: unknown) {
    const isForm = body instanceof FormData;
    return await app.request(path, {
      method: 'POST',
      headers: isForm ? {} : { 'content-type': 'application/json' },
      body: isForm ? body : JSON.stringify(body),
    });
  }
  async function generate(body: unknown, path = '/v1/images/generations') {
    const response = await post(path, body);
    const text = await response.text();
    expect(response.status, text).toBe(200);
    return {
      reply: JSON.parse(text) as ImagesReply,
      params: fake.requests.at(-1)!.params,
      response,
    };
  }
  return { app, post, generate, log, ...fake };
}

const JPEG = Buffer.from(
  'ffd8ffe000104a46494600010100000100010000ffc0000b080010002001011100ffd9',
  'hex',
);
const PNG = makePng(32, 16);

describe('/v1/images/generations', () => {
  it('answers with base64 pictures, also where a front end names OpenAI’s own model', async () => {
    const server = createServer();
    const { reply, params, response } = await server.generate({
      model: 'gpt-image-1',
      prompt: 'a cat',
      n: 2,
      size: '768x512',
      quality: 'high',
      user: 'x',
      background: 'auto',
    });
    expect(reply.data).toHaveLength(2);
    expect(Buffer.from(reply.data[0]!.b64_json!, 'base64').toString('latin1', 1, 4)).toBe('PNG');
    expect(Math.abs(reply.created - Date.now() / 1000)).toBeLessThan(60);
    expect(params).toMatchObject({
      prompt: 'a cat',
      width: 768,
      height: 512,
      steps: 30,
      batchSize: 1,
      batchCount: 2,
      checkpoint: 'easel-tiny',
    });
    expect(response.headers.get('x-easel-job')).toBe('job-1');
    expect(server.log).toEqual(['There is no checkpoint "gpt-image-1"; easel-tiny was used.']);
  });

  it('takes a checkpoint and A1111’s names for the rest', async () => {
    const server = createServer({ models: [EMBEDDED, listing('one')] });
    const { params } = await server.generate({
      model: 'one',
      prompt: 'x',
      size: 'auto',
      negative_prompt: 'y',
      seed: 5,
      steps: 7,
      cfg_scale: 3,
      sampler_name: 'Euler a Karras',
      output_format: 'jpeg',
    });
    expect(params).toMatchObject({
      checkpoint: 'one',
      width: 512,
      height: 512,
      negativePrompt: 'y',
      seed: 5,
      steps: 7,
      guidanceScale: 3,
      sampler: 'Euler a',
      scheduler: 'karras',
      outputFormat: 'jpg',
      notes: [],
    });
  });

  it('gives addresses when they are asked for', async () => {
    const { reply } = await createServer().generate({ prompt: 'x', response_format: 'url' });
    expect(reply.data).toEqual([{ url: 'http://localhost/easel/v1/jobs/job-1/images/0' }]);
  });

  it.each([
    [{}, 'prompt', 'field required'],
    [{ prompt: 'x', size: 'big' }, 'size', '512x512'],
    [{ prompt: 'x', size: '9000x9000' }, 'size', '4096'],
    [{ prompt: 'x', n: 99 }, 'n', '16'],
    [{ prompt: 'x', stream: true }, 'stream', 'not supported'],
  ])('%j is 400 in OpenAI’s shape', async (body, param, words) => {
    const response = await createServer().post('/v1/images/generations', body);
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    expect(error).toMatchObject({ type: 'invalid_request_error', param, code: null });
    expect(error.message).toContain(words);
  });

  it('no engine is 503 with a sentence', async () => {
    const failure = new GenerationError('no-tab', 'Open http://localhost:7860 in a browser.');
    const response = await createServer({ failure }).post('/v1/images/generations', {
      prompt: 'x',
    });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).not.toBeNull();
    expect(await response.json()).toMatchObject({
      error: { message: 'Open http://localhost:7860 in a browser.', type: 'server_error' },
    });
  });

  it('[N8] OPTIONS is answered, as one client probes for it', async () => {
    const response = await createServer().app.request('/v1/images/generations', {
      method: 'OPTIONS',
    });
    expect(response.status).toBe(200);
  });
});

describe('/v1/images/edits', () => {
  it('redraws a picture out of a form', async () => {
    const form = new FormData();
    form.set('image', new File([Uint8Array.from(PNG)], 'one.png', { type: 'image/png' }));
    form.set('prompt', 'a cat');
    form.set('n', '1');
    form.set('size', '256x256');
    const { params } = await createServer().generate(form, '/v1/images/edits');
    expect(params).toMatchObject({
      mode: 'img2img',
      initImages: [PNG.toString('base64')],
      width: 256,
      denoisingStrength: 0.75,
    });
  });

  it.each([
    ['image[] of a form', 'form'],
    [
      'images with addresses',
      { images: [{ image_url: `data:image/png;base64,${PNG.toString('base64')}` }] },
    ],
    ['image as base64', { image: PNG.toString('base64') }],
  ])('takes %s', async (_name, source) => {
    const form = new FormData();
    form.append('image[]', new File([Uint8Array.from(PNG)], 'one.png'));
    form.append('prompt', 'a cat');
    const body = source === 'form' ? form : { prompt: 'a cat', ...(source as object) };
    const { params } = await createServer().generate(body, '/v1/images/edits');
    expect(params.initImages).toEqual([PNG.toString('base64')]);
  });

  it.each([
    ['no picture', { prompt: 'x' }, 400],
    ['a picture that is none', { prompt: 'x', image: 'aGVsbG8=' }, 400],
    ['a mask that is none', { prompt: 'x', image: PNG.toString('base64'), mask: 'eA==' }, 400],
    [
      'a mask that cannot be transparent',
      { prompt: 'x', image: PNG.toString('base64'), mask: JPEG.toString('base64') },
      400,
    ],
    ['a kind of reply nobody knows', { prompt: 'x', image: 'x', response_format: 'gif' }, 400],
    ['more pictures than one form may have', { prompt: 'x', image: Array(17).fill('eA==') }, 400],
    ['two pictures', { prompt: 'x', image: [PNG, PNG].map((p) => p.toString('base64')) }, 400],
  ])('%s is refused', async (_name, body, status) => {
    const response = await createServer().post('/v1/images/edits', body);
    expect(response.status).toBe(status);
    expect(await response.json()).toHaveProperty('error.message');
  });

  it('redraws what the mask shows through, at the picture’s own size', async () => {
    const [width, height] = [300, 200];
    const picture = makePng(width, height);
    const form = new FormData();
    form.set('image', new File([Uint8Array.from(picture)], 'one.png', { type: 'image/png' }));
    form.set('mask', new File([Uint8Array.from(PNG)], 'mask.png', { type: 'image/png' }));
    form.set('prompt', 'a cat');
    form.set('n', '3');
    const { params, reply } = await createServer().generate(form, '/v1/images/edits');
    expect(params).toMatchObject({
      ...{ mode: 'img2img', width: 296, height: 200, denoisingStrength: 1, batchCount: 3 },
      inpaint: { mask: PNG.toString('base64'), maskFrom: 'transparency', isInverted: false },
    });
    expect(reply.data).toHaveLength(3);
  });

  it('makes a photograph’s edit no larger than 1024 pixels, unless a size is asked for', async () => {
    const image = makePng(4000, 3000).toString('base64');
    const edit = (size: string) =>
      createServer().generate({ prompt: 'x', image, size }, '/v1/images/edits');
    expect((await edit('auto')).params).toMatchObject({ width: 1024, height: 768, inpaint: null });
    expect((await edit('1536x1024')).params).toMatchObject({ width: 1536, height: 1024 });
  });

  it('a broken form is 400', async () => {
    const response = await createServer().app.request('/v1/images/edits', {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data' },
      body: 'x',
    });
    expect(response.status).toBe(400);
  });
});

describe('/v1/models', () => {
  it('lists the checkpoints, and shows one', async () => {
    const { app } = createServer({ models: [EMBEDDED, listing('one')] });
    const list = (await (await app.request('/v1/models')).json()) as { data: { id: string }[] };
    expect(list).toMatchObject({ object: 'list' });
    expect(list.data.map(({ id }) => id)).toEqual(['easel-tiny', 'one']);
    expect(await (await app.request('/v1/models/one')).json()).toMatchObject({ id: 'one' });
    expect((await app.request('/v1/models/none')).status).toBe(404);
  });
});
