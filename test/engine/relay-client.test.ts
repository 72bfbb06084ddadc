import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Catalog } from '../../protocol/catalog.ts';
import type { EngineStatus } from '../../protocol/device.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary } from '../../protocol/job.ts';
import {
  type BridgeMessage,
  CLOSE_CODES,
  PROTOCOL_VERSION,
  parseTabMessage,
  type TabMessage,
} from '../../protocol/relay.ts';
import type { LocalEngine } from '../../web/engine/local-engine.ts';
import { connectRelay, type RelaySocket } from '../../web/engine/relay-client.ts';
import type {
  GeneratedImage,
  GenerateOptions,
  GenerationProgress,
  RelayStatus,
} from '../../web/shared/engine.ts';
import { createWatched } from '../../web/shared/watched.ts';

const SUMMARY: GenerationSummary = {
  interrupted: false,
  width: 64,
  height: 64,
  checkpoint: 'c',
  checkpointHash: null,
  clipSkip: 1,
  extraParams: {},
  notes: [],
  timings: {
    ...{ totalSeconds: 1, loadSeconds: 0, encodeSeconds: 0, sampleSeconds: 1, decodeSeconds: 0 },
    ...{ runSeconds: 1, readBacks: 0, uploads: 0, uploadedBytes: 0 },
  },
};

interface Generation {
  readonly params: GenerationParams;
  readonly options: GenerateOptions;
  readonly finish: (summary: GenerationSummary) => void;
  readonly fail: (error: Error) => void;
}

/** An engine whose jobs the test brings to their end. */
function fakeEngine() {
  const status = createWatched<EngineStatus>({
    state: 'idle',
    device: null,
    checkpoint: null,
    precision: null,
    activity: null,
    message: null,
  });
  const catalog = createWatched<Catalog>({ checkpoints: [] });
  const generations: Generation[] = [];
  const calls: string[] = [];
  const engine: LocalEngine = {
    onStatus: status.watch,
    onCatalog: catalog.watch,
    async loadCheckpoint(name) {
      calls.push(`load ${name}`);
      if (name === 'bad') throw new GenerationError('not-found', 'no such checkpoint');
    },
    async unloadCheckpoint() {
      calls.push('unload');
    },
    async refreshModels() {
      calls.push('refresh');
    },
    addFiles: async () => [],
    async forgetFiles() {},
    lockedFiles: async () => [],
    exportCompiled: () => Promise.reject(new Error('not asked for')),
    importCompiled: () => Promise.reject(new Error('not asked for')),
    listCompiled: async () => [],
    async deleteCompiled() {},
    async deleteAllCompiled() {},
    storageEstimate: async () => null,
    countTokens: async (prompts) => prompts.map(() => null),
    generate: (params, options = {}) =>
      new Promise((resolve, reject) => {
        options.signal?.addEventListener('abort', () => reject(options.signal?.reason));
        generations.push({ params, options, finish: resolve, fail: reject });
      }),
    skip: () => calls.push('skip'),
    interrupt: () => calls.push('interrupt'),
    async close() {},
    async activate() {
      calls.push('activate');
    },
    setWaiting: (message) => calls.push(message === null ? 'turn' : 'waiting'),
  };
  return { engine, status, catalog, generations, calls };
}

class FakeSocket implements RelaySocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly url: string;
  readonly sent: TabMessage[] = [];
  closedWith: number | null = null;

  constructor(url: string) {
    this.url = url;
  }

  send(text: string): void {
    this.sent.push(parseTabMessage(text));
  }

  close(code = 1000): void {
    this.closedWith ??= code;
    queueMicrotask(() => this.onclose?.({ code, reason: '' }));
  }

  say(message: BridgeMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  ofType<T extends TabMessage['type']>(type: T): Extract<TabMessage, { type: T }>[] {
    return this.sent.filter((m): m is Extract<TabMessage, { type: T }> => m.type === type);
  }
}

const START = {
  token: 'a-token-of-22-characters',
  relayPath: '/easel/v1/relay',
  device: 'auto',
  precision: 'auto',
  checkpoint: null,
  vae: null,
  allocator: 'caching',
  unloadIdleMinutes: null,
};

