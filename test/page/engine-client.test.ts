import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GenerationError } from '../../protocol/errors.ts';
import { GENERATION_DEFAULTS } from '../../protocol/generation.ts';
import { createEngineClient } from '../../web/page/engine-client.ts';
import type { EngineConfig } from '../../web/shared/worker-protocol.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';
import { fakeImage, fakeSummary, IDLE } from '../fakes/fake-engine.ts';
import { FakeWorker } from '../fakes/fake-worker.ts';

const CONFIG: EngineConfig = { ...ENGINE_CONFIG, baseUrl: 'http://localhost:7860/' };
const RELAY = { url: 'ws://localhost:7860/easel/v1/relay', tokenUrl: 'http://localhost:7860/t' };

function setUp(config: EngineConfig = CONFIG) {
  const workers: FakeWorker[] = [];
  const engine = createEngineClient(config, {
    createWorker: () => {
      const worker = new FakeWorker();
      workers.push(worker);
      return worker;
    },
  });
  return { engine, workers, worker: workers[0]! };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('engine client', () => {
  it('starts the worker with the configuration, first of all', () => {
    const { worker } = setUp();
    expect(worker.received).toEqual([{ type: 'start', config: CONFIG }]);
  });

  it('tells callers and the status why an engine could not start', async () => {
    const { engine, worker } = setUp();
    const job = engine.generate(GENERATION_DEFAULTS);
    worker.say({ type: 'start-failed', error: { code: 'internal', message: 'no memory' } });
    await expect(job).rejects.toThrow('could not be started (no memory)');
    engine.onStatus((status) => expect(status.state).toBe('blocked'));
    expect(worker.isTerminated).toBe(true);
  });

  it('gives every caller its own reply, whatever the order', async () => {
    const { engine, worker } = setUp();
    const first = engine.generate(GENERATION_DEFAULTS);
    const firstId = worker.idOf('generate');
    const second = engine.generate({ ...GENERATION_DEFAULTS, seed: 2 });
    const secondId = worker.idOf('generate');
    expect(secondId).not.toBe(firstId);
    worker.say({ type: 'reply', id: secondId, summary: fakeSummary({ checkpoint: 'second' }) });
    worker.say({ type: 'reply', id: firstId, summary: fakeSummary({ checkpoint: 'first' }) });
    expect((await first).checkpoint).toBe('first');
    expect((await second).checkpoint).toBe('second');
  });

  it('hands progress, pictures and previews to the job they belong to', async () => {
    const { engine, worker } = setUp();
    const seen: string[] = [];
    const job = engine.generate(GENERATION_DEFAULTS, {
      onProgress: (progress) => seen.push(`step ${progress.step}`),
      onImage: (image) => seen.push(`image ${image.seed}`),
      onPreview: (bytes) => seen.push(`preview ${bytes.length}`),
    });
    const id = worker.idOf('generate');
    const progress = {
      stage: 'sampling',
      imageIndex: 0,
      imageCount: 1,
      step: 3,
      steps: 20,
      fraction: 0.1,
      etaSeconds: 4,
      message: '',
    } as const;
    worker.say({ type: 'progress', id, progress });
    worker.say({ type: 'preview', id, bytes: new Uint8Array(5) });
    worker.say({ type: 'image', id, image: fakeImage() });
    worker.say({ type: 'progress', id: id + 100, progress });
    worker.say({ type: 'reply', id, summary: fakeSummary() });
    await job;
    worker.say({ type: 'progress', id, progress });
    expect(seen).toEqual(['step 3', 'preview 5', 'image 7']);
  });

  it('rejects with the error of the worker, code kept', async () => {
    const { engine, worker } = setUp();
    const load = engine.loadCheckpoint('missing');
    const error = { code: 'not-found', message: 'No checkpoint missing.' } as const;
    worker.say({ type: 'failure', id: worker.idOf('load-checkpoint'), error });
    await expect(load).rejects.toMatchObject({ code: 'not-found', message: error.message });
    await expect(load).rejects.toBeInstanceOf(GenerationError);
  });

  it('tells status, relay and catalogue at once and at every change, until unsubscribed', () => {
    const { engine, worker } = setUp();
    const states: string[] = [];
    const unsubscribe = engine.onStatus((status) => states.push(status.state));
    worker.say({ type: 'status', status: IDLE });
    unsubscribe();
    worker.say({ type: 'status', status: { ...IDLE, state: 'busy' } });
    expect(states).toEqual(['loading', 'idle']);
    const late: string[] = [];
    engine.onStatus((status) => late.push(status.state));
    expect(late).toEqual(['busy']);
    const relays: string[] = [];
    engine.onRelayStatus((status) => relays.push(status.state));
    worker.say({ type: 'relay-status', status: { state: 'attached', message: '' } });
    expect(relays).toEqual(['off', 'attached']);
  });
});

describe('cancel', () => {
  it('names the request and rejects with AbortError once the worker has stopped', async () => {
    const { engine, worker } = setUp();
    const abort = new AbortController();
    const job = engine.generate(GENERATION_DEFAULTS, { signal: abort.signal });
    const id = worker.idOf('generate');
    abort.abort();
    expect(worker.received.at(-1)).toEqual({ type: 'cancel', id });
    const error = { code: 'cancelled', message: 'The job was cancelled.' } as const;
    worker.say({ type: 'failure', id, error });
    await expect(job).rejects.toMatchObject({ name: 'AbortError' });
    expect(worker.isTerminated).toBe(false);
  });

  it('sends nothing when the signal was aborted before', async () => {
    const { engine, worker } = setUp();
    const job = engine.generate(GENERATION_DEFAULTS, { signal: AbortSignal.abort() });
    await expect(job).rejects.toMatchObject({ name: 'AbortError' });
    expect(worker.received).toHaveLength(1);
  });

  it('ends a worker that does not answer, and the next call gets a new one', async () => {
    const { engine, worker, workers } = setUp();
    worker.say({ type: 'ready' });
    const abort = new AbortController();
    const job = engine.generate(GENERATION_DEFAULTS, { signal: abort.signal });
    const other = engine.loadCheckpoint('easel-tiny');
    const outcomes = Promise.allSettled([job, other]);
    abort.abort();
    await vi.advanceTimersByTimeAsync(29_000);
    expect(worker.isTerminated).toBe(false);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(worker.isTerminated).toBe(true);
    const [first, second] = await outcomes;
    expect(first).toMatchObject({ status: 'rejected', reason: { name: 'AbortError' } });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'cancelled' } });
    void engine.refreshModels().catch(() => {});
    expect(workers).toHaveLength(2);
  });

  it('does nothing after the reply', async () => {
    const { engine, worker } = setUp();
    const abort = new AbortController();
    const job = engine.generate(GENERATION_DEFAULTS, { signal: abort.signal });
    worker.say({ type: 'reply', id: worker.idOf('generate'), summary: fakeSummary() });
    await job;
    abort.abort();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(worker.received.some((message) => message.type === 'cancel')).toBe(false);
  });
});

