import { expect, it } from 'vitest';
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