/** One browser profile: its tabs share a lock, which one of them may steal. */
function fakeLocks() {
  interface Claim {
    readonly task: (lock: Lock | null) => unknown;
    readonly settle: ReturnType<typeof withResolvers<unknown>>;
  }
  let holder: Claim | null = null;
  const queue: Claim[] = [];

  function grant(claim: Claim) {
    holder = claim;
    const release = () => {
      if (holder !== claim) return;
      holder = null;
      const next = queue.shift();
      if (next) grant(next);
    };
    Promise.resolve()
      .then(() => claim.task({} as Lock))
      .then(claim.settle.resolve, claim.settle.reject)
      .finally(release);
  }

  return {
    request(_: string, options: LockOptions, task: Claim['task']) {
      if (options.ifAvailable && holder) return Promise.resolve(task(null));
      const claim = { task, settle: withResolvers<unknown>() };
      if (options.steal) {
        holder?.settle.reject(new DOMException('stolen', 'AbortError'));
        grant(claim);
      } else if (holder) {
        queue.push(claim);
        options.signal?.addEventListener('abort', () => {
          const place = queue.indexOf(claim);
          if (place < 0) return;
          queue.splice(place, 1);
          claim.settle.reject(new DOMException('aborted', 'AbortError'));
        });
      } else {
        grant(claim);
      }
      return claim.settle.promise;
    },
  } as unknown as LockManager;
}

function withResolvers<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    [resolve, reject] = [yes, no];
  });
  return { promise, resolve, reject };
}

const clients: ReturnType<typeof connectRelay>[] = [];

const RELAY = {
  url: 'http://localhost:7860/easel/v1/relay',
  tokenUrl: 'http://localhost:7860/easel/v1/engine-token',
};

function connect({
  locks = fakeLocks(),
  reply = () => Response.json(START),
  relay = RELAY,
}: {
  locks?: LockManager;
  reply?: () => Response;
  relay?: typeof RELAY | null;
} = {}) {
  const fake = fakeEngine();
  const sockets: FakeSocket[] = [];
  const client = connectRelay({
    engine: fake.engine,
    appVersion: '0.1.0',
    relay,
    environment: {
      createSocket(url) {
        const socket = new FakeSocket(url);
        sockets.push(socket);
        return socket;
      },
      fetch: async () => reply(),
      locks,
      random: () => 0.5,
    },
  });
  clients.push(client);
  const states: RelayStatus['state'][] = [];
  client.onStatus(({ state }) => states.push(state));
  return { ...fake, client, sockets, states };
}

/** Up to the welcome on the socket of that number. */
async function attach(sockets: FakeSocket[], place = 0): Promise<FakeSocket> {
  await vi.waitFor(() => expect(sockets.length).toBeGreaterThan(place));
  const socket = sockets[place]!;
  socket.onopen?.();
  socket.say({ type: 'welcome', engineId: 'e1', bridgeVersion: '0.1.0' });
  return socket;
}

const JOB = {
  type: 'job',
  jobId: 'j1',
  attempt: 1,
  params: { ...GENERATION_DEFAULTS, prompt: 'a cat' },
} as const;
const PROGRESS: GenerationProgress = {
  stage: 'sampling',
  imageIndex: 0,
  imageCount: 1,
  step: 3,
  steps: 20,
  fraction: 0.1,
  etaSeconds: 2,
  message: 'Sampling step 3 of 20',
};
const IMAGE: GeneratedImage = {
  index: 0,
  format: 'png',
  bytes: Uint8Array.of(1, 2, 3),
  infotext: 'i',
  prompt: 'p',
  negativePrompt: '',
  seed: 1,
  subseed: 2,
  width: 64,
  height: 64,
};

beforeEach(() => vi.spyOn(console, 'error').mockImplementation(() => {}));
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  for (const client of clients.splice(0)) await client.close();
});

