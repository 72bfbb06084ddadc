import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { EngineStatus } from '../../protocol/device.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import { readPngText } from '../../protocol/png-text.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { createMemoryStore } from '../../web/engine/models/key-value-store.ts';
import type { Runtime } from '../../web/engine/runtime/runtime.ts';
import type { GeneratedImage, GenerationProgress } from '../../web/shared/engine.ts';
import type { EngineConfig } from '../../web/shared/worker-protocol.ts';
import { MODELS } from '../compiler/lib/files.ts';
import { singleFileBytes } from '../compiler/lib/single-file.ts';
import { type NodeAccessOptions, nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';
import { folderFiles } from '../fakes/file-source.ts';

/** The whole engine with a real (tiny) checkpoint, the real compiler and the real runtime. */

const PARAMS: GenerationParams = {
  ...GENERATION_DEFAULTS,
  prompt: 'a cat',
  width: 64,
  height: 64,
  steps: 2,
};

const engines: LocalEngine[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const engine of engines.splice(0)) await engine.close();
});

function start(options: NodeAccessOptions & { config?: Partial<EngineConfig> } = {}) {
  const access = nodeAccess(options);
  const engine = createLocalEngine({ ...ENGINE_CONFIG, ...options.config }, access);
  engines.push(engine);
  const statuses: EngineStatus[] = [];
  engine.onStatus((status) => statuses.push(status));
  const generate = async (change: Partial<GenerationParams> = {}, signal?: AbortSignal) => {
    const images: GeneratedImage[] = [];
    const progress: GenerationProgress[] = [];
    const summary = await engine.generate(
      { ...PARAMS, ...change },
      {
        onImage: (image) => images.push(image),
        onProgress: (told) => progress.push(told),
        ...(signal ? { signal } : {}),
      },
    );
    return { summary, images, progress };
  };
  const states = () => [...new Set(statuses.map(({ state }) => state))];
  return { access, engine, statuses, states, generate };
}

describe('a job', () => {
  test('compiles what is missing, makes the picture and says what it did', async () => {
    const { generate, states, statuses, engine } = start();
    const { summary, images, progress } = await generate();
    expect(states()).toEqual(['idle', 'busy', 'loading', 'compiling']);
    expect(statuses.at(-1)).toMatchObject({
      state: 'idle',
      checkpoint: 'sd15-tiny',
      precision: 'fp32',
      activity: null,
      message: null,
      device: { provider: 'wasm' },
    });
    expect([...new Set(progress.map(({ stage }) => stage))]).toEqual([
      'waiting',
      'loading',
      'compiling',
      'encoding',
      'sampling',
      'decoding',
    ]);
    expect(summary).toMatchObject({
      interrupted: false,
      width: 64,
      height: 64,
      checkpoint: 'sd15-tiny',
      notes: [],
    });
    expect(summary.timings.runSeconds).toBeGreaterThan(0);
    expect(summary.timings.runSeconds).toBeLessThanOrEqual(summary.timings.totalSeconds);
    const [image] = images;
    expect(await readPngText(image!.bytes)).toEqual({ parameters: image!.infotext });
    expect(image!.infotext).toContain(`Model hash: ${summary.checkpointHash}, Model: sd15-tiny`);
    engine.onCatalog(({ checkpoints }) =>
      expect(checkpoints[0]?.sha256?.slice(0, 10)).toBe(summary.checkpointHash),
    );
  });

  test('gives the same bytes for the same seed and settings', async () => {
    const { generate } = start();
    const first = await generate({ seed: 5 });
    const second = await generate({ seed: 5 });
    const other = await generate({ seed: 6 });
    expect(second.images[0]!.bytes).toEqual(first.images[0]!.bytes);
    expect(other.images[0]!.bytes).not.toEqual(first.images[0]!.bytes);
  });

  test('in a batch makes the pictures that single jobs make', async () => {
    const { generate, access } = start();
    const { images } = await generate({ seed: 5, batchSize: 2, batchCount: 2 });
    await generate({ seed: 8 });
    expect(images.map(({ seed, index }) => [seed, index])).toEqual([
      [5, 0],
      [6, 1],
      [7, 2],
      [8, 3],
    ]);
    const [inBatch, alone] = [access.pictures[3]!.data, access.pictures[4]!.data];
    const off = inBatch.map((value, i) => Math.abs(value - alone[i]!));
    expect(Math.max(...off)).toBeLessThanOrEqual(1);
  });

  test('redraws a picture in as many steps as its strength asks for', async () => {
    const { generate } = start();
    const { images, progress } = await generate({
      mode: 'img2img',
      initImages: ['x'],
      steps: 4,
      denoisingStrength: 0.5,
    });
    expect(progress.findLast(({ stage }) => stage === 'sampling')).toMatchObject({
      step: 3,
      steps: 3,
    });
    expect(images[0]!.infotext).toContain('Denoising strength: 0.5');
  });

  test('says that a size was rounded down', async () => {
    const { generate } = start();
    const { summary, images } = await generate({ width: 71, height: 66 });
    expect(summary).toMatchObject({ width: 64, height: 64 });
    expect(summary.notes).toEqual([expect.stringContaining('71×66 was rounded down to 64×64')]);
    expect(images[0]!.infotext).toContain('Size: 71x66');
  });

  test.each([
    [{ checkpoint: 'nope' }, 'not-found', 'no checkpoint "nope"'],
    [{ width: 4096, height: 4096, batchSize: 16 }, 'invalid-request', 'GiB'],
  ])('that cannot be is refused and leaves the engine usable: %j', async (change, code, text) => {
    const { generate, statuses } = start();
    await expect(generate(change)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(text),
    });
    expect(statuses.at(-1)?.state).toBe('idle');
    await expect(generate()).resolves.toBeDefined();
  });

  test('waits for the one before it, and can be given up while it waits', async () => {
    const { generate } = start();
    const order: string[] = [];
    const abort = new AbortController();
    const first = generate().then(() => order.push('first'));
    const second = generate({}, abort.signal).catch((error: Error) => order.push(error.name));
    const third = generate().then(() => order.push('third'));
    abort.abort();
    await Promise.all([first, second, third]);
    expect(order).toEqual(['AbortError', 'first', 'third']);
  });

  test('is interrupted between steps though the runtime computes in one go', async () => {
    const { engine, generate } = start();
    await generate();
    const { summary, images } = await (async () => {
      const job = generate({ steps: 200 });
      setTimeout(() => engine.interrupt(), 100);
      return job;
    })();
    expect(summary.interrupted).toBe(true);
    expect(images).toHaveLength(1);
  });
});

