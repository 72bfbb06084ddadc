import { describe, expect, it } from 'vitest';
import { EXAMPLES } from '../../../bridge/a1111/examples.ts';
import { createOpenApiDocument } from '../../../bridge/a1111/openapi.ts';
import { OPERATIONS } from '../../../bridge/a1111/operations.ts';
import { makePng } from './fake-services.ts';
import { createServer } from './helpers.ts';

const { app } = createServer();
const document = createOpenApiDocument();
const schemas = document.components.schemas as Record<string, Record<string, unknown>>;
const DOCS = ['/docs', '/openapi.json', '/sdapi/docs', '/sdapi/openapi.json'];

describe('/openapi.json', () => {
  it('documents every route that the router has, and no other', () => {
    const served = app.routes
      .filter(({ method, path }) => ['GET', 'POST'].includes(method) && !DOCS.includes(path))
      .map(({ method, path }) => `${method} ${path}`);
    const documented = OPERATIONS.map(({ method, path }) => `${method} ${path}`);
    expect([...documented].sort()).toEqual([...new Set(served)].sort());
    expect(new Set(documented).size).toBe(documented.length);
  });

  it('names its components as A1111 does', () => {
    for (const name of [
      'StableDiffusionProcessingTxt2Img',
      'StableDiffusionProcessingImg2Img',
      'TextToImageResponse',
      'ImageToImageResponse',
      'ProgressResponse',
      'SamplerItem',
      'SDModelItem',
      'HTTPValidationError',
      'ValidationError',
      'Options',
      'Flags',
    ]) {
      expect(schemas, name).toHaveProperty(name);
    }
  });

  it('has no reference into nowhere and no key that OpenAPI 3.0 lacks', () => {
    const text = JSON.stringify(document);
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      expect(schemas, name).toHaveProperty(name!);
    }
    expect(text).not.toContain('"$id"');
    expect(text).not.toContain('"$schema"');
  });

  it('tells types, ranges and A1111’s defaults, and requires no field of txt2img', () => {
    const txt2img = schemas.StableDiffusionProcessingTxt2Img!;
    expect(txt2img).not.toHaveProperty('required');
    expect(txt2img.properties).toMatchObject({
      steps: { type: 'integer', minimum: 1, maximum: 1000, default: 50 },
      cfg_scale: { type: 'number', default: 7 },
      sampler_name: { type: 'string', nullable: true },
      enable_hr: { type: 'boolean', default: false },
      styles: { type: 'array', nullable: true },
    });
  });

  it('[N9] is served at both addresses, and the page beside it needs nothing from elsewhere', async () => {
    for (const path of ['/openapi.json', '/sdapi/openapi.json']) {
      const response = await app.request(path);
      expect(response.headers.get('content-type')).toMatch(/^application\/json/);
      expect(await response.json()).toEqual(JSON.parse(JSON.stringify(document)));
    }
    for (const path of ['/docs', '/sdapi/docs']) {
      const response = await app.request(path);
      expect(response.headers.get('content-type')).toMatch(/^text\/html/);
      const text = await response.text();
      expect(text).toContain('/sdapi/v1/txt2img');
      expect(text).not.toMatch(/https?:\/\//);
      expect(text).not.toContain('<script');
    }
  });
});

/** Bodies with which each documented POST answers 200. */
const png = makePng(64, 64).toString('base64');
const BODIES: Readonly<Record<string, unknown>> = {
  '/sdapi/v1/img2img': { init_images: [png] },
  '/sdapi/v1/inpaint': { image: png, mask: png },
  '/sdapi/v1/outpaint': { init_images: [png], directions: ['left'] },
  '/sdapi/v1/upscaler': { init_images: [png] },
  '/sdapi/v1/png-info': { image: png },
  '/sdapi/v1/extra-single-image': { image: png },
  '/sdapi/v1/extra-batch-images': { imageList: [{ data: png, name: 'one.png' }] },
  '/controlnet/detect': { controlnet_module: 'canny', controlnet_input_images: [png] },
};

describe('replies', () => {
  it.each(
    OPERATIONS.filter(({ response }) => response).map((operation) => [
      `${operation.method} ${operation.path}`,
      operation,
    ]),
  )('%s is what its schema says', async (_name, { method, path, response: schema }) => {
    const server = createServer();
    const response =
      method === 'GET'
        ? await server.app.request(path)
        : await server.post(path, BODIES[path] ?? {});
    expect(response.status).toBe(200);
    const result = schema!.safeParse(await response.json());
    expect(result.error?.issues ?? []).toEqual([]);
  });
});

describe('examples', () => {
  it.each(Object.entries(EXAMPLES))('%s takes its own', async (path, body) => {
    const response = await createServer().post(path, body);
    expect(response.status).toBe(path.endsWith('interrogate') ? 501 : 200);
  });
});
