import { describe, expect, it } from 'vitest';
import { GenerationError } from '../../../protocol/errors.ts';
import { EMBEDDED, listing, makePng } from './fake-services.ts';
import { createServer, type ImagesReply, until } from './helpers.ts';

const PNG = makePng(32, 16).toString('base64');

describe('the reply of txt2img', () => {
  it('[M3, G1, G3] holds bare base64 pictures, parameters as an object and info as a string', async () => {
    const { reply } = await createServer().generate({ prompt: 'a cat', steps: 2, seed: 7 });
    expect(Object.keys(reply)).toEqual(['images', 'parameters', 'info']);
    expect(reply.images).toHaveLength(1);
    expect(reply.images[0]).toMatch(/^[A-Za-z0-9+/]+=*$/);
    expect(Buffer.from(reply.images[0]!, 'base64').toString('latin1', 1, 4)).toBe('PNG');
    expect(reply.parameters).toMatchObject({ prompt: 'a cat', steps: 2, seed: 7, cfg_scale: 7 });
    expect(typeof reply.info).toBe('string');
  });

  it('[M4] has an info of A1111’s keys in A1111’s order', async () => {
    const { info } = await createServer().generate({ prompt: 'a cat', seed: 7, width: 640 });
    expect(Object.keys(info)).toEqual([
      'prompt',
      'all_prompts',
      'negative_prompt',
      'all_negative_prompts',
      'seed',
      'all_seeds',
      'subseed',
      'all_subseeds',
      'subseed_strength',
      'width',
      'height',
      'sampler_name',
      'cfg_scale',
      'steps',
      'batch_size',
      'restore_faces',
      'face_restoration_model',
      'sd_model_name',
      'sd_model_hash',
      'sd_vae_name',
      'sd_vae_hash',
      'seed_resize_from_w',
      'seed_resize_from_h',
      'denoising_strength',
      'extra_generation_params',
      'index_of_first_image',
      'infotexts',
      'styles',
      'job_timestamp',
      'clip_skip',
      'is_using_inpainting_conditioning',
      'version',
    ]);
    expect(info).toMatchObject({ seed: 7, all_seeds: [7], width: 640, height: 512, steps: 50 });
    expect(info.infotexts[0]).toMatch(/^a cat\nSteps: 50, Sampler: Euler, /);
    expect(info.job_timestamp).toMatch(/^\d{14}$/);
  });

  it('writes info as Python does: floats with a point, all beyond ASCII escaped', async () => {
    const { reply } = await createServer().generate({ prompt: 'ein Äpfelchen', seed: 7 });
    expect(reply.info).toContain('"prompt": "ein \\u00c4pfelchen", "all_prompts": [');
    expect(reply.info).toContain('"cfg_scale": 7.0, "steps": 50');
  });

  it('counts seeds up over batch_size times n_iter and never puts a grid first', async () => {
    const request = { seed: 100, batch_size: 2, n_iter: 2, save_images: true };
    const { reply, info } = await createServer().generate(request);
    expect(reply.images).toHaveLength(4);
    expect(info.all_seeds).toEqual([100, 101, 102, 103]);
    expect(info.infotexts).toHaveLength(4);
    expect(info.index_of_first_image).toBe(0);
    expect(info.infotexts[3]).toContain('Seed: 103');
  });

  it('keeps the seed and counts the subseed where a subseed is mixed in', async () => {
    const request = { seed: 100, subseed: 5, subseed_strength: 0.5, batch_size: 2 };
    const { info } = await createServer().generate(request);
    expect(info.all_seeds).toEqual([100, 100]);
    expect(info.all_subseeds).toEqual([5, 6]);
  });

  it('draws seeds for -1, null, blank text and text that is no number', async () => {
    const server = createServer();
    for (const seed of [-1, null, '', '-1', 'any', undefined]) {
      const { info, params } = await server.generate({ seed, subseed: seed });
      expect(params.seed).toBeGreaterThanOrEqual(0);
      expect(params.seed).toBeLessThanOrEqual(4_294_967_293);
      expect(info.seed).toBe(params.seed);
      expect(info.subseed).toBe(params.subseed);
    }
    const seeds = new Set(server.requests.map(({ params }) => params.seed));
    expect(seeds.size).toBeGreaterThan(4);
  });

  it('leaves pictures out when send_images is false', async () => {
    const { reply, info } = await createServer().generate({
      send_images: false,
      save_images: true,
    });
    expect(reply.images).toEqual([]);
    expect(info.infotexts).toHaveLength(1);
  });

  it('names its job, and takes the client’s own key', async () => {
    const server = createServer();
    const response = await server.post('/sdapi/v1/txt2img', {}, { 'x-request-id': 'mine-1' });
    expect(response.headers.get('x-easel-job')).toBe('job-1');
    expect(server.requests[0]?.key).toBe('mine-1');
    await server.post('/sdapi/v1/txt2img', { force_task_id: 'task(1)' });
    expect(server.requests[1]?.key).toBe('task(1)');
    await server.post('/sdapi/v1/txt2img', {}, { 'x-request-id': 'with space' });
    expect(server.requests[2]?.key).toBeNull();
  });

  it('names the job on an error that comes after it was accepted', async () => {
    const server = createServer({ isManual: true });
    const pending = server.post('/sdapi/v1/txt2img', {});
    await until(() => server.services.jobs.view().running === 1);
    server.fail(new GenerationError('device-lost', 'The graphics card was reset.'));
    const response = await pending;
    expect(response.status).toBe(503);
    expect(response.headers.get('x-easel-job')).toBe('job-1');
    expect(response.headers.get('retry-after')).toBe('120');
  });
});