describe('compiled models', () => {
  test('are used again without reading a source file', async () => {
    const entries = createMemoryStore();
    const first = start({ entries });
    const made = await first.generate();
    expect(first.access.reads).not.toEqual([]);
    const second = start({ entries });
    const again = await second.generate();
    expect(second.access.reads).toEqual([]);
    expect(second.states()).not.toContain('compiling');
    expect(again.images[0]!.bytes).toEqual(made.images[0]!.bytes);
  });

  test('are looked at again when the source changed, and kept when its content did not', async () => {
    const entries = createMemoryStore();
    await start({ entries }).generate();
    const second = start({ entries, version: 'v2' });
    await second.generate();
    expect(second.access.reads).not.toEqual([]);
    expect(second.states()).not.toContain('compiling');
  });

  test('that were half written when the job was cancelled leave nothing behind', async () => {
    const entries = createMemoryStore();
    const { engine } = start({ entries });
    const abort = new AbortController();
    const loading = engine.loadCheckpoint('sd15-tiny', { signal: abort.signal });
    engine.onStatus(({ state }) => {
      if (state === 'compiling') abort.abort();
    });
    await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
    const keys = await entries.keys();
    expect(keys.filter((key) => !key.startsWith('source:'))).toEqual([]);
    await expect(engine.loadCheckpoint('sd15-tiny')).resolves.toBeUndefined();
  });
});

describe('what is compiled', () => {
  test('and damaged since is compiled anew, gives the same picture, and it is said', async () => {
    const entries = createMemoryStore();
    const before = start({ entries });
    await before.generate({ seed: 5 });
    const keys = await entries.keys();
    const chunk = keys.find((key) => key.startsWith('chunk:') && key.includes(':unet:'))!;
    const bytes = new Uint8Array(await ((await entries.get(chunk)) as Blob).arrayBuffer());
    bytes.fill(0, 0, 1000);
    await entries.set(chunk, new Blob([bytes]));
    const { generate, access } = start({ entries });
    const { summary, images } = await generate({ seed: 5 });
    expect(access.pictures[0]!.data).toEqual(before.access.pictures[0]!.data);
    expect(summary.notes).toEqual([
      "The compiled sd15-tiny was damaged in the browser's storage; it was compiled anew.",
    ]);
    expect(images[0]!.infotext).toContain('it was compiled anew');
    expect((await generate({ seed: 5 })).summary.notes).toEqual([]);
  });

  test('is listed, deleted while in use, and made again by the next job', async () => {
    const { engine, generate, statuses } = start();
    expect(await engine.listCompiled()).toEqual([]);
    await generate();
    const [only] = await engine.listCompiled();
    expect(only).toMatchObject({
      name: 'sd15-tiny',
      family: 'sd1',
      precision: 'fp32',
      isInUse: true,
    });
    expect(only!.sizeBytes).toBeGreaterThan(1e5);
    await engine.deleteCompiled(only!.key);
    expect(await engine.listCompiled()).toEqual([]);
    expect(statuses.at(-1)).toMatchObject({ checkpoint: null });
    await generate();
    await engine.deleteAllCompiled();
    expect(await engine.listCompiled()).toEqual([]);
  });
});