describe('failure of the worker', () => {
  it.each([
    ['crash', (worker: FakeWorker) => worker.crash('out of memory')],
    ['unreadable message', (worker: FakeWorker) => worker.garble()],
  ])('%s: everything pending rejects and the next call starts afresh', async (_name, fail) => {
    const { engine, worker, workers } = setUp();
    worker.say({ type: 'ready' });
    const pending = [engine.generate(GENERATION_DEFAULTS), engine.loadCheckpoint('x')];
    const outcomes = Promise.allSettled(pending);
    fail(worker);
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'internal' } });
    }
    expect(worker.isTerminated).toBe(true);
    expect(workers).toHaveLength(1);
    const states: Array<string | null> = [];
    engine.onStatus((status) => states.push(status.state, status.message));
    expect(states[0]).toBe('blocked');
    expect(states[1]).toMatch(/engine/);

    const next = engine.generate(GENERATION_DEFAULTS);
    expect(workers).toHaveLength(2);
    expect(workers[1]!.received[0]).toEqual({ type: 'start', config: CONFIG });
    const id = workers[1]!.idOf('generate');
    // What the dead worker still had under way belongs to nobody.
    worker.say({ type: 'reply', id, summary: fakeSummary({ checkpoint: 'ghost' }) });
    workers[1]!.say({ type: 'reply', id, summary: fakeSummary({ checkpoint: 'alive' }) });
    expect((await next).checkpoint).toBe('alive');
  });

  it('comes back by itself where a bridge is served, ever more slowly while it keeps failing', async () => {
    const { workers } = setUp({ ...CONFIG, relay: RELAY });
    const starts = [1_000, 2_000, 4_000, 8_000];
    for (const [index, delay] of starts.entries()) {
      workers[index]!.crash();
      await vi.advanceTimersByTimeAsync(delay - 1);
      expect(workers).toHaveLength(index + 1);
      await vi.advanceTimersByTimeAsync(1);
      expect(workers).toHaveLength(index + 2);
    }
    workers.at(-1)!.say({ type: 'ready' });
    await vi.advanceTimersByTimeAsync(61_000);
    workers.at(-1)!.crash();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(workers).toHaveLength(6);
  });

  it('gives up a worker that never says ready', async () => {
    const { engine, worker } = setUp();
    const job = engine.generate(GENERATION_DEFAULTS);
    const outcome = expect(job).rejects.toMatchObject({ code: 'internal' });
    await vi.advanceTimersByTimeAsync(61_000);
    await outcome;
    expect(worker.isTerminated).toBe(true);
  });

  it('rejects, and does not throw, where no worker can be made', async () => {
    const engine = createEngineClient(CONFIG, {
      createWorker: () => {
        throw new Error('blocked by policy');
      },
    });
    await expect(engine.generate(GENERATION_DEFAULTS)).rejects.toMatchObject({ code: 'internal' });
  });
});

describe('close', () => {
  it('settles what is pending, ends the worker once, and takes no more calls', async () => {
    const { engine, worker, workers } = setUp({ ...CONFIG, relay: RELAY });
    const job = engine.generate(GENERATION_DEFAULTS);
    const outcome = expect(job).rejects.toMatchObject({ code: 'cancelled' });
    const closing = Promise.all([engine.close(), engine.close()]);
    await vi.advanceTimersByTimeAsync(1_000);
    await closing;
    await outcome;
    expect(worker.received.filter((message) => message.type === 'close')).toHaveLength(1);
    expect(worker.isTerminated).toBe(true);
    await expect(engine.refreshModels()).rejects.toMatchObject({ code: 'cancelled' });
    expect(workers).toHaveLength(1);
  });
});
