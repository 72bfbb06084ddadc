import { describe, expect, it } from 'vitest';
import { listing, makePng } from './fake-services.ts';
import { createServer } from './helpers.ts';

const PNG = makePng(512, 512).toString('base64');

describe('outpainting', () => {
  it('is one inpaint job on a larger canvas', async () => {
    const server = createServer();
    const { params, info } = await server.generate(
      {
        ...{
          init_images: [PNG],
          prompt: 'x',
          width: 256,
          height: 256,
          script_name: 'Outpainting mk2',
        },
        script_args: ['', 100, 8, ['left', 'down'], 1.5, 0.1],
      },
      'img2img',
    );
    expect(params).toMatchObject({
      ...{ mode: 'img2img', width: 640, height: 640, resizeMode: 0, inpaint: null },
      outpaint: {
        ...{ left: 100, right: 0, up: 0, down: 100, seam: 8, latentSeam: 16, blur: 32, fill: 1 },
        noise: { exponent: 1.5, colorVariation: 0.1 },
      },
    });
    expect(info).toMatchObject({ width: 640, height: 640 });
  });

  it('has A1111’s defaults: all directions, 128 pixels', async () => {
    const body = { init_images: [PNG], script_name: 'outpainting mk2' };
    const { params } = await createServer().generate(body, 'img2img');
    expect(params).toMatchObject({ width: 768, height: 768 });
    const poor = { init_images: [PNG], script_name: "Poor man's outpainting" };
    const { params: other } = await createServer().generate(
      { ...poor, script_args: [64, 4, 2, ['right']] },
      'img2img',
    );
    expect(other).toMatchObject({
      ...{ width: 576, height: 512 },
      outpaint: { right: 64, seam: 8, latentSeam: 2, blur: 8, fill: 2, noise: null },
    });
  });

  it.each([
    [['', 128, 8, []], /at least one direction/],
    [['', 5000], /pixels has to be a number/],
    [['', 'x'], /pixels has to be a number/],
  ])('refuses arguments %j', async (script_args, message) => {
    const body = { init_images: [PNG], script_name: 'outpainting mk2', script_args };
    const response = await createServer().post('/sdapi/v1/img2img', body);
    expect(response.status).toBe(422);
    expect(JSON.stringify(await response.json())).toMatch(message);
  });

  it('refuses a canvas that nothing could hold', async () => {
    const refuse = async (width: number, height: number, directions: string[]) => {
      const init_images = [makePng(width, height).toString('base64')];
      const script_args = ['', 128, 8, directions];
      const body = { init_images, script_name: 'outpainting mk2', script_args };
      const response = await createServer().post('/sdapi/v1/img2img', body);
      expect(response.status).toBe(422);
      return JSON.stringify(await response.json());
    };
    expect(await refuse(4000, 64, ['left', 'right', 'up', 'down'])).toContain('4288×320');
    expect(await refuse(64, 8, ['left'])).toContain('192×8');
  });
});

describe('SHARK’s own routes', () => {
  it('inpaint makes what the mask covers anew', async () => {
    const server = createServer({ models: [listing('one'), listing('two')] });
    const body = { image: PNG, mask: PNG, prompt: 'x', hf_model_id: 'two', seed: 3 };
    const { params, reply } = await server.generate(
      { ...body, is_full_res: true, full_res_padding: 16, denoising_strength: 0.2 },
      'inpaint',
    );
    expect(params).toMatchObject({
      ...{ mode: 'img2img', checkpoint: 'two', seed: 3, steps: 50, guidanceScale: 7.5 },
      ...{ sampler: 'DDIM', denoisingStrength: 1, initImages: [PNG] },
      inpaint: { mask: PNG, fill: 0, isOnlyMasked: true, padding: 16 },
    });
    expect(reply.images).toHaveLength(1);
  });

  it('outpaint reads AI Render’s body', async () => {
    const { params } = await createServer().generate(
      {
        ...{ prompt: 'x', init_images: [`data:image/png;base64,${PNG}`], sampler_name: 'k_euler' },
        ...{ width: 512, height: 512, pixels: 64, mask_blur: 4, directions: ['right'] },
        ...{ noise_q: 1, color_variation: 0.05, steps: 20, cfg_scale: 7, seed: 9 },
      },
      'outpaint',
    );
    expect(params).toMatchObject({
      ...{ sampler: 'Euler', width: 576, height: 512, steps: 20 },
      outpaint: { right: 64, left: 0, seam: 4, noise: { exponent: 1 } },
    });
  });

  it('upscaler makes the picture four times as large and says with what', async () => {
    const body = {
      init_images: [PNG],
      prompt: '',
      noise_level: 20,
      steps: 50,
      seed: 1_000_000_001,
    };
    const server = createServer();
    const { params, info } = await server.generate(body, 'upscaler');
    expect(params).toMatchObject({ mode: 'upscale', upscale: { upscaler: 'Lanczos', scale: 4 } });
    expect(info).toMatchObject({ width: 2048, height: 2048 });
    expect(info.extra_generation_params['Easel notes']).toContain('noise_level had no effect');
    const models = [listing('easel-tiny'), listing('RealSharp', { kind: 'esrgan' })];
    const { params: other } = await createServer({ models }).generate(body, 'upscaler');
    expect(other.upscale?.upscaler).toBe('RealSharp');
  });

  it('answer as A1111 does where a picture is missing or none', async () => {
    const server = createServer();
    for (const route of ['outpaint', 'upscaler']) {
      const response = await server.post(`/sdapi/v1/${route}`, { prompt: 'x' });
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ detail: 'Init image not found' });
    }
    const missing = await server.post('/sdapi/v1/inpaint', { image: PNG });
    expect(missing.status).toBe(422);
    expect(await missing.json()).toMatchObject({ detail: [{ loc: ['body', 'mask'] }] });
    for (const [image, mask] of [
      ['x', 'x'],
      ['', PNG],
      [PNG, ' '],
    ]) {
      const broken = await server.post('/sdapi/v1/inpaint', { image, mask });
      expect(broken.status).toBe(422);
      expect(await broken.json()).toMatchObject({ detail: 'Invalid encoded image' });
    }
  });
});
