import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { passSizes } from '../../../bridge/a1111/hires.ts';
import { hiresParams } from '../../../protocol/generation.ts';
import { EMBEDDED, listing, makePng } from './fake-services.ts';
import { createServer } from './helpers.ts';

it.each([
  ['Full', 'full'],
  ['Approx NN', 'taesd'],
  ['Approx cheap', 'cheap'],
  ['TAESD', 'taesd'],
])('show_progress_type %s is the preview method %s', async (name, method) => {
  const server = createServer({ settings: { show_progress_type: name } });
  expect((await server.generate({})).params.previewMethod).toBe(method);
});

it('sd_vae_decode_method and sd_vae_encode_method choose between VAE and TAESD, job by job', async () => {
  const server = createServer();
  const plain = await server.generate({});
  expect(plain.params).toMatchObject({ vaeDecoder: 'full', vaeEncoder: 'full', notes: [] });
  const override_settings = { sd_vae_decode_method: 'TAESD', sd_vae_encode_method: 'TAESD' };
  const { params } = await server.generate({ override_settings });
  expect(params).toMatchObject({ vaeDecoder: 'taesd', vaeEncoder: 'taesd', notes: [] });
  const wrong = await server.post('/sdapi/v1/options', { sd_vae_decode_method: 'Half' });
  expect(wrong.status).toBe(422);
});

it('tiling is the request’s, else the option’s', async () => {
  const tiling = async (body: object, settings = {}) =>
    (await createServer({ settings }).generate(body)).params.isTiling;
  expect(await tiling({})).toBe(false);
  expect(await tiling({ tiling: true })).toBe(true);
  expect(await tiling({ tiling: null }, { tiling: true })).toBe(true);
  expect(await tiling({ tiling: false }, { tiling: true })).toBe(false);
});

it('a refiner is a checkpoint of the list; when and where it takes over is said as in A1111', async () => {
  const models = [EMBEDDED, listing('refiner')];
  const refiner = async (body: object, settings = {}) =>
    (await createServer({ models, settings }).generate(body)).params.refiner;
  for (const refiner_checkpoint of [null, '', 'None', 'none']) {
    expect(await refiner({ refiner_checkpoint, refiner_switch_at: 0.8 })).toBeNull();
  }
  const asked = { refiner_checkpoint: 'refiner.safetensors', refiner_switch_at: 0.8 };
  expect(await refiner(asked)).toEqual({
    ...{ checkpoint: 'refiner', switchAt: 0.8, isBySteps: false, passes: 'second' },
  });
  const settings = { hires_fix_refiner_pass: 'both passes', refiner_switch_by_sample_steps: true };
  expect(await refiner({ refiner_checkpoint: 'refiner' }, settings)).toEqual({
    ...{ checkpoint: 'refiner', switchAt: 0, isBySteps: true, passes: 'both' },
  });
  const gone = await createServer({ models }).post('/sdapi/v1/txt2img', {
    refiner_checkpoint: 'gone',
  });
  expect(gone.status).toBe(422);
  expect(await gone.text()).toContain('Could not find checkpoint with name gone');
});

it('use_old_hires_fix_width_height makes the request’s size the second pass’s, with A1111’s first pass', async () => {
  const { targets } = JSON.parse(
    readFileSync(new URL('../../fixtures/vectors/hires.json', import.meta.url), 'utf8'),
  ) as {
    targets: {
      width: number;
      height: number;
      firstphase?: [number, number];
      use_old_hires_fix_width_height?: boolean;
      first_pass: [number, number];
      infotext: Record<string, unknown>;
    }[];
  };
  const old = targets.filter((target) => target.use_old_hires_fix_width_height);
  expect(old.length).toBeGreaterThan(50);
  for (const { width, height, first_pass, infotext } of old) {
    const request = { width, height, firstphase_width: 0, firstphase_height: 0 };
    const sizes = passSizes(
      request,
      { use_old_hires_fix_width_height: true },
      hiresParams.parse({}),
    );
    expect([sizes.width, sizes.height]).toEqual(first_pass);
    const { resizeWidth, resizeHeight } = sizes.hires!;
    expect(`${resizeWidth}x${resizeHeight}`).toBe(infotext['Hires resize']);
  }
  const override_settings = { use_old_hires_fix_width_height: true };
  const size = { width: 640, height: 360 };
  const { params } = await createServer().generate({ ...size, override_settings, enable_hr: true });
  expect(params).toMatchObject({
    ...{ width: 704, height: 384, notes: [] },
    hires: { resizeWidth: 640, resizeHeight: 360 },
  });
  const single = await createServer().generate({ ...size, override_settings });
  expect(single.params).toMatchObject({ ...size, hires: null });
});

it('firstphase sizes are the first pass’s where hires fix is on', async () => {
  const body = { width: 768, height: 1024, firstphase_width: 384, firstphase_height: 512 };
  const on = await createServer().generate({ ...body, enable_hr: true });
  expect(on.params).toMatchObject({ width: 384, height: 512, hires: { scale: 2 } });
  expect((await createServer().generate(body)).params).toMatchObject({ width: 768, height: 1024 });
});

it.each([
  [{}, { uncondPadding: 'separate', correctsColors: false, usesNetworks: true }],
  [{ pad_cond_uncond: true }, { uncondPadding: 'pad' }],
  [{ pad_cond_uncond: true, pad_cond_uncond_v0: true }, { uncondPadding: 'pad-v0' }],
  [{ img2img_color_correction: true }, { correctsColors: true }],
])('the options %j reach the job', async (override_settings, expected) => {
  const { params } = await createServer().generate({ override_settings });
  expect(params).toMatchObject({ ...expected, notes: [] });
});

it('disable_extra_networks switches LoRA tags off', async () => {
  const { params } = await createServer().generate({ disable_extra_networks: true });
  expect(params).toMatchObject({ usesNetworks: false, notes: [] });
});

it('upscaler_for_img2img is a filter or a file of the list; an unknown one is said', async () => {
  const models = [EMBEDDED, listing('4x', { kind: 'esrgan' })];
  const init_images = [makePng(8, 8).toString('base64')];
  const choose = async (upscaler_for_img2img: string, route: 'img2img' | 'txt2img' = 'img2img') => {
    const body = { init_images, override_settings: { upscaler_for_img2img } };
    const { params } = await createServer({ models }).generate(body, route);
    return { name: params.resizeUpscaler, notes: params.notes.join() };
  };
  expect(await choose('None')).toEqual({ name: null, notes: '' });
  expect(await choose('4x')).toEqual({ name: '4x', notes: '' });
  expect(await choose('Nearest')).toEqual({ name: 'Nearest', notes: '' });
  expect(await choose('gone')).toEqual({ name: null, notes: expect.stringContaining('"gone"') });
  expect(await choose('gone', 'txt2img')).toEqual({ name: null, notes: '' });
});

it('jpeg_quality and webp_lossless go with the job', async () => {
  const plain = await createServer().generate({});
  expect(plain.params).toMatchObject({ quality: 80, isLossless: false });
  const override_settings = { samples_format: 'webp', jpeg_quality: 35, webp_lossless: true };
  const { params } = await createServer().generate({ override_settings });
  expect(params).toMatchObject({ outputFormat: 'webp', quality: 35, isLossless: true });
  const wrong = await createServer().post('/sdapi/v1/options', { jpeg_quality: 0 });
  expect(wrong.status).toBe(422);
});