describe('what is saved', () => {
  it.each([
    ['by default', {}, 'all', true],
    ['when save_images says so', { save_images: true }, 'all', true],
    ['not when the request declines', { do_not_save_samples: true }, 'all', false],
    ['not by default where only requests count', {}, 'requested', false],
    ['on request where only requests count', { save_images: true }, 'requested', true],
    ['not with the option off', { override_settings: { samples_save: false } }, 'all', false],
  ] as const)('%s', async (_name, body, saveImages, expected) => {
    const server = createServer({}, { saveImages });
    await server.generate(body);
    expect(server.requests[0]?.saveImages).toBe(expected);
  });
});

describe('a full disk', () => {
  it('is told in info, and only where saving was wanted', async () => {
    const server = createServer({ isDiskFull: true });
    expect((await server.generate({})).info.saved).toBe(false);
    expect((await server.generate({ do_not_save_samples: true })).info).not.toHaveProperty('saved');
    expect((await createServer().generate({})).info).not.toHaveProperty('saved');
  });
});

describe('A1111’s defaults', () => {
  it('[Q10] are what an empty body means', async () => {
    const { params, reply } = await createServer().generate({});
    expect(params).toMatchObject({
      mode: 'txt2img',
      prompt: '',
      negativePrompt: '',
      steps: 50,
      guidanceScale: 7,
      width: 512,
      height: 512,
      sampler: 'Euler',
      scheduler: 'automatic',
      batchSize: 1,
      batchCount: 1,
      subseedStrength: 0,
      seedResizeFromWidth: 0,
      clipSkip: 1,
      eta: null,
      sNoise: 1,
      randnSource: 'gpu',
      checkpoint: null,
      outputFormat: 'png',
      notes: [],
    });
    expect(reply.parameters).toMatchObject({
      seed: -1,
      sampler_name: null,
      sampler_index: 'Euler',
      denoising_strength: null,
      seed_resize_from_w: -1,
      alwayson_scripts: {},
      hr_scale: 2,
    });
  });

  it('an empty list as the whole body is an empty object', async () => {
    const { params } = await createServer().generate('[]');
    expect(params.steps).toBe(50);
  });
});

describe('[M6, Q2, Q14] what A1111 does not know', () => {
  it('is ignored: fields, override keys, always-on scripts', async () => {
    const { params, reply } = await createServer().generate({
      url: 'http://x',
      auth: 'user:secret',
      model_override: 'x',
      override_settings: { forge_additional_modules: [], no_such_option: 1 },
      alwayson_scripts: { ADetailer: { args: [true] }, other: {} },
    });
    expect(JSON.stringify(reply)).not.toContain('secret');
    expect(params.notes).toEqual([
      'The script "ADetailer" is not available here and had no effect.',
      'The script "other" is not available here and had no effect.',
    ]);
  });

  it('an unknown script is refused by A1111’s words; an empty name is none', async () => {
    const server = createServer();
    for (const script_name of ['sd upscale', 'Outpainting mk2']) {
      const response = await server.post('/sdapi/v1/txt2img', { script_name });
      expect(response.status).toBe(422);
      expect(await response.json()).toMatchObject({ detail: `Script '${script_name}' not found` });
    }
    await server.generate({ script_name: '', script_args: [] });
  });
});

