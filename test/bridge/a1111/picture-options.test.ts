import { expect, it } from 'vitest';
import { EMBEDDED, listing } from './fake-services.ts';
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
