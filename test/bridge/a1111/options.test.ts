import { describe, expect, it } from 'vitest';
import { OPTIONS } from '../../../bridge/a1111/option-table.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import { EMBEDDED, listing, makePng } from './fake-services.ts';
import { createServer } from './helpers.ts';

const models = [EMBEDDED, listing('one'), listing('two')];
const hashes = { two: 'cd'.repeat(32) };

describe('GET /sdapi/v1/options', () => {
  it('[M2, G5] has samples_format, and sd_model_checkpoint equal to one title', async () => {
    const server = createServer({ models, hashes, loaded: 'two' });
    const options = await server.get('/sdapi/v1/options');
    const titles = (await server.get<{ title: string }[]>('/sdapi/v1/sd-models')).map(
      (model) => model.title,
    );
    expect(options.samples_format).toBe('png');
    expect(options.sd_model_checkpoint).toBe('two.safetensors [cdcdcdcdcd]');
    expect(titles).toContain(options.sd_model_checkpoint);
    expect(options.sd_checkpoint_hash).toBe(hashes.two);
  });

  it('names the chosen checkpoint, then the loaded one, then the embedded one', async () => {
    const name = async (options: Parameters<typeof createServer>[0]) =>
      (await createServer({ models, ...options }).get('/sdapi/v1/options')).sd_model_checkpoint;
    expect(await name({ settings: { sd_model_checkpoint: 'one' }, loaded: 'two' })).toBe(
      'one.safetensors',
    );
    expect(await name({ settings: { sd_model_checkpoint: 'gone' }, loaded: 'two' })).toBe(
      'two.safetensors',
    );
    expect(await name({ loaded: null })).toBe('easel-tiny');
    expect(await name({ models: [], loaded: null })).toBe('easel-tiny');
    expect(await name({ models: [listing('one')], loaded: null })).toBe('one.safetensors');
  });

  it('serves every key of the table and none that makes clients speak another dialect', async () => {
    const options = await createServer().get('/sdapi/v1/options');
    expect(Object.keys(options).sort()).toEqual(OPTIONS.map(({ key }) => key).sort());
    expect(options).not.toHaveProperty('forge_preset');
    for (const [key, value] of Object.entries(options)) expect(value, key).not.toBeNull();
  });

  it('takes defaults from the command line', async () => {
    const server = createServer({}, { optionDefaults: { samples_format: 'webp' } });
    expect((await server.get('/sdapi/v1/options')).samples_format).toBe('webp');
  });
});