describe('attaching', () => {
  test('fetches a token, says hello with status and catalogue, and is welcomed', async () => {
    const { sockets, states, catalog } = connect();
    catalog.set({
      checkpoints: [{ name: 'c', source: 'embedded', filename: 'c', sha256: null, sizeBytes: 1 }],
    });
    const socket = await attach(sockets);
    expect(socket.url).toBe(`ws://localhost:7860/easel/v1/relay?token=${START.token}`);
    expect(socket.sent[0]).toMatchObject({
      type: 'hello',
      protocolVersion: PROTOCOL_VERSION,
      appVersion: '0.1.0',
      status: { state: 'idle' },
      catalog: { checkpoints: [{ name: 'c' }] },
      job: null,
    });
    expect(states).toEqual(['connecting', 'attached']);
  });

  test('passes changes of status and catalogue on', async () => {
    const { sockets, status, catalog } = connect();
    const socket = await attach(sockets);
    status.set({ ...status.value, checkpoint: 'c' });
    catalog.set({ checkpoints: [] });
    expect(socket.ofType('status').at(-1)?.status.checkpoint).toBe('c');
    expect(socket.ofType('catalog')).not.toEqual([]);
  });

  test('comes back under the same name after the connection was lost', async () => {
    const { sockets, states } = connect();
    const first = await attach(sockets);
    first.onclose?.({ code: 1006, reason: '' });
    const second = await attach(sockets, 1);
    expect(second.ofType('hello')[0]?.engineName).toBe(first.ofType('hello')[0]?.engineName);
    expect(states).toEqual(['connecting', 'attached', 'connecting', 'attached']);
  });

  test('does not come back when the bridge speaks another version', async () => {
    const { sockets, client } = connect();
    const socket = await attach(sockets);
    socket.onclose?.({ code: CLOSE_CODES.versionMismatch, reason: '' });
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(sockets).toHaveLength(1);
    client.onStatus((status) =>
      expect(status).toMatchObject({
        state: 'refused',
        message: expect.stringContaining('reload this page'),
      }),
    );
  });

  test('says why it is refused, and tries again', async () => {
    let isIn = false;
    const { sockets, client } = connect({
      reply: () => (isIn ? Response.json(START) : new Response(null, { status: 401 })),
    });
    const said: RelayStatus[] = [];
    client.onStatus((status) => said.push(status));
    await vi.waitFor(() => expect(said.at(-1)?.state).toBe('refused'));
    expect(said.at(-1)?.message).toContain('log in');
    isIn = true;
    await attach(sockets);
    expect(said.at(-1)?.state).toBe('attached');
  });

  test('ends a connection that says what it does not understand', async () => {
    const { sockets } = connect();
    const socket = await attach(sockets);
    socket.onmessage?.({ data: '{"type":"dance"}' });
    expect(socket.closedWith).toBe(CLOSE_CODES.badFrame);
  });

  test('is off without a bridge, and elected', async () => {
    const { engine } = fakeEngine();
    const client = connectRelay({ engine, relay: null, appVersion: '0.1.0' });
    await client.elected;
    client.onStatus(({ state }) => expect(state).toBe('off'));
    await client.close();
  });
});