describe('[M7] loose types', () => {
  it('reads numbers in text, cuts fractions and takes null for the default', async () => {
    const { params } = await createServer().generate({
      steps: '20',
      width: '640.0',
      height: 512.9,
      cfg_scale: '4.5',
      seed: '123',
      subseed: '5',
      hr_scale: '1.0',
      hr_second_pass_steps: 7.5,
      denoising_strength: null,
      styles: null,
      batch_size: null,
      n_iter: true,
      restore_faces: 'no',
      eta: null,
    });
    expect(params).toMatchObject({
      steps: 20,
      width: 640,
      height: 512,
      guidanceScale: 4.5,
      seed: 123,
      subseed: 5,
      batchSize: 1,
      batchCount: 1,
    });
  });

  it('drops null and blank entries of styles, and turns numbers into text', async () => {
    const { reply } = await createServer().generate({ styles: [null, '', 'one'], prompt: 20 });
    expect(reply.parameters).toMatchObject({ styles: ['one'], prompt: '20' });
  });
});

describe('[M8] the checkpoint of override_settings', () => {
  const models = [listing('one'), listing('two')];
  const hashes = { two: 'ab'.repeat(32) };

  it.each([
    ['title', 'two.safetensors [ababababab]'],
    ['title from before it was hashed', 'two.safetensors'],
    ['model_name', 'two'],
    ['short hash', 'abababab' + 'ab'],
    ['SHA-256', 'ab'.repeat(32)],
    ['path', '/models/two.safetensors'],
    ['name and hash', 'two [ababababab]'],
    ['other case', 'TWO'],
  ])('is found by its %s', async (_name, sd_model_checkpoint) => {
    const server = createServer({ models, hashes });
    const { params } = await server.generate({ override_settings: { sd_model_checkpoint } });
    expect(params.checkpoint).toBe('two');
    expect(params.notes).toEqual([]);
    expect(server.settings).toEqual({});
  });

  it('keeps the current one when empty, and says so when unknown', async () => {
    const server = createServer({ models, settings: { sd_model_checkpoint: 'one' } });
    const empty = await server.generate({ override_settings: { sd_model_checkpoint: '' } });
    expect(empty.params).toMatchObject({ checkpoint: 'one', notes: [] });
    const unknown = await server.generate({ override_settings: { sd_model_checkpoint: 'three' } });
    expect(unknown.params.checkpoint).toBe('one');
    expect(unknown.params.notes).toEqual([
      'There is no checkpoint "three"; one.safetensors was used.',
    ]);
    expect(unknown.info.extra_generation_params['Easel notes']).toContain('three');
  });

  it('stays when the request says so', async () => {
    const server = createServer({ models });
    await server.generate({
      override_settings: { sd_model_checkpoint: 'two', CLIP_stop_at_last_layers: 2 },
      override_settings_restore_afterwards: false,
    });
    expect(server.settings).toEqual({ sd_model_checkpoint: 'two', CLIP_stop_at_last_layers: 2 });
  });
});

describe('settings that reach the job', () => {
  it('come from options, and override_settings win over them', async () => {
    const server = createServer({
      settings: { CLIP_stop_at_last_layers: 2, randn_source: 'CPU', samples_format: 'webp' },
    });
    const fromOptions = await server.generate({});
    expect(fromOptions.params).toMatchObject({
      clipSkip: 2,
      randnSource: 'cpu',
      outputFormat: 'webp',
    });
    const overridden = await server.generate({
      override_settings: {
        CLIP_stop_at_last_layers: '3',
        randn_source: 'NV',
        samples_format: 'jpeg',
        eta_noise_seed_delta: 31337,
      },
    });
    expect(overridden.params).toMatchObject({
      clipSkip: 3,
      randnSource: 'nv',
      outputFormat: 'jpg',
      etaNoiseSeedDelta: 31337,
    });
  });

  it('a positive clip_skip wins over the override, zero and null do not', async () => {
    const server = createServer();
    const override_settings = { CLIP_stop_at_last_layers: 1 };
    expect((await server.generate({ clip_skip: 2, override_settings })).params.clipSkip).toBe(2);
    expect((await server.generate({ clip_skip: 0, override_settings })).params.clipSkip).toBe(1);
    expect((await server.generate({ clip_skip: null })).params.clipSkip).toBe(1);
  });

  it('eta comes from the request, else from the option of the sampler’s kind', async () => {
    const server = createServer({ settings: { eta_ancestral: 0.5, eta_ddim: 0.25 } });
    const eta = async (body: object) => (await server.generate(body)).params.eta;
    expect(await eta({ eta: 0, sampler_name: 'Euler a' })).toBe(0);
    expect(await eta({ sampler_name: 'Euler a' })).toBe(0.5);
    expect(await eta({ sampler_name: 'DDIM' })).toBe(0.25);
  });

  it('an s_ option that is set wins over the request, as in A1111', async () => {
    const server = createServer({ settings: { s_churn: 2 } });
    const { params } = await server.generate({ s_churn: 5, s_tmax: 0, s_noise: 1.5 });
    expect(params).toMatchObject({ sChurn: 2, sTmax: 0, sNoise: 1.5 });
  });

  it('a value of the wrong type is left out and mentioned', async () => {
    const { params } = await createServer().generate({
      override_settings: { CLIP_stop_at_last_layers: 'many', samples_format: 'bmp' },
    });
    expect(params).toMatchObject({ clipSkip: 1, outputFormat: 'png' });
    expect(params.notes).toHaveLength(2);
  });
});