describe('a file of the own disk', () => {
  test('becomes a checkpoint that makes pictures after a reload without the file', async () => {
    const surroundings = { entries: createMemoryStore(), localEntries: createMemoryStore() };
    const file = new File([singleFileBytes('sd15-tiny') as BlobPart], 'mine.safetensors');
    const { engine, generate } = start(surroundings);
    expect(await engine.addFiles([{ path: 'mine.safetensors', file }])).toEqual([
      { kind: 'checkpoint', name: 'mine' },
    ]);
    const { images } = await generate({ checkpoint: 'mine', seed: 5 });
    const later = start(surroundings);
    const again = await later.generate({ checkpoint: 'mine', seed: 5 });
    expect(again.images[0]!.bytes).toEqual(images[0]!.bytes);
    const unsubscribe = later.engine.onCatalog(({ checkpoints }) =>
      expect(checkpoints.map(({ name, source }) => [name, source])).toEqual([
        ['sd15-tiny', 'embedded'],
        ['mine', 'browser'],
      ]),
    );
    unsubscribe();
    await later.engine.forgetFiles('mine');
    await expect(later.generate({ checkpoint: 'mine' })).rejects.toMatchObject({
      code: 'not-found',
    });
  });
});

describe('the checkpoint in memory', () => {
  test('is loaded at start where one is named, and leaves when told to', async () => {
    const { engine, statuses } = start({ config: { checkpoint: 'sd15-tiny' } });
    await engine.activate();
    expect(statuses.at(-1)).toMatchObject({ state: 'idle', checkpoint: 'sd15-tiny' });
    await engine.unloadCheckpoint();
    expect(statuses.at(-1)).toMatchObject({ checkpoint: null, precision: null });
  });

  test('that was chosen before the start’s turn came stays', async () => {
    const { engine, statuses } = start({ config: { checkpoint: 'sd15-tiny' } });
    const bytes = singleFileBytes('sd15-tiny');
    const file = new File([new Uint8Array(bytes)], 'mine.safetensors');
    await engine.addFiles([{ path: 'mine.safetensors', file }]);
    await Promise.all([engine.loadCheckpoint('mine'), engine.activate()]);
    expect(statuses.at(-1)).toMatchObject({ checkpoint: 'mine' });
  });

  test('leaves after the idle minutes, says so, and comes back with the next job', async () => {
    const { engine, statuses, generate } = start({ config: { unloadIdleMinutes: 0.001 } });
    await generate();
    expect(statuses.at(-1)).toMatchObject({ checkpoint: 'sd15-tiny' });
    await vi.waitFor(() => expect(statuses.at(-1)).toMatchObject({ checkpoint: null }));
    expect(statuses.at(-1)?.message).toBe(
      'sd15-tiny left the device after 0.001 idle minutes; the next job loads it again.',
    );
    await generate();
    expect(statuses.at(-1)).toMatchObject({ checkpoint: 'sd15-tiny', message: null });
    await engine.close();
  });

  test('that does not load at start is said in the status', async () => {
    const { engine, statuses } = start({ config: { checkpoint: 'gone' } });
    await engine.activate();
    expect(statuses.at(-1)).toMatchObject({
      state: 'idle',
      message: expect.stringContaining('no checkpoint "gone"'),
    });
  });
});

/** A runtime that takes itself for a graphics device's and whose sessions hold nothing, for what is loaded and where. */
function hollow(runtime: Runtime, provider: 'webgpu' | 'wasm', closed: Runtime[]): Runtime {
  const made: Runtime = Object.create(runtime, {
    device: { value: { ...runtime.device, provider } },
    version: { get: () => runtime.version },
    lost: { value: runtime.lost },
    openSession: { value: async () => ({ run: async () => ({}), release: async () => {} }) },
    close: {
      async value() {
        closed.push(made);
        await runtime.close();
      },
    },
  });
  return made;
}