describe('POST /sdapi/v1/options', () => {
  it('[M9] takes the whole object back with one key changed', async () => {
    const server = createServer({ models });
    const options = await server.get('/sdapi/v1/options');
    const response = await server.post('/sdapi/v1/options', {
      ...options,
      sd_model_checkpoint: 'one.safetensors',
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toBeNull();
    expect(server.settings).toEqual({ sd_model_checkpoint: 'one' });
    expect(server.commands).toEqual([{ name: 'load-checkpoint', checkpoint: 'one' }]);
    const after = await server.get('/sdapi/v1/options');
    expect(after).toEqual({ ...options, sd_model_checkpoint: 'one.safetensors' });
  });

  it('does nothing for values in force, unknown keys, nulls and paths', async () => {
    const server = createServer({ models });
    const options = await server.get('/sdapi/v1/options');
    await server.post('/sdapi/v1/options', options);
    await server.post('/sdapi/v1/options', {
      no_such_key: 1,
      samples_format: null,
      outdir_samples: '/etc',
      temp_dir: '../../x',
      sd_model_checkpoint: '',
      sd_checkpoint_hash: 'x',
    });
    expect(server.settings).toEqual({});
    expect(server.commands).toEqual([]);
    expect(await server.get('/sdapi/v1/options')).toEqual(options);
  });

  it('reads loose types and keeps the option’s own', async () => {
    const server = createServer();
    await server.post('/sdapi/v1/options', {
      CLIP_stop_at_last_layers: '2',
      samples_save: 'false',
      eta_noise_seed_delta: 31337.0,
    });
    expect(server.settings).toEqual({
      CLIP_stop_at_last_layers: 2,
      samples_save: false,
      eta_noise_seed_delta: 31337,
    });
  });

  it.each([
    [{ samples_format: 'bmp' }, 'png, jpg, jpeg, webp'],
    [{ CLIP_stop_at_last_layers: 99 }, '1 to 12'],
    [{ samples_save: 'perhaps' }, 'boolean'],
    [{ hide_samplers: 'x' }, 'list'],
  ])('refuses %j and says what it takes', async (change, words) => {
    const server = createServer();
    const response = await server.post('/sdapi/v1/options', change);
    expect(response.status).toBe(422);
    expect(await response.text()).toContain(words);
    expect(server.settings).toEqual({});
  });

  it('refuses an unknown checkpoint by A1111’s words and changes nothing', async () => {
    const server = createServer({ models });
    const response = await server.post('/sdapi/v1/options', { sd_model_checkpoint: 'three' });
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ detail: "model 'three' not found" });
    expect(server.settings).toEqual({});
  });

  it('keeps the choice for the tab to come when none is attached', async () => {
    const server = createServer({ models, loaded: null });
    const response = await server.post('/sdapi/v1/options', { sd_model_checkpoint: 'two' });
    expect(response.status).toBe(200);
    expect(server.settings).toEqual({ sd_model_checkpoint: 'two' });
  });

  it('changes nothing when the tab cannot load the checkpoint', async () => {
    const controlFailure = new GenerationError('invalid-model', 'two.safetensors is cut short.');
    const server = createServer({ models, controlFailure });
    const response = await server.post('/sdapi/v1/options', { sd_model_checkpoint: 'two' });
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ detail: 'two.safetensors is cut short.' });
    expect(server.settings).toEqual({});
  });
});

describe('unload, reload, refresh', () => {
  it.each([
    ['unload-checkpoint', {}, [{ name: 'unload-checkpoint' }]],
    ['reload-checkpoint', {}, [{ name: 'load-checkpoint', checkpoint: 'easel-tiny' }]],
    ['refresh-checkpoints', null, [{ name: 'refresh-models' }]],
    ['refresh-vae', null, [{ name: 'refresh-models' }]],
    ['refresh-loras', null, [{ name: 'refresh-models' }]],
    ['refresh-embeddings', null, [{ name: 'refresh-models' }]],
  ])('%s', async (route, reply, commands) => {
    const server = createServer();
    const response = await server.post(`/sdapi/v1/${route}`, '""');
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual(reply);
    expect(server.commands).toEqual(commands);
    expect(server.library.refreshes).toBe(route.startsWith('refresh') ? 1 : 0);
    const alone = createServer({ loaded: null });
    expect((await alone.post(`/sdapi/v1/${route}`, '""')).status).toBe(200);
  });
});

