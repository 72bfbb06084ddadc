import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { pageRoutes } from '../../../bridge/a1111/page-routes.ts';
import { EMBEDDED, fakeServices, listing } from './fake-services.ts';
import { createServer } from './helpers.ts';

/** Routes of A1111's own page that other programs read. */

describe('/internal', () => {
  it('tells what the bridge runs on, and no secret', async () => {
    const server = createServer({}, { flags: { port: 7860 } });
    const info = await server.get<Record<string, Record<string, number>>>('/internal/sysinfo');
    expect(info).toMatchObject({ Commandline: { port: 7860 }, Extensions: [] });
    expect(String(info.Version)).toMatch(/^Easel \d/);
    expect(info.RAM!.total).toBeGreaterThan(info.RAM!.free!);
    // Neither the environment nor where things lie.
    expect(Object.keys(info)).not.toContain('Environment');
    expect(JSON.stringify(info)).not.toContain(process.cwd());
    expect(await server.get('/internal/sysinfo-download/')).toMatchObject({ Extensions: [] });
  });

  it('names the options', async () => {
    const hints = await createServer().get<{ name: string }[]>('/internal/quicksettings-hint');
    expect(hints.map(({ name }) => name)).toContain('CLIP_stop_at_last_layers');
    expect(await createServer().get('/internal/profile-startup')).toHaveProperty('records');
  });
});

describe('/sd_extra_networks/metadata', () => {
  const models = [EMBEDDED, listing('l', { kind: 'lora' }), listing('plain', { kind: 'lora' })];
  const { services } = fakeServices({ models });
  const app = new Hono().route(
    '/',
    pageRoutes(
      {
        ...services,
        models: {
          ...services.models,
          list: async (kind) => models.filter((model) => model.kind === kind),
          summary: async ({ name }) =>
            name === 'plain'
              ? null
              : { metadata: { ss_output_name: 'x', of: name }, shapes: new Map() },
        },
      },
      {},
    ),
  );
  const metadata = async (page: string, item: string) => {
    const query = new URLSearchParams({ page, item });
    const reply = await app.request(`/sd_extra_networks/metadata?${query}`);
    expect(reply.status).toBe(200);
    return reply.json();
  };

  it('is a file’s own, as text that holds JSON', async () => {
    const reply = (await metadata('lora', 'l')) as { metadata: string };
    expect(JSON.parse(reply.metadata)).toEqual({ ss_output_name: 'x', of: 'l' });
    expect(await metadata('checkpoints', EMBEDDED.name)).toHaveProperty('metadata');
  });

  it.each([
    ['lora', 'gone'],
    ['lora', 'plain'],
    ['checkpoints', 'l'],
    ['elsewhere', 'l'],
    ['', ''],
  ])('of %j, %j is nothing', async (page, item) => {
    expect(await metadata(page, item)).toEqual({});
  });
});