describe('a second pass', () => {
  const ask = async (fields: Record<string, unknown>) =>
    (await createServer().generate({ enable_hr: true, prompt: 'a', ...fields })).params;

  it('has the options’ LoRA in both passes', async () => {
    const override_settings = { sd_lora: 'style', extra_networks_default_multiplier: 0.5 };
    const same = await ask({ override_settings });
    expect(same.prompt).toBe('a<lora:style:0.5>');
    expect(same.hires?.prompt).toBeNull();
    const other = await ask({ override_settings, hr_prompt: 'b' });
    expect(other.hires?.prompt).toBe('b<lora:style:0.5>');
  });

  it('takes A1111’s fields; what repeats the first pass is null', async () => {
    expect((await createServer().generate({})).params.hires).toBeNull();
    const params = await ask({ hr_sampler_name: 'Euler', hr_scheduler: 'Use same scheduler' });
    expect(params.hires).toEqual({
      ...{ scale: 2, resizeWidth: 0, resizeHeight: 0, upscaler: null, steps: 0 },
      ...{ denoisingStrength: 0.75, sampler: null, scheduler: null },
      ...{ prompt: null, negativePrompt: null, checkpoint: null, firstPassImage: null },
      usesFirstTexts: false,
    });
    const other = await ask({
      ...{ hr_sampler_name: 'DPM++ 2M Karras', hr_prompt: 'b', hr_upscaler: 'latent (nearest)' },
      ...{ denoising_strength: 0.4, hr_resize_x: 640, hr_second_pass_steps: 7 },
    });
    expect(other.hires).toMatchObject({
      ...{ sampler: 'DPM++ 2M', prompt: 'b', negativePrompt: null, steps: 7, resizeWidth: 640 },
      ...{ upscaler: 'Latent (nearest)', denoisingStrength: 0.4 },
    });
    expect(other.notes).toEqual([]);
  });

  it('[Q18] says what it replaces', async () => {
    const { hires, notes } = await ask({ hr_upscaler: 'Latent (nearist)' });
    expect(hires?.upscaler).toBe('Latent');
    expect(notes.join(' ')).toMatch(/no upscaler "Latent \(nearist\)"/);
  });

  it('may have a checkpoint of its own, and a picture in the place of the first pass’s', async () => {
    const server = createServer({ models: [EMBEDDED, listing('other')] });
    const hires = async (body: object) =>
      (await server.generate({ enable_hr: true, ...body })).params.hires;
    expect(await hires({ hr_checkpoint_name: 'other.safetensors' })).toMatchObject({
      ...{ checkpoint: 'other', firstPassImage: null },
    });
    for (const name of ['', null, 'Use same checkpoint']) {
      expect(await hires({ hr_checkpoint_name: name })).toMatchObject({ checkpoint: null });
    }
    const given = await hires({ firstpass_image: `data:image/png;base64,${PNG}` });
    expect(given).toMatchObject({ checkpoint: null, firstPassImage: PNG });
    for (const body of [{ hr_checkpoint_name: 'gone' }, { firstpass_image: 'x' }]) {
      const sent = { enable_hr: true, ...body };
      expect((await server.post('/sdapi/v1/txt2img', sent)).status).toBe(422);
      // Without a second pass neither is looked at.
      expect((await server.post('/sdapi/v1/txt2img', body)).status).toBe(200);
    }
  });
});

