import { Hono } from 'hono';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { errorReply } from '../../bridge/a1111/errors.ts';
import { a1111Routes } from '../../bridge/a1111/routes.ts';
import type { AppEnv } from '../../bridge/app-env.ts';
import { healthHttpStatus, healthOf } from '../../bridge/health.ts';
import { jobRoutes } from '../../bridge/routes/job-routes.ts';
import type { Catalog } from '../../protocol/catalog.ts';
import { controlParams } from '../../protocol/control.ts';
import { GenerationError } from '../../protocol/errors.ts';
import {
  generationParams,
  hiresParams,
  inpaintParams,
  refinerParams,
} from '../../protocol/generation.ts';
import type { JobEvent } from '../../protocol/job.ts';
import { createBridgeApi } from '../../web/page/bridge-api.ts';
import { createRemoteEngine } from '../../web/page/remote-engine.ts';
import type { GeneratedImage } from '../../web/shared/engine.ts';
import { type FakeOptions, fakeServices, listing, makePng } from '../bridge/a1111/fake-services.ts';

/** The bridge's real routes over fake services, and the engine that the page drives them with. */
function setUp(options: FakeOptions = {}) {
  const fake = fakeServices(options);
  const app = new Hono<AppEnv>();
  app.get('/health', (c) => {
    const found = healthOf({
      engines: fake.services.engines.list(),
      queue: fake.services.jobs.view(),
      isStopping: false,
      isStarting: false,
      download: null,
      pageUrl: 'http://pc:7860/',
    });
    return c.json(found, healthHttpStatus(found.status));
  });
  app.route('/', jobRoutes(fake.services.jobs));
  app.route('/', a1111Routes(fake.services));
  app.onError((error, c) => {
    const reply = errorReply(error);
    return c.json(reply?.body ?? {}, reply?.status ?? 500);
  });
  const network = { isUp: true };
  const listeners = new Map<string, (event: { data: string }) => void>();
  const api = createBridgeApi('http://pc:7860/', {
    fetchImpl: async (input, init) => {
      if (!network.isUp) throw new TypeError('Failed to fetch');
      const reply = await app.request(String(input).replace('http://pc:7860', ''), init);
      if (!network.isUp) throw new TypeError('network error');
      init?.signal?.throwIfAborted();
      return reply;
    },
    openEvents: () => ({
      addEventListener: (type, listener) => void listeners.set(type, listener),
      close: () => listeners.clear(),
    }),
  });
  const emit = (event: JobEvent) => listeners.get(event.type)?.({ data: JSON.stringify(event) });
  const engine = createRemoteEngine(api, { pollMs: 20 });
  closers.push(() => engine.close());
  return { app, fake, engine, emit, network, listeners };
}

const closers: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const PARAMS = generationParams.parse({
  prompt: 'a red apple',
  negativePrompt: 'blurry',
  seed: 7,
  steps: 12,
  guidanceScale: 6.5,
  sampler: 'DPM++ 2M',
  scheduler: 'exponential',
  width: 640,
  batchCount: 2,
});

