import { describe, expect, it } from 'vitest';
import { EMBEDDED, listing } from './fake-services.ts';
import { createServer, readVectors, type SamplerAliases } from './helpers.ts';

const aliases = readVectors<SamplerAliases>('sampler-aliases.json');
const schedules = readVectors<{ schedulers: { name: string; label: string }[] }>('schedules.json');

interface ModelItem {
  title: string;
  model_name: string;
  hash: string | null;
  sha256: string | null;
  filename: string;
  config: null;
}

describe('sd-models', () => {
  it('[M1] is never empty; every item is complete', async () => {
    for (const models of [[], [EMBEDDED], [EMBEDDED, listing('inactive'), listing('a"<b>')]]) {
      const items = await createServer({ models }).get<ModelItem[]>('/sdapi/v1/sd-models');
      expect(items.length).toBeGreaterThan(0);
      for (const item of items) {
        expect(Object.keys(item)).toEqual([
          'title',
          'model_name',
          'hash',
          'sha256',
          'filename',
          'config',
        ]);
        for (const key of ['title', 'model_name', 'filename'] as const) {
          expect(item[key]).toBeTypeOf('string');
          expect(item[key]).not.toBe('');
        }
        expect(item.title).not.toMatch(/[<>"'`]/);
        expect(item.model_name).not.toBe('inactive');
      }
    }
  });

  it('titles carry extension and hash for files, the bare name for folders', async () => {
    const models = [listing('file'), listing('hashed'), listing('folder', { isFile: false })];
    const hashes = { hashed: '0123456789abcdef'.repeat(4) };
    const items = await createServer({ models, hashes }).get<ModelItem[]>('/sdapi/v1/sd-models');
    expect(items.map(({ title, hash }) => [title, hash])).toEqual([
      ['file.safetensors', null],
      ['hashed.safetensors [0123456789]', '0123456789'],
      ['folder', null],
    ]);
    expect(items[1]).toMatchObject({ model_name: 'hashed', sha256: hashes.hashed });
  });

  it('[G4] a title made harmless still finds its checkpoint', async () => {
    const server = createServer({ models: [EMBEDDED, listing('a"<b>')] });
    const [, item] = await server.get<ModelItem[]>('/sdapi/v1/sd-models');
    const override_settings = { sd_model_checkpoint: item!.title };
    const { params } = await server.generate({ override_settings });
    expect(params.checkpoint).toBe('a"<b>');
  });
});

describe('[M18] lists', () => {
  it('[S3] samplers are A1111’s, their options in text', async () => {
    const samplers = await createServer().get('/sdapi/v1/samplers');
    const expected = aliases.samplers.map(({ name, aliases: names, options }) => ({
      name,
      aliases: names,
      options: Object.fromEntries(
        Object.entries(options).map(([key, value]) => [key, value === true ? 'True' : value]),
      ),
    }));
    expect(samplers).toEqual(expected);
  });

  it('schedulers are A1111’s', async () => {
    const schedulers =
      await createServer().get<{ name: string; label: string }[]>('/sdapi/v1/schedulers');
    expect(schedulers.map(({ name, label }) => [name, label])).toEqual(
      schedules.schedulers.map(({ name, label }) => [name, label]),
    );
    expect(schedulers[2]).toEqual({
      name: 'karras',
      label: 'Karras',
      aliases: null,
      default_rho: 7,
      need_inner_model: false,
    });
  });

  it('[G10] upscalers begin with None, and the latent modes are six', async () => {
    const server = createServer();
    const upscalers = await server.get<{ name: string }[]>('/sdapi/v1/upscalers');
    expect(upscalers.slice(0, 3).map(({ name }) => name)).toEqual(['None', 'Lanczos', 'Nearest']);
    const modes = await server.get<{ name: string }[]>('/sdapi/v1/latent-upscale-modes');
    expect(modes.map(({ name }) => name)).toEqual([
      'Latent',
      'Latent (antialiased)',
      'Latent (bicubic)',
      'Latent (bicubic antialiased)',
      'Latent (nearest)',
      'Latent (nearest-exact)',
    ]);
  });

  it('VAEs and LoRAs are the library’s', async () => {
    const models = [EMBEDDED, listing('v', { kind: 'vae' }), listing('l', { kind: 'lora' })];
    const server = createServer({ models });
    const vaes = [{ model_name: 'v', filename: '/models/v.safetensors' }];
    expect(await server.get('/sdapi/v1/sd-vae')).toEqual(vaes);
    expect(await server.get('/sdapi/v1/sd-modules')).toEqual(vaes);
    expect(await server.get('/sdapi/v1/loras')).toEqual([
      { name: 'l', alias: 'l', path: '/models/l.safetensors', metadata: {} },
    ]);
  });

  it('[S6] the rest have the shapes that clients walk through', async () => {
    const server = createServer();
    expect(await server.get('/sdapi/v1/embeddings')).toEqual({ loaded: {}, skipped: {} });
    for (const what of [
      'hypernetworks',
      'face-restorers',
      'realesrgan-models',
      'prompt-styles',
      'extensions',
    ]) {
      expect(await server.get(`/sdapi/v1/${what}`)).toEqual([]);
    }
    expect(await server.get('/controlnet/model_list')).toEqual({ model_list: [] });
    expect(await server.get('/sdapi/v1/cmd-flags')).toMatchObject({ api: true });
    const memory = await server.get<{ ram: Record<string, number> }>('/sdapi/v1/memory');
    expect(memory.ram.total).toBeGreaterThan(0);
    expect(memory).toHaveProperty('cuda.error');
  });

  it('[S7, N5, N6, N7] pings answer', async () => {
    const server = createServer();
    expect(await server.get('/internal/ping')).toEqual({});
    expect(await server.get('/sdapi/v1/internal/ping')).toEqual({});
    expect(await server.get('/user')).toBeNull();
    expect((await server.get<{ app: string }>('/sdapi/v1/version')).app).not.toMatch(/sd.?next/i);
  });
});

describe('routes without a meaning here', () => {
  it.each([
    'create/embedding',
    'create/hypernetwork',
    'train/embedding',
    'train/hypernetwork',
    'server-kill',
    'server-restart',
    'server-stop',
  ])('%s is 501 with a sentence', async (route) => {
    const response = await createServer().post(`/sdapi/v1/${route}`, {});
    expect(response.status).toBe(501);
    expect(((await response.json()) as { detail: string }).detail).toMatch(/^[A-Z].*\.$/);
  });
});