describe('a mask', () => {
  it('takes A1111’s fields and defaults', async () => {
    const body = { init_images: [PNG], mask: PNG };
    const { params } = await createServer().generate(body, 'img2img');
    expect(params.inpaint).toEqual({
      ...{ mask: PNG, latentMask: null, blurX: 4, blurY: 4, isRounded: true, isInverted: false },
      ...{ fill: 0, isOnlyMasked: true, padding: 0, maskFrom: 'auto', isOverlaid: true },
    });
    const asked = { mask_blur: 9, inpainting_mask_invert: 1, inpainting_fill: 2, latent_mask: PNG };
    const { params: other } = await createServer().generate({ ...body, ...asked }, 'img2img');
    expect(other.inpaint).toMatchObject({
      ...{ blurX: 9, blurY: 9, isInverted: true, fill: 2, latentMask: PNG },
    });
  });

  it('leaves the settings around it to the options', async () => {
    const override_settings = {
      ...{ inpainting_mask_weight: 0.5, initial_noise_multiplier: 0.9, sigma_max: 9 },
      ...{ sd_noise_schedule: 'Zero Terminal SNR', emphasis: 'No norm', skip_early_cond: 0.2 },
    };
    const body = { init_images: [PNG], override_settings };
    const { params } = await createServer().generate(body, 'img2img');
    expect(params).toMatchObject({
      ...{ inpaintingMaskWeight: 0.5, initialNoiseMultiplier: 0.9, emphasis: 'No norm' },
      sampling: { sigmaMax: 9, zeroTerminalSnr: true, skipEarlyCond: 0.2 },
      notes: [],
    });
  });
});

describe('fields without effect', () => {
  it('are mentioned when they ask for something, and only then', async () => {
    const server = createServer();
    const quiet = await server.generate({
      restore_faces: false,
      enable_hr: false,
      hr_upscaler: 'Latent',
      tiling: null,
      override_settings: { sd_hypernetwork: 'None', img2img_fix_steps: false },
    });
    expect(quiet.params.notes).toEqual([]);
    const loud = await server.generate({
      restore_faces: true,
      override_settings: { token_merging_ratio: 0.5 },
    });
    const notes = loud.params.notes.join('\n');
    for (const name of ['restore_faces', 'token_merging_ratio']) {
      expect(notes).toContain(name);
    }
    expect(loud.info.extra_generation_params['Easel notes']).toContain('restore_faces');
  });
});

describe('img2img', () => {
  it('[Q5, Q6] takes bare base64, data URIs with any label, and white space', async () => {
    const server = createServer();
    const lines = PNG.replace(/(.{20})/g, '$1\r\n');
    for (const image of [
      PNG,
      `data:image/png;base64,${PNG}`,
      `data:image/jpeg;base64,${PNG}`,
      `\n data:image/png;base64, ${lines}`,
      lines,
      PNG.replace(/=+$/, ''),
    ]) {
      const { params } = await server.generate({ init_images: [image] }, 'img2img');
      expect(params.initImages).toEqual([PNG]);
    }
  });

  it('has A1111’s defaults', async () => {
    const { params, info } = await createServer().generate({ init_images: [PNG] }, 'img2img');
    expect(params).toMatchObject({ mode: 'img2img', denoisingStrength: 0.75, resizeMode: 0 });
    expect(info.denoising_strength).toBe(0.75);
  });

  it('echoes the pictures only when asked to', async () => {
    const server = createServer();
    const without = await server.generate({ init_images: [PNG], mask: PNG }, 'img2img');
    expect(without.reply.parameters).toMatchObject({ init_images: null, mask: null });
    const request = { init_images: [PNG], include_init_images: true };
    const withThem = await server.generate(request, 'img2img');
    expect(withThem.reply.parameters.init_images).toEqual([PNG]);
  });

  it('one picture serves the batch, several set its size, more are refused', async () => {
    const server = createServer();
    const one = await server.generate({ init_images: [PNG], batch_size: 3 }, 'img2img');
    expect(one.params).toMatchObject({ batchSize: 3, initImages: [PNG] });
    const two = await server.generate({ init_images: [PNG, PNG], batch_size: 3 }, 'img2img');
    expect(two.params.batchSize).toBe(2);
    const response = await server.post('/sdapi/v1/img2img', { init_images: [PNG, PNG] });
    expect(response.status).toBe(422);
    expect((await response.json()) as object).toMatchObject({
      detail: 'bad number of images passed: 2; expecting 1 or less',
    });
  });
});