describe('generate', () => {
  it('asks for exactly the job and brings its pictures home', async () => {
    const { fake, engine } = setUp();
    const images: GeneratedImage[] = [];
    const summary = await engine.generate(PARAMS, { onImage: (image) => images.push(image) });
    expect(fake.requests[0]?.params).toMatchObject({
      mode: 'txt2img',
      prompt: 'a red apple',
      negativePrompt: 'blurry',
      seed: 7,
      steps: 12,
      guidanceScale: 6.5,
      sampler: 'DPM++ 2M',
      scheduler: 'exponential',
      width: 640,
      height: 512,
      batchCount: 2,
    });
    expect(summary).toMatchObject({ interrupted: false, width: 640 });
    expect(images.map(({ index, seed, format }) => [index, seed, format])).toEqual([
      [0, 7, 'png'],
      [1, 8, 'png'],
    ]);
    expect(images[0]?.infotext).toContain('Steps: 12, Sampler: DPM++ 2M');
    expect(images[0]?.bytes[0]).toBe(0x89);
  });

  it('sends img2img with its picture, strength and checkpoint', async () => {
    const { fake, engine } = setUp({ models: [listing('easel-tiny'), listing('dreamshaper_8')] });
    await engine.generate({
      ...PARAMS,
      mode: 'img2img',
      initImages: [makePng(8, 8).toString('base64')],
      denoisingStrength: 0.4,
      resizeMode: 2,
      checkpoint: 'dreamshaper_8',
    });
    expect(fake.requests[0]?.params).toMatchObject({
      mode: 'img2img',
      denoisingStrength: 0.4,
      resizeMode: 2,
      checkpoint: 'dreamshaper_8',
    });
    expect(fake.requests[0]?.params.initImages).toHaveLength(1);
  });

  it('sends a mask with how it is used, and a second pass', async () => {
    const { fake, engine } = setUp();
    const picture = makePng(8, 8).toString('base64');
    await engine.generate({
      ...PARAMS,
      mode: 'img2img',
      initImages: [picture],
      inpaint: inpaintParams.parse({
        ...{ mask: picture, blurX: 7, blurY: 7, fill: 2, isOnlyMasked: true, padding: 16 },
      }),
    });
    expect(fake.requests[0]?.params.inpaint).toMatchObject({
      ...{ blurX: 7, blurY: 7, fill: 2, isOnlyMasked: true, padding: 16, isInverted: false },
    });
    await engine.generate({
      ...PARAMS,
      hires: hiresParams.parse({
        ...{ upscaler: 'Latent', scale: 1.5, steps: 5, denoisingStrength: 0.6, sampler: 'Euler' },
      }),
    });
    expect(fake.requests[1]?.params.hires).toMatchObject({
      ...{ upscaler: 'Latent', scale: 1.5, steps: 5, denoisingStrength: 0.6, sampler: 'Euler' },
    });
  });

  it('sends VAE, refiner and ControlNet units, each at its place', async () => {
    const { fake, engine } = setUp({
      models: [listing('easel-tiny'), listing('other'), listing('canny', { kind: 'controlnet' })],
    });
    const image = makePng(8, 8).toString('base64');
    const control = controlParams.parse({
      ...{ unit: 1, model: 'canny', module: 'canny', image, weight: 0.7, resizeMode: 'fill' },
      ...{ mode: 'control', guidanceStart: 0.1, guidanceEnd: 0.9, thresholdA: 50, thresholdB: 90 },
      isPixelPerfect: true,
    });
    await engine.generate({
      ...PARAMS,
      vae: 'None',
      refiner: refinerParams.parse({ checkpoint: 'other', switchAt: 0.6 }),
      controls: [control],
    });
    expect(fake.requests[0]?.params).toMatchObject({
      vae: 'None',
      refiner: { checkpoint: 'other', switchAt: 0.6, passes: 'second' },
      controls: [{ ...control, modelLabel: 'canny' }],
    });
  });

  it('enlarges and joins pictures by the bridge’s own route, under a key of its own', async () => {
    const { fake, engine } = setUp();
    const picture = makePng(8, 8).toString('base64');
    const images: GeneratedImage[] = [];
    const upscale = generationParams.parse({
      ...{ mode: 'upscale', initImages: [picture], upscale: { upscaler: 'Nearest', scale: 3 } },
    });
    await engine.generate(upscale, { onImage: (image) => images.push(image) });
    const grid = generationParams.parse({
      mode: 'grid',
      initImages: [picture, picture],
      grid: { columns: 2, rows: 1, cells: [0, 1], cellWidth: 8, cellHeight: 8 },
    });
    await engine.generate(grid, { onImage: (image) => images.push(image) });
    expect(fake.requests.map(({ params, saveImages }) => [params, saveImages])).toEqual([
      [upscale, false],
      [grid, false],
    ]);
    expect(new Set(fake.requests.map(({ key }) => key)).size).toBe(2);
    expect(images).toHaveLength(2);
  });

  it('follows progress and previews of its own job alone', async () => {
    const { fake, engine, emit, listeners } = setUp({ isManual: true });
    const seen: string[] = [];
    const job = engine.generate(PARAMS, {
      onProgress: ({ step }) => seen.push(`step ${step}`),
      onPreview: (bytes) => seen.push(`preview ${bytes.length}`),
    });
    await vi.waitFor(() => expect(fake.requests).toHaveLength(1));
    await vi.waitFor(() => {
      emit({ type: 'job-preview', jobId: 'job-1', attempt: 1, data: 'AAAA' });
      expect(seen).toContain('preview 3');
    });
    fake.step(4);
    const progress = fake.services.jobs.find({ jobId: 'job-1' })!.progress!;
    emit(progress);
    emit({ ...progress, jobId: 'another', step: 9 });
    expect(seen).toContain('step 4');
    expect(seen).not.toContain('step 9');
    fake.finish();
    await job;
    expect(listeners.size).toBe(0);
  });

  it('interrupts its own job, and gives what is finished', async () => {
    const { fake, engine } = setUp({ isManual: true });
    const images: GeneratedImage[] = [];
    const job = engine.generate(PARAMS, { onImage: (image) => images.push(image) });
    await vi.waitFor(() => expect(fake.requests).toHaveLength(1));
    fake.image();
    await vi.waitFor(() => {
      engine.interrupt();
      expect(fake.services.jobs.view().running).toBe(0);
    });
    expect(await job).toMatchObject({ interrupted: true });
    expect(images).toHaveLength(1);
  });

  it('rejects with AbortError when it is aborted', async () => {
    const { fake, engine } = setUp({ isManual: true });
    const abort = new AbortController();
    const job = engine.generate(PARAMS, { signal: abort.signal });
    const outcome = expect(job).rejects.toMatchObject({ name: 'AbortError' });
    await vi.waitFor(() => expect(fake.requests).toHaveLength(1));
    abort.abort();
    fake.finish();
    await outcome;
  });

  it('says what the bridge says when it refuses', async () => {
    const { engine } = setUp({ failure: new GenerationError('no-tab', 'Open the page.') });
    const job = engine.generate(PARAMS);
    await expect(job).rejects.toMatchObject({ code: 'no-tab', message: 'Open the page.' });
    const bad = engine.generate({ ...PARAMS, mode: 'img2img', initImages: ['AAAA'] });
    await expect(bad).rejects.toMatchObject({ name: 'GenerationError' });
  });

  it('says soon that a bridge that is gone does not answer', async () => {
    const { fake, engine, network } = setUp();
    network.isUp = false;
    const before = performance.now();
    await expect(engine.generate(PARAMS)).rejects.toMatchObject({ code: 'tab-disconnected' });
    expect(performance.now() - before).toBeLessThan(10_000);
    expect(fake.requests).toEqual([]);
  });

  it('does not lose a job whose connection breaks', async () => {
    const { fake, engine, network } = setUp({ isManual: true });
    const images: GeneratedImage[] = [];
    const job = engine.generate(PARAMS, { onImage: (image) => images.push(image) });
    await vi.waitFor(() => expect(fake.requests).toHaveLength(1));
    network.isUp = false;
    fake.finish();
    await new Promise((resolve) => setTimeout(resolve, 400));
    network.isUp = true;
    expect(await job).toMatchObject({ interrupted: false });
    expect(images).toHaveLength(2);
  });
});