describe('options about infotexts and files', () => {
  it('leave keys out of infotexts, and the infotext out of files', async () => {
    const override_settings = {
      ...{ add_model_name_to_info: false, add_model_hash_to_info: false },
      ...{ add_vae_name_to_info: false, add_version_to_infotext: false, enable_pnginfo: false },
    };
    const { params } = await createServer().generate({ override_settings });
    expect(params.hiddenInfotextKeys).toEqual(['Model', 'Model hash', 'VAE', 'Version']);
    expect(params).toMatchObject({ embedsInfotext: false, notes: [] });
    const { params: plain } = await createServer().generate({});
    expect(plain).toMatchObject({ hiddenInfotextKeys: [], embedsInfotext: true });
    const hashless = {
      ...{ lora_add_hashes_to_infotext: false, textual_inversion_add_hashes_to_infotext: false },
    };
    const { params: other } = await createServer({ settings: hashless }).generate({});
    expect(other.hiddenInfotextKeys).toEqual(['Lora hashes', 'TI hashes']);
  });

  it('say how files are called; by themselves they say nothing', async () => {
    const server = createServer();
    await server.generate({});
    expect(server.requests.at(-1)?.saving).toBeUndefined();
    await server.post('/sdapi/v1/options', {
      samples_filename_pattern: '[seed]-[prompt_spaces]',
      directories_filename_pattern: '[date]',
      save_txt: true,
    });
    await server.generate({});
    expect(server.requests.at(-1)?.saving).toEqual({
      ...{ file: '[seed]-[prompt_spaces]', folder: '[date]', hasText: true },
    });
    await server.generate({ override_settings: { save_to_dirs: false, save_txt: false } });
    expect(server.requests.at(-1)?.saving).toMatchObject({ folder: null, hasText: false });
    expect(server.requests.at(-1)?.saving).not.toHaveProperty('maxPromptWords');
    const override_settings = { directories_max_prompt_words: 3 };
    await server.generate({ override_settings });
    expect(server.requests.at(-1)?.saving).toMatchObject({ maxPromptWords: 3 });
  });
});

describe('A1111’s options for old pictures', () => {
  it('go into the job, and not without being asked for', async () => {
    const names = ['countsSecondOrderOnce', 'usesOldEmphasis', 'cropTop', 'cropLeft'] as const;
    const settings: Record<string, unknown> = {};
    const server = createServer({ settings });
    const { params: plain } = await server.generate({ enable_hr: true });
    expect(names.map((name) => plain[name])).toEqual([false, false, 0, 0]);
    expect(plain.hires?.usesFirstTexts).toBe(false);
    expect(plain.sampling).toMatchObject({ useOldKarrasSigmas: false, betaDistAlpha: 0.6 });
    Object.assign(settings, {
      ...{ dont_fix_second_order_samplers_schedule: true, use_old_emphasis_implementation: true },
      ...{ sdxl_crop_top: 64, sdxl_crop_left: 32, hires_fix_use_firstpass_conds: true },
      sdxl_refiner_high_aesthetic_score: 7,
      ...{ use_old_karras_scheduler_sigmas: true, beta_dist_alpha: 0.4, beta_dist_beta: 0.9 },
    });
    const { params } = await server.generate({ enable_hr: true });
    expect(names.map((name) => params[name])).toEqual([true, true, 64, 32]);
    expect(params.hires?.usesFirstTexts).toBe(true);
    expect(params.aestheticScores).toEqual({ positive: 7, negative: 2.5 });
    expect(params.sampling).toMatchObject({
      ...{ useOldKarrasSigmas: true, betaDistAlpha: 0.4, betaDistBeta: 0.9 },
    });
    expect(params.notes).toEqual([]);
  });

  it('auto_backcompat false leaves the old ways of an old infotext off', async () => {
    const infotext = 'a cat\nSteps: 20, Sampler: Euler, Seed: 1, Size: 512x512, Version: v1.5.0';
    const { params } = await createServer().generate({ infotext });
    expect(params.sampling.downcastAlphas).toBe(true);
    const off = createServer({ settings: { auto_backcompat: false } });
    expect((await off.generate({ infotext })).params.sampling.downcastAlphas).toBe(false);
  });
});

describe('options that no job could be made with', () => {
  it('are cut to what a job holds, or refused with the field: never a fault of the server', async () => {
    const server = createServer();
    const init_images = [makePng(64, 64).toString('base64')];
    await server.post('/sdapi/v1/options', { img2img_background_color: 'x'.repeat(500) });
    const { params } = await server.generate({ init_images }, 'img2img');
    expect(params.backgroundColor).toBe('x'.repeat(32));
    await server.post('/sdapi/v1/options', { sd_lora: 'y'.repeat(4000) });
    const prompt = 'a'.repeat(99_000);
    const response = await server.post('/sdapi/v1/txt2img', { prompt });
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ detail: [{ loc: ['body', 'prompt'] }] });
  });
});