describe('one tab of a profile', () => {
  test('R10 runs, another waits and takes over when it closes', async () => {
    const locks = fakeLocks();
    const first = connect({ locks });
    await attach(first.sockets);
    const second = connect({ locks });
    await vi.waitFor(() => expect(second.states.at(-1)).toBe('waiting'));
    expect(second.sockets).toEqual([]);
    expect(second.calls).toEqual(['waiting']);
    let isElected = false;
    void second.client.elected.then(() => {
      isElected = true;
    });
    await Promise.resolve();
    expect(isElected).toBe(false);
    await first.client.close();
    await attach(second.sockets);
    expect(isElected).toBe(true);
    expect(second.calls).toEqual(['waiting', 'turn']);
  });

  test('takes over when asked to; the other gives up its connection, memory and job, and waits', async () => {
    const locks = fakeLocks();
    const first = connect({ locks });
    const socket = await attach(first.sockets);
    socket.say(JOB);
    const second = connect({ locks });
    await vi.waitFor(() => expect(second.states.at(-1)).toBe('waiting'));
    second.client.takeOver();
    await attach(second.sockets);
    await vi.waitFor(() => expect(first.states.at(-1)).toBe('waiting'));
    expect(socket.closedWith).toBe(1000);
    expect(first.generations[0]?.options.signal?.aborted).toBe(true);
    await vi.waitFor(() => expect(first.calls).toEqual(['turn', 'waiting', 'unload']));
    // In the tab that has it there is nothing to take.
    second.client.takeOver();

    await second.client.close();
    const again = await attach(first.sockets, 1);
    expect(first.states.at(-1)).toBe('attached');
    expect(first.calls).toEqual(['turn', 'waiting', 'unload', 'turn', 'activate']);
    again.say({ ...JOB, jobId: 'j2' });
    expect(first.generations).toHaveLength(2);
  });

  test('works alike without a bridge', async () => {
    const locks = fakeLocks();
    const first = connect({ locks, relay: null });
    await vi.waitFor(() => expect(first.calls).toEqual(['turn']));
    expect(first.states).toEqual(['off']);
    const second = connect({ locks, relay: null });
    await vi.waitFor(() => expect(second.states).toEqual(['off', 'waiting']));
    second.client.takeOver();
    await vi.waitFor(() => expect(second.states.at(-1)).toBe('off'));
    await vi.waitFor(() => expect(first.states.at(-1)).toBe('waiting'));
    await second.client.close();
    await vi.waitFor(() => expect(first.states.at(-1)).toBe('off'));
  });
});

