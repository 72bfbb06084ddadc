import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { writeExifText } from '../../../protocol/exif-text.ts';
import { readPngText } from '../../../protocol/png-text.ts';
import { pictureBombs } from '../../promises/picture-bombs.ts';
import { EMBEDDED, listing, makePng, makePngWithInfotext, pngChunk } from './fake-services.ts';
import { createServer, type ImagesReply } from './helpers.ts';

const INFOTEXT =
  'a café, 1girl\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7.0, Seed: 5, Size: 512x768';
/** The smallest JPEG that has a frame and ends. */
const JPEG = Buffer.from(
  'ffd8ffe000104a46494600010100000100010000ffc0000b080010002001011100ffda0008010100003f00ffd9',
  'hex',
);

async function pngInfo(image: unknown) {
  const response = await createServer().post('/sdapi/v1/png-info', { image });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe('S10 picture bombs', () => {
  it.each(pictureBombs())('$name is refused by every route that reads it', async (bomb) => {
    const server = createServer();
    const image = bomb.bytes.toString('base64');
    const url = `data:image/png;base64,${image}`;
    const bodies: [string, unknown][] = [
      ['/sdapi/v1/png-info', { image }],
      ['/sdapi/v1/img2img', { init_images: [image] }],
      ['/sdapi/v1/img2img', { init_images: [makePng(64, 64).toString('base64')], mask: url }],
      ['/sdapi/v1/extra-single-image', { image: url }],
      ['/sdapi/v1/extra-batch-images', { imageList: [{ data: image, name: 'x' }] }],
      ['/sdapi/v1/interrogate', { image, model: 'clip' }],
      ['/controlnet/detect', { controlnet_input_images: [image], controlnet_module: 'canny' }],
    ];
    for (const [path, body] of bomb.isInTexts ? bodies.slice(0, 1) : bodies) {
      expect((await server.post(path, body)).status, path).toBe(422);
    }
  });
});

describe('[S2] png-info', () => {
  it('reads the infotext of the pictures that txt2img answers with', async () => {
    const server = createServer();
    const { reply, info } = await server.generate({ prompt: 'ein Käse', seed: 9 });
    const response = await server.post('/sdapi/v1/png-info', {
      image: `data:image/png;base64,${reply.images[0]}`,
    });
    const body = (await response.json()) as Record<string, unknown>;
    expect(Object.keys(body)).toEqual(['info', 'items', 'parameters']);
    expect(body.info).toBe(info.infotexts[0]);
    expect(body.parameters).toMatchObject({ Prompt: 'ein Käse', Seed: '9', Sampler: 'Euler' });
  });

  it.each([INFOTEXT, `猫 ${INFOTEXT}`])('takes the infotext apart', async (infotext) => {
    const { body } = await pngInfo(makePngWithInfotext(8, 8, infotext).toString('base64'));
    expect(body.info).toBe(infotext);
    expect(body.parameters).toMatchObject({
      'Negative prompt': 'blurry',
      Steps: '20',
      'Size-1': '512',
      'Size-2': '768',
    });
  });

  it('reads the EXIF comment of a JPEG', async () => {
    const { body } = await pngInfo(Buffer.from(writeExifText(JPEG, INFOTEXT)).toString('base64'));
    expect(body.info).toBe(INFOTEXT);
  });

  it('reads NovelAI’s pictures as A1111 does', async () => {
    const comment = { steps: 28, sampler: 'k_euler_ancestral', scale: 11, seed: 77, uc: 'bad' };
    const texts = { Software: 'NovelAI', Description: 'a fox', Comment: JSON.stringify(comment) };
    const chunks = Object.entries(texts).map(([key, text]) =>
      pngChunk('tEXt', Buffer.from(`${key}\0${text}`, 'latin1')),
    );
    const { body } = await pngInfo(makePng(64, 32, chunks).toString('base64'));
    expect(body.info).toBe(
      'a fox\nNegative prompt: bad\nSteps: 28, Sampler: Euler a, CFG scale: 11, Seed: 77, Size: 64x32, Clip skip: 2, ENSD: 31337',
    );
    expect(body.items).toEqual(texts);
  });

  it('a picture without texts, and no picture at all, give blank info', async () => {
    for (const image of [makePng(8, 8).toString('base64'), '', '  ']) {
      expect((await pngInfo(image)).body).toMatchObject({ info: '', items: {} });
    }
  });

  it('a text that inflates too far is refused', async () => {
    const bomb = Buffer.concat([Buffer.from('x\0\0'), deflateSync(Buffer.alloc(64 << 20))]);
    const { status, body } = await pngInfo(
      makePng(8, 8, [pngChunk('zTXt', bomb)]).toString('base64'),
    );
    expect(status).toBe(422);
    expect(body.detail).toContain('text');
  });

  it.each([
    ['nothing', undefined, 'field required'],
    ['null', null, 'none is not an allowed value'],
  ])('%s is 422', async (_name, image, msg) => {
    const { status, body } = await pngInfo(image);
    expect(status).toBe(422);
    expect(body.detail).toMatchObject([{ loc: ['body', 'image'], msg }]);
  });
});

describe('[S8] extras', () => {
  const image = makePng(8, 8).toString('base64');
  const ask = async (route: string, body: object) => {
    const response = await createServer().post(`/sdapi/v1/${route}`, body);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  it('without an upscaler the picture comes back as it was, texts and all', async () => {
    const single = await ask('extra-single-image', { image, upscaler_1: 'None' });
    expect(single).toEqual({ status: 200, body: { html_info: '<p></p>', image } });
    const batch = await ask('extra-batch-images', {
      imageList: [{ data: `data:image/png;base64,${image}`, name: 'a.png' }],
    });
    expect(batch).toEqual({ status: 200, body: { html_info: '<p></p>', images: [image] } });
  });

  it('an unknown upscaler is 422 by A1111’s words; faces are 501', async () => {
    const unknown = await ask('extra-single-image', { image, upscaler_1: 'ESRGAN_4x' });
    expect(unknown).toMatchObject({
      status: 422,
      body: { detail: 'could not find upscaler named ESRGAN_4x' },
    });
    expect((await ask('extra-single-image', { image, gfpgan_visibility: 1 })).status).toBe(501);
  });

  it('an upscaler is a job of the queue that saves nothing, one a picture', async () => {
    const server = createServer({ models: [EMBEDDED, listing('4x', { kind: 'esrgan' })] });
    const response = await server.post('/sdapi/v1/extra-batch-images', {
      imageList: [
        { data: image, name: 'a.png' },
        { data: image, name: 'b.png' },
      ],
      ...{ resize_mode: 1, upscaling_resize_w: 300, upscaling_resize_h: 200 },
      ...{ upscaler_1: '4x', upscaler_2: 'Lanczos', extras_upscaler_2_visibility: 0.25 },
    });
    expect(response.status).toBe(200);
    const body = (await response.json()) as { images: string[] };
    expect(body.images).toHaveLength(2);
    expect(server.requests).toHaveLength(2);
    expect(server.requests[0]).toMatchObject({
      saveImages: false,
      params: {
        mode: 'upscale',
        initImages: [image],
        upscale: {
          ...{ upscaler: '4x', secondUpscaler: 'Lanczos', secondVisibility: 0.25 },
          ...{ width: 300, height: 200, isCropped: true },
        },
      },
    });
  });

  it('the reply keeps the source’s texts and says what was done', async () => {
    const server = createServer();
    const source = makePngWithInfotext(8, 8, INFOTEXT).toString('base64');
    const response = await server.post('/sdapi/v1/extra-single-image', {
      ...{ image: source, upscaler_1: 'Lanczos', upscaling_resize: 3 },
    });
    const body = (await response.json()) as { image: string; html_info: string };
    expect(server.requests[0]?.params.upscale).toMatchObject({ scale: 3, width: 0, height: 0 });
    const texts = await readPngText(Buffer.from(body.image, 'base64'));
    expect(texts.parameters).toBe(INFOTEXT);
    expect(texts.postprocessing).toBe('Postprocess upscale by: 3, Postprocess upscaler: Lanczos');
    expect(body.html_info).toBe('<p>Postprocess upscale by: 3, Postprocess upscaler: Lanczos</p>');
  });

  it.each([
    [{ image, resize_mode: 2 }, 'resize_mode'],
    [{ image, gfpgan_visibility: 1.5 }, 'gfpgan_visibility'],
    [{ image, upscaling_resize: 0 }, 'upscaling_resize'],
    [{ image, upscaling_resize_w: 0 }, 'upscaling_resize_w'],
  ])('%j is out of range', async (body, field) => {
    const answer = await ask('extra-single-image', body);
    expect(answer.status).toBe(422);
    expect(answer.body.detail).toMatchObject([{ loc: ['body', field] }]);
  });

  it('a picture that is none is refused', async () => {
    expect((await ask('extra-single-image', { image: '' })).status).toBe(422);
    expect((await ask('extra-batch-images', {})).status).toBe(422);
    const entry = { imageList: [{ data: 'x' }] };
    expect((await ask('extra-batch-images', entry)).body.detail).toMatchObject([
      { loc: ['body', 'imageList', 0, 'name'], msg: 'field required' },
    ]);
  });
});

describe('[N1] interrogate', () => {
  it('says that no captioner is loaded', async () => {
    const image = makePng(8, 8).toString('base64');
    const server = createServer();
    const response = await server.post('/sdapi/v1/interrogate', { image, model: 'clip' });
    expect(response.status).toBe(501);
    expect(((await response.json()) as ImagesReply & { detail: string }).detail).toContain(
      'caption',
    );
    const unknown = await server.post('/sdapi/v1/interrogate', { image, model: 'other' });
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({ detail: 'Model not found' });
  });
});