describe('status and catalogue', () => {
  it('mirrors the engine that is attached, and its checkpoints', async () => {
    const { engine } = setUp({ models: [listing('easel-tiny'), listing('dreamshaper_8')] });
    const states: string[] = [];
    const names: string[][] = [];
    engine.onRelayStatus(({ state }) => states.push(state));
    engine.onCatalog(({ checkpoints }) => names.push(checkpoints.map(({ name }) => name)));
    await vi.waitFor(() => expect(states.at(-1)).toBe('attached'));
    await vi.waitFor(() => expect(names.at(-1)).toEqual(['easel-tiny', 'dreamshaper_8']));
    let checkpoint: string | null = null;
    engine.onStatus((status) => {
      checkpoint = status.checkpoint;
    });
    expect(checkpoint).toBe('easel-tiny');
  });

  it('lists what is used with checkpoints, so that it can be chosen here too', async () => {
    const kinds = ['lora', 'vae', 'controlnet', 'esrgan'] as const;
    const models = kinds.map((kind) => listing(`my-${kind}`, { kind }));
    const { engine } = setUp({ models: [listing('easel-tiny'), ...models] });
    let found: Catalog | null = null;
    engine.onCatalog((catalog) => {
      found = catalog;
    });
    await vi.waitFor(() =>
      expect((found?.models ?? []).map(({ kind, name }) => [kind, name])).toEqual(
        kinds.map((kind) => [kind, `my-${kind}`]),
      ),
    );
  });

  it('refuses other jobs at the bridge’s own route', async () => {
    const { app, fake } = setUp();
    const reply = await app.request('/easel/v1/jobs', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ mode: 'txt2img', prompt: 'a fox' }),
    });
    expect(reply.status).toBe(422);
    expect(await reply.text()).toContain('/sdapi/v1');
    expect(fake.requests).toEqual([]);
  });

  it('says what to open when no engine is attached, and that a bridge is gone', async () => {
    const { engine, network } = setUp({ loaded: null });
    let message: string | null = null;
    const relays: string[] = [];
    engine.onStatus((status) => {
      message = status.message;
    });
    engine.onRelayStatus(({ state }) => relays.push(state));
    await vi.waitFor(() => expect(message).toMatch(/No engine is attached/));
    network.isUp = false;
    await vi.waitFor(() => expect(relays.at(-1)).toBe('connecting'));
    network.isUp = true;
    await vi.waitFor(() => expect(relays.at(-1)).toBe('attached'));
  });

  it('loads and unloads on the machine with the GPU', async () => {
    const { fake, engine } = setUp({ models: [listing('easel-tiny'), listing('dreamshaper_8')] });
    await engine.loadCheckpoint('dreamshaper_8');
    await engine.unloadCheckpoint();
    expect(fake.commands.map(({ name }) => name)).toEqual(['load-checkpoint', 'unload-checkpoint']);
    await engine.refreshModels();
    expect(fake.library.refreshes).toBe(1);
  });
});