describe('a client that goes away', () => {
  it('frees its place while it waits; a running job goes on and stays fetchable', async () => {
    const server = createServer({ isManual: true });
    const clients = [new AbortController(), new AbortController()];
    const send = (client: AbortController, key: string) =>
      server.app.request('/sdapi/v1/txt2img', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-request-id': key },
        body: '{}',
        signal: client.signal,
      });
    const running = send(clients[0]!, 'first');
    await until(() => server.services.jobs.view().running === 1);
    const waiting = send(clients[1]!, 'second');
    await until(() => server.services.jobs.view().waiting === 1);
    clients[1]?.abort();
    expect((await waiting).status).toBe(409);
    expect(server.services.jobs.view().waiting).toBe(0);
    clients[0]?.abort();
    server.finish();
    await running;
    const view = server.services.jobs.find({ key: 'first' });
    expect(view?.state).toBe('finished');
    expect((await server.services.jobs.result(view!.jobId))?.images).toHaveLength(1);
  });
});

describe('white space while waiting', () => {
  it('keeps the reply JSON and starts once the pause is over', async () => {
    const server = createServer({ isManual: true });
    const response = await server.post('/sdapi/v1/txt2img', {}, { 'x-easel-keep-alive': '1' });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-easel-job')).toBe('job-1');
    server.finish();
    const text = await response.text();
    expect(text).toMatch(/^ +\{/);
    expect((JSON.parse(text) as ImagesReply).images).toHaveLength(1);
  });

  it('changes nothing for a job that is quick, or fails quickly', async () => {
    const headers = { 'x-easel-keep-alive': '30' };
    const quick = await createServer().post('/sdapi/v1/txt2img', {}, headers);
    expect(await quick.text()).toMatch(/^\{/);
    const failure = new GenerationError('no-tab', 'Open http://localhost:7860 in a browser.');
    const failed = await createServer({ failure }).post('/sdapi/v1/txt2img', {}, headers);
    expect(failed.status).toBe(503);
  });

  it('tells a late error by the body', async () => {
    const server = createServer({ isManual: true });
    const response = await server.post('/sdapi/v1/txt2img', {}, { 'x-easel-keep-alive': '1' });
    server.fail(new GenerationError('device-lost', 'The graphics card was reset.'));
    expect(await response.json()).toMatchObject({ detail: 'The graphics card was reset.' });
  });
});

describe('infotext', () => {
  const infotext = [
    'a lake, <lora:x:1>',
    'Negative prompt: fog',
    'Steps: 33, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 4.5, Seed: 77, Size: 640x384, Model hash: abababab'.concat(
      'ab, Model: two, Variation seed: 5, Variation seed strength: 0.25, Clip skip: 2, ENSD: 31337, RNG: CPU',
    ),
  ].join('\n');
  const models = [listing('one'), listing('two')];
  const hashes = { two: 'ab'.repeat(32) };

  it('fills what the request leaves out, settings and checkpoint too', async () => {
    const { params } = await createServer({ models, hashes }).generate({ infotext });
    expect(params).toMatchObject({
      prompt: 'a lake, <lora:x:1>',
      negativePrompt: 'fog',
      steps: 33,
      sampler: 'DPM++ 2M SDE',
      scheduler: 'karras',
      guidanceScale: 4.5,
      seed: 77,
      subseed: 5,
      subseedStrength: 0.25,
      width: 640,
      height: 384,
      clipSkip: 2,
      etaNoiseSeedDelta: 31337,
      randnSource: 'cpu',
      checkpoint: 'two',
      notes: [],
    });
  });

  it('never replaces what the request says', async () => {
    const { params } = await createServer({ models, hashes }).generate({
      infotext,
      prompt: 'a hill',
      seed: 1,
      override_settings: { CLIP_stop_at_last_layers: 3 },
    });
    expect(params).toMatchObject({ prompt: 'a hill', seed: 1, steps: 33, clipSkip: 3 });
  });

  it('without parameters is a prompt', async () => {
    const { params } = await createServer().generate({ infotext: 'just a hill' });
    expect(params).toMatchObject({ prompt: 'just a hill', steps: 50 });
  });
});