describe('jobs', () => {
  test('run on the engine and are told with job and attempt', async () => {
    const { sockets, generations } = connect();
    const socket = await attach(sockets);
    socket.say(JOB);
    expect(generations[0]?.params.prompt).toBe('a cat');
    const { options, finish } = generations[0]!;
    options.onProgress?.(PROGRESS);
    options.onPreview?.(Uint8Array.of(255));
    options.onImage?.(IMAGE);
    finish(SUMMARY);
    await vi.waitFor(() => expect(socket.ofType('job-finished')).toHaveLength(1));
    const lease = { jobId: 'j1', attempt: 1 };
    expect(socket.ofType('job-progress')[0]).toEqual({
      type: 'job-progress',
      ...lease,
      ...PROGRESS,
    });
    expect(socket.ofType('job-preview')[0]).toMatchObject({ ...lease, data: '/w==' });
    expect(socket.ofType('job-image')[0]).toMatchObject({ ...lease, index: 0, data: 'AQID' });
    expect(socket.ofType('job-finished')[0]).toMatchObject({ ...lease, summary: SUMMARY });
  });

  test('that fail are told with code and message', async () => {
    const { sockets, generations } = connect();
    const socket = await attach(sockets);
    socket.say(JOB);
    generations[0]?.fail(new GenerationError('out-of-memory', 'too large'));
    await vi.waitFor(() => expect(socket.ofType('job-failed')).toHaveLength(1));
    expect(socket.ofType('job-failed')[0]?.error).toEqual({
      code: 'out-of-memory',
      message: 'too large',
    });
  });

  test('are in the heartbeat with their step, until they end', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { sockets, generations } = connect();
    const socket = await attach(sockets);
    vi.advanceTimersByTime(2_000);
    expect(socket.ofType('heartbeat').at(-1)?.job).toBeNull();
    socket.say(JOB);
    generations[0]?.options.onProgress?.(PROGRESS);
    vi.advanceTimersByTime(2_000);
    expect(socket.ofType('heartbeat').at(-1)?.job).toEqual({ jobId: 'j1', attempt: 1, step: 3 });
    generations[0]?.finish(SUMMARY);
    await vi.waitFor(() => expect(socket.ofType('job-finished')).toHaveLength(1));
    vi.advanceTimersByTime(2_000);
    expect(socket.ofType('heartbeat').at(-1)?.job).toBeNull();
  });

  test('R6 a result that was not acknowledged is offered again, progress is not', async () => {
    const { sockets, generations } = connect();
    const first = await attach(sockets);
    first.say(JOB);
    const { options, finish } = generations[0]!;
    options.onImage?.(IMAGE);
    first.onclose?.({ code: 1006, reason: '' });
    await vi.waitFor(() => expect(sockets).toHaveLength(2));
    options.onProgress?.(PROGRESS);
    finish(SUMMARY);
    await Promise.resolve();
    const second = await attach(sockets, 1);
    expect(second.ofType('hello')[0]?.job).toEqual({ jobId: 'j1', attempt: 1 });
    expect(second.sent.map(({ type }) => type)).toEqual(['hello', 'job-image', 'job-finished']);
    second.say({ type: 'ack', jobId: 'j1', attempt: 1 });
    second.onclose?.({ code: CLOSE_CODES.stopping, reason: '' });
    const third = await attach(sockets, 2);
    expect(third.ofType('hello')[0]?.job).toBeNull();
    expect(third.ofType('job-finished')).toEqual([]);
  });

  test('an acknowledgement of another attempt changes nothing', async () => {
    const { sockets, generations } = connect();
    const socket = await attach(sockets);
    socket.say({ ...JOB, attempt: 2 });
    generations[0]?.finish(SUMMARY);
    await vi.waitFor(() => expect(socket.ofType('job-finished')).toHaveLength(1));
    socket.say({ type: 'ack', jobId: 'j1', attempt: 1 });
    socket.onclose?.({ code: 1006, reason: '' });
    const second = await attach(sockets, 1);
    expect(second.ofType('hello')[0]?.job).toEqual({ jobId: 'j1', attempt: 2 });
  });

  test('given twice are run once', async () => {
    const { sockets, generations } = connect();
    const socket = await attach(sockets);
    socket.say(JOB);
    socket.say(JOB);
    expect(generations).toHaveLength(1);
  });

  test('can be interrupted and skipped while they run, by their own name only', async () => {
    const { sockets, generations, calls } = connect();
    const socket = await attach(sockets);
    socket.say(JOB);
    generations[0]?.options.onProgress?.(PROGRESS);
    socket.say({ type: 'cancel', jobId: 'other', mode: 'interrupt' });
    socket.say({ type: 'cancel', jobId: 'j1', mode: 'skip' });
    socket.say({ type: 'cancel', jobId: 'j1', mode: 'interrupt' });
    expect(calls).toEqual(['turn', 'skip', 'interrupt']);
  });

  test('that still wait in the engine are dropped when interrupted', async () => {
    const { sockets, calls } = connect();
    const socket = await attach(sockets);
    socket.say(JOB);
    socket.say({ type: 'cancel', jobId: 'j1', mode: 'interrupt' });
    await vi.waitFor(() => expect(socket.ofType('job-failed')).toHaveLength(1));
    expect(socket.ofType('job-failed')[0]?.error.code).toBe('cancelled');
    expect(calls).toEqual(['turn']);
  });

  test('the bridge no longer wants are stopped and not told', async () => {
    const { sockets, generations } = connect();
    const socket = await attach(sockets);
    socket.say(JOB);
    generations[0]?.options.onProgress?.(PROGRESS);
    socket.say({ type: 'ack', jobId: 'j1', attempt: 1 });
    expect(generations[0]?.options.signal?.aborted).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(socket.ofType('job-failed')).toEqual([]);
  });
});

test('commands are carried out and answered', async () => {
  const { sockets, calls } = connect();
  const socket = await attach(sockets);
  socket.say({ type: 'control', id: 1, command: { name: 'load-checkpoint', checkpoint: 'c' } });
  socket.say({ type: 'control', id: 2, command: { name: 'unload-checkpoint' } });
  socket.say({ type: 'control', id: 3, command: { name: 'refresh-models' } });
  socket.say({ type: 'control', id: 4, command: { name: 'load-checkpoint', checkpoint: 'bad' } });
  await vi.waitFor(() => expect(socket.ofType('control-done')).toHaveLength(4));
  expect(calls).toEqual(['turn', 'load c', 'unload', 'refresh', 'load bad']);
  expect(socket.ofType('control-done').map(({ id, error }) => [id, error?.code ?? null])).toEqual([
    [1, null],
    [2, null],
    [3, null],
    [4, 'not-found'],
  ]);
});
