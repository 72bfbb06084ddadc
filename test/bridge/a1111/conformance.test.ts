import { describe, expect, it } from 'vitest';
import { listing, makePng } from './fake-services.ts';
import { createServer, type ImagesReply, until } from './helpers.ts';

/** The list of recorded client behaviours, by its numbers; the browser's part (1, 17) is tested with a real one. */
describe('conformance', () => {
  it('[C2] KoboldAI Lite’s body with an empty checkpoint and its nine override keys', async () => {
    const { params } = await createServer().generate({
      prompt: 'x',
      override_settings: {
        sd_model_checkpoint: '',
        eta_noise_seed_delta: 0,
        CLIP_stop_at_last_layers: 1.0,
        ddim_discretize: 'uniform',
        img2img_fix_steps: false,
        sd_hypernetwork: 'None',
        inpainting_mask_weight: 1,
        initial_noise_multiplier: 1,
        comma_padding_backtrack: 20,
      },
    });
    expect(params.notes).toEqual([]);
  });

  it('[C3, M13, Q1] SillyTavern’s bare Authorization, and its interrupt in mid-job', async () => {
    const server = createServer({ isManual: true });
    const authorization = 'Basic ';
    const pending = server.post('/sdapi/v1/txt2img', { auth: 'a:b' }, { authorization });
    await until(() => server.services.jobs.view().running === 1);
    server.step(3);
    server.image();
    await server.app.request('/sdapi/v1/interrupt', { method: 'POST', headers: { authorization } });
    const response = await pending;
    expect(response.status).toBe(200);
    expect(((await response.json()) as ImagesReply).images).toHaveLength(1);
  });

  it('[C4] after a model switch progress idles at exact zeros', async () => {
    const server = createServer({ models: [listing('one'), listing('two')] });
    await server.post('/sdapi/v1/options', { sd_model_checkpoint: 'two.safetensors' });
    const progress = await server.get<{ progress: number; state: { job_count: number } }>(
      '/sdapi/v1/progress',
    );
    expect([progress.progress, progress.state.job_count]).toEqual([0, 0]);
  });

  it('[C5, Q13] Open WebUI: one key of the whole object, and GET shows it', async () => {
    const server = createServer();
    const options = await server.get('/sdapi/v1/options');
    await server.post('/sdapi/v1/options/', { ...options, CLIP_stop_at_last_layers: 2 });
    expect((await server.get('//sdapi/v1/options')).CLIP_stop_at_last_layers).toBe(2);
  });

  it('[C6] webuiapi: nulls, data URIs, and replies to skip and interrupt that parse', async () => {
    const server = createServer();
    const uri = (width: number) => `data:image/png;base64,${makePng(width, 8).toString('base64')}`;
    const nulls = Object.fromEntries(
      ['styles', 'eta', 's_churn', 's_tmax', 'script_name', 'refiner_checkpoint', 'tiling'].map(
        (name) => [name, null],
      ),
    );
    const { params } = await server.generate(
      { ...nulls, init_images: [uri(8)], mask: uri(16), seed: 3 },
      'img2img',
    );
    expect(params.initImages).toEqual([makePng(8, 8).toString('base64')]);
    expect(params.inpaint?.mask).toBe(makePng(16, 8).toString('base64'));
    const hires = ['hr_checkpoint_name', 'hr_sampler_name', 'hr_scheduler', 'hr_upscaler'];
    const second = await server.generate({
      ...nulls,
      ...Object.fromEntries(hires.map((name) => [name, null])),
      enable_hr: true,
    });
    expect(second.params.hires).toMatchObject({ checkpoint: null, sampler: null, upscaler: null });
    for (const [what, reply] of [
      ['skip', null],
      ['interrupt', {}],
    ] as const) {
      const response = await server.app.request(`/sdapi/v1/${what}`, { method: 'POST' });
      expect([response.status, JSON.parse(await response.text())]).toEqual([200, reply]);
    }
  });

  it('[C7] text-generation-webui: hr_scale as text, and a body of two quotes', async () => {
    const server = createServer();
    const { params } = await server.generate({ enable_hr: true, hr_scale: '1.5' });
    expect(params.hires?.scale).toBe(1.5);
    for (const what of ['unload-checkpoint', 'reload-checkpoint']) {
      const response = await server.app.request(`/sdapi/v1/${what}`, {
        ...{ method: 'POST', body: '""', headers: { 'content-type': 'application/json' } },
      });
      expect([response.status, await response.json()]).toEqual([200, {}]);
    }
  });

  it('[C8] SDAI: seed as text, and its pictures echoed', async () => {
    const png = makePng(8, 8).toString('base64');
    const body = { seed: '42', init_images: [png], include_init_images: true };
    const { params, reply } = await createServer().generate(body, 'img2img');
    expect(params.seed).toBe(42);
    expect(reply.parameters.init_images).toEqual([png]);
  });

  it('[C9] LibreChat: the last line of infotexts[0] has three pairs or more', async () => {
    const { info } = await createServer().generate({
      prompt: 'a dog',
      negative_prompt: 'a cat',
      cfg_scale: 4.5,
      steps: 22,
      width: 1024,
      height: 1024,
    });
    const lastLine: string = info.infotexts[0].split('\n').at(-1);
    expect(lastLine.split(', ').length).toBeGreaterThanOrEqual(3);
    expect([info.width, info.height]).toEqual([1024, 1024]);
  });

  it('[C10] AIYA: null strength and half a hires step', async () => {
    const body = { denoising_strength: null, hr_second_pass_steps: 7.5, styles: [null] };
    const { reply } = await createServer().generate(body);
    expect(reply.parameters).toMatchObject({ hr_second_pass_steps: 7, styles: [] });
  });

  it.each([
    ['Huen', 'Heun', 'automatic'],
    ['DPM++ 2M Karras', 'DPM++ 2M', 'automatic'],
    ['DPM++ 2M Exponential', 'DPM++ 2M', 'exponential'],
    ['k_euler_a', 'Euler a', 'automatic'],
    ['euler a', 'Euler a', 'automatic'],
    ['No such sampler', 'DPM++ 2M', 'automatic'],
  ])('[C11] Agnai: the sampler %s is %s', async (asked, sampler, scheduler) => {
    const { params } = await createServer().generate({ sampler_name: asked });
    expect([params.sampler, params.scheduler]).toEqual([sampler, scheduler]);
    expect(params.notes.join()).toContain(asked === 'No such sampler' ? asked : '');
  });

  it('[C12] errors have A1111’s bodies', async () => {
    const server = createServer();
    const unknown = await server.app.request('/sdapi/v1/nothing');
    expect([unknown.status, await unknown.json()]).toEqual([404, { detail: 'Not Found' }]);
    const wrong = await server.post('/sdapi/v1/txt2img', { steps: 'many', styles: 'one' });
    expect(wrong.status).toBe(422);
    const { detail } = (await wrong.json()) as { detail: { loc: string[] }[] };
    expect(detail.map(({ loc }) => loc)).toEqual([
      ['body', 'styles'],
      ['body', 'steps'],
    ]);
    const missing = await server.post('/sdapi/v1/img2img', {});
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ detail: 'Init image not found' });
    // A1111’s 500 is a bug: the picture is the client’s.
    const broken = await server.post('/sdapi/v1/img2img', { init_images: ['AAAA'] });
    expect(broken.status).toBe(422);
    expect(await broken.json()).toMatchObject({ detail: 'Invalid encoded image' });
  });

  it('[C13, G2] four pictures of two by two, seeds in a row, no grid', async () => {
    const request = { batch_size: 2, n_iter: 2, seed: 5, save_images: true };
    const { reply, info } = await createServer().generate(request);
    expect(reply.images).toHaveLength(4);
    expect(info.all_seeds).toEqual([5, 6, 7, 8]);
  });

  it('[C14, Q17] KoboldAI Lite’s clip_skip 2 against its own override 1', async () => {
    const { info } = await createServer().generate({
      clip_skip: 2,
      override_settings: { CLIP_stop_at_last_layers: 1 },
    });
    expect(info.infotexts[0]).toContain('Clip skip: 2');
    expect(info.clip_skip).toBe(2);
  });

  it('[C16] lists and options answer while a model loads and while no tab is attached', async () => {
    const paths = [
      'sd-models',
      'options',
      'samplers',
      'schedulers',
      'upscalers',
      'latent-upscale-modes',
      'sd-vae',
      'progress',
    ];
    const loading = createServer({ models: [listing('one'), listing('two')] });
    loading.services.engines.control = () => new Promise(() => {});
    void loading.post('/sdapi/v1/options', { sd_model_checkpoint: 'one.safetensors' });
    for (const server of [loading, createServer({ loaded: null, models: [] })]) {
      const started = performance.now();
      for (const path of paths) await server.get(`/sdapi/v1/${path}`);
      expect(performance.now() - started).toBeLessThan(1000);
    }
  });

  it('[M15] a body of 32 MB is read', async () => {
    const filler = 'A'.repeat(32 * 1024 * 1024);
    const png = makePng(8, 8).toString('base64');
    const { params } = await createServer().generate(
      { init_images: [png], unknown: filler },
      'img2img',
    );
    expect(params.initImages).toEqual([png]);
  });

  it('[M17] JSON says that it is JSON, errors too', async () => {
    const server = createServer();
    for (const path of ['/sdapi/v1/options', '/sdapi/v1/sd-models', '/sdapi/v1/none']) {
      const response = await server.app.request(path);
      expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    }
  });
});