describe('another checkpoint', () => {
  const beside = [
    {
      kind: 'checkpoint' as const,
      ...folderFiles(join(MODELS, 'sd2-tiny'), 'sd2-tiny'),
    },
  ];

  test.each([
    ['webgpu', 3],
    ['wasm', 1],
  ] as const)('on %s: devices opened for A, A, B, A', async (provider, devices) => {
    const closed: Runtime[] = [];
    const { engine, access } = start({
      beside,
      wrap: (runtime) => hollow(runtime, provider, closed),
    });
    for (const name of ['sd15-tiny', 'sd15-tiny', 'sd2-tiny', 'sd15-tiny']) {
      await engine.loadCheckpoint(name);
    }
    expect(access.runtimes).toHaveLength(devices);
    expect(closed).toEqual(access.runtimes.slice(0, -1));
  });
});

/** A runtime whose UNet fails with `error` on its run number `at`. */
function failing(runtime: Runtime, at: number, error: () => Error): Runtime {
  let runs = 0;
  const wrapped: Runtime = Object.create(runtime, {
    openSession: {
      async value(...given: Parameters<Runtime['openSession']>) {
        const session = await runtime.openSession(...given);
        if (given[1].what !== 'The UNet') return session;
        return {
          release: () => session.release(),
          async run(feeds: Parameters<typeof session.run>[0]) {
            if (++runs === at) throw error();
            return session.run(feeds);
          },
        };
      },
    },
    device: { value: runtime.device },
    counters: { get: () => runtime.counters },
    version: { get: () => runtime.version },
    lost: { value: runtime.lost },
    tensor: { value: runtime.tensor.bind(runtime) },
    upload: { value: runtime.upload.bind(runtime) },
    sliceBatch: { value: runtime.sliceBatch.bind(runtime) },
    settled: { value: runtime.settled.bind(runtime) },
    close: { value: runtime.close.bind(runtime) },
  });
  return wrapped;
}

describe('a device that is lost in a job', () => {
  const lost = () => new GenerationError('device-lost', 'the driver was reset');

  test('is replaced, the job made again, no picture told twice, and it is said', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const untroubled = await start().generate({ batchCount: 2 });
    const { access, generate } = start({
      // The second picture's first step.
      wrap: (runtime, opened) => (opened === 0 ? failing(runtime, 3, lost) : runtime),
    });
    const { summary, images } = await generate({ batchCount: 2 });
    expect(access.runtimes).toHaveLength(2);
    expect(images.map(({ index }) => index)).toEqual([0, 1]);
    expect(images.map(({ bytes }) => bytes)).toEqual(untroubled.images.map(({ bytes }) => bytes));
    expect(summary.notes).toEqual([expect.stringContaining('made again on a fresh one')]);
  });

  test('twice fails the job, and the next one works', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const { generate, statuses } = start({
      wrap: (runtime, opened) => (opened < 2 ? failing(runtime, 1, lost) : runtime),
    });
    await expect(generate()).rejects.toMatchObject({ code: 'device-lost' });
    expect(statuses.at(-1)?.state).toBe('idle');
    // The second runtime failed once and is whole again.
    await expect(generate()).resolves.toBeDefined();
  });

  test('other failures are not tried again', async () => {
    const error = () => new GenerationError('internal', 'a bug');
    const { access, generate } = start({ wrap: (runtime) => failing(runtime, 1, error) });
    await expect(generate()).rejects.toMatchObject({ code: 'internal' });
    expect(access.runtimes).toHaveLength(1);
  });
});

describe('a device that runs out of memory in a job', () => {
  const full = () => new GenerationError('out-of-memory', 'The UNet did not fit into memory.');

  test('makes it again with one part of the model at a time, and says so', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const untroubled = await start().generate({ seed: 5 });
    const { access, generate } = start({ wrap: (runtime) => failing(runtime, 1, full) });
    const { summary, images } = await generate({ seed: 5 });
    expect(images.map(({ bytes }) => bytes)).toEqual(untroubled.images.map(({ bytes }) => bytes));
    expect(summary.notes).toEqual([expect.stringContaining('one part of the model in memory')]);
    expect(access.runtimes).toHaveLength(1);
    expect((await generate({ seed: 5 })).summary.notes).toEqual([]);
  });

  test('twice fails the job', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const { generate } = start({
      wrap: (runtime) => failing(failing(runtime, 1, full), 2, full),
    });
    await expect(generate()).rejects.toMatchObject({ code: 'out-of-memory' });
  });
});
