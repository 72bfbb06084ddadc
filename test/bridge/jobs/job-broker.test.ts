import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { JobResult } from '../../../bridge/services.ts';
import { CLOSE_CODES } from '../../../protocol/relay.ts';
import {
  failedFrame,
  fakeStatus,
  finishedFrame,
  imageFrame,
  progressFrame,
} from '../../fakes/tab-frames.ts';
import type { FakeSocket } from '../relay/fake-socket.ts';
import { temporaryFolder } from '../support.ts';
import { type Harness, openHarness, request, until } from './harness.ts';

let folder: ReturnType<typeof temporaryFolder>;
let harness: Harness;

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'],
  });
  folder = temporaryFolder();
});

afterEach(async () => {
  vi.useRealTimers();
  await harness?.close();
  folder.remove();
});

/** Answers a tab's newest job with one picture a wanted one. */
function answer(socket: FakeSocket, changes: Parameters<typeof finishedFrame>[1] = {}): void {
  const { params, jobId, attempt } = socket.job;
  for (let index = 0; index < params.batchSize * params.batchCount; index += 1) {
    socket.say(imageFrame({ jobId, attempt }, { index, seed: params.seed + index }));
  }
  socket.say(finishedFrame({ jobId, attempt }, changes));
}

function settled<T>(promise: Promise<T>) {
  const outcome: { value?: T; error?: Error & { code?: string }; isSettled: boolean } = {
    isSettled: false,
  };
  promise.then(
    (value) => Object.assign(outcome, { value, isSettled: true }),
    (error) => Object.assign(outcome, { error, isSettled: true }),
  );
  return outcome;
}

describe('a job', () => {
  it('goes to the attached tab and comes back with its pictures, saved once and acknowledged', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    let accepted = '';
    const result = harness.broker.submit(request({ batchSize: 2, seed: 5 }, { key: 'k1' }), {
      onAccepted: (jobId) => {
        accepted = jobId;
      },
    });
    await until(() => socket.hasJob);
    expect(socket.job).toMatchObject({
      jobId: accepted,
      attempt: 1,
      params: { batchSize: 2, seed: 5 },
    });
    socket.say(progressFrame(socket.job, { step: 2 }));
    expect(harness.broker.view()).toMatchObject({ waiting: 0, running: 1, limit: 64 });
    expect(harness.broker.view().current).toMatchObject({
      jobId: accepted,
      state: 'running',
      progress: { step: 2 },
    });
    answer(socket);
    const { images, savedAs, summary } = await result;
    expect(images.map(({ seed }) => seed)).toEqual([5, 6]);
    expect(savedAs).toEqual(['/out/0.png', '/out/1.png']);
    expect(summary.checkpoint).toBe('easel-tiny');
    await until(() => socket.sentOf('ack').length > 0, 'the acknowledgement');
    expect(socket.sentOf('ack')).toEqual([{ type: 'ack', jobId: accepted, attempt: 1 }]);
    expect(harness.broker.find({ key: 'k1' })).toMatchObject({
      jobId: accepted,
      state: 'finished',
    });
    expect(harness.broker.find({ last: true })?.jobId).toBe(accepted);
    expect((await harness.broker.result(accepted))?.images).toEqual(images);
    expect(harness.broker.view()).toMatchObject({ waiting: 0, running: 0, current: null });
  });

  it('R5 is told of to nobody before the journal has it', async () => {
    harness = await openHarness(folder.path);
    let isAccepted = false;
    const result = harness.broker.submit(request({}, { key: 'early' }), {
      onAccepted: () => {
        isAccepted = true;
      },
    });
    expect(harness.broker.view().waiting).toBe(1);
    expect(harness.broker.list()).toEqual([]);
    expect(harness.broker.find({ key: 'early' })).toBeNull();
    await until(() => isAccepted);
    expect(harness.broker.list()).toHaveLength(1);
    expect(harness.broker.find({ key: 'early' })).toMatchObject({ state: 'waiting' });
    const socket = harness.tab();
    await until(() => socket.hasJob);
    answer(socket);
    await result;
  });

  it('keeps the order of acceptance, one job a tab, many tabs at once', async () => {
    harness = await openHarness(folder.path);
    const results = ['a', 'b', 'c'].map((prompt) => harness.broker.submit(request({ prompt })));
    await until(() => harness.broker.view().waiting === 3);
    const one = harness.tab('one');
    const two = harness.tab('two');
    await until(() => one.hasJob && two.hasJob);
    expect([one.job.params.prompt, two.job.params.prompt]).toEqual(['a', 'b']);
    answer(two);
    await until(() => two.sentOf('job').length === 2);
    expect(two.job.params.prompt).toBe('c');
    answer(one);
    answer(two);
    await Promise.all(results);
    expect(one.sentOf('job')).toHaveLength(1);
  });

  it('is not saved where the request says so', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    const result = harness.broker.submit(request({}, { saveImages: false }));
    await until(() => socket.hasJob);
    answer(socket);
    expect((await result).savedAs).toEqual([null]);
    expect(harness.outputs.saved).toEqual([]);
  });

  it('R18 reaches its client though the disk is full', async () => {
    harness = await openHarness(folder.path);
    harness.outputs.fail = true;
    const socket = harness.tab();
    const result = harness.broker.submit(request());
    await until(() => socket.hasJob);
    answer(socket);
    const { images, savedAs } = await result;
    expect([images.length, savedAs]).toEqual([1, [null]]);
    expect(harness.lines.join()).toContain('ENOSPC');
  });

  it("passes the engine's own error on", async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    const result = harness.broker.submit(request());
    await until(() => socket.hasJob);
    socket.say(failedFrame(socket.job, { code: 'out-of-memory', message: 'too large' }));
    await expect(result).rejects.toMatchObject({ code: 'out-of-memory', message: 'too large' });
    await until(() => socket.sentOf('ack').length === 1);
  });
});

describe('a lost tab', () => {
  it('R2 gives its job to another tab at once, and the client notices nothing', async () => {
    harness = await openHarness(folder.path);
    const first = harness.tab('one');
    const result = harness.broker.submit(request());
    await until(() => first.hasJob);
    first.say(imageFrame(first.job));
    const second = harness.tab('two');
    first.connection.closed(1006);
    await until(() => second.hasJob);
    expect(second.job).toMatchObject({ jobId: first.job.jobId, attempt: 2 });
    answer(second);
    expect((await result).images).toHaveLength(1);
    expect(harness.outputs.saved).toHaveLength(1);
  });

  it('R2 gives the job of a frozen tab on within twelve seconds', async () => {
    harness = await openHarness(folder.path);
    const frozen = harness.tab('one');
    const result = harness.broker.submit(request());
    await until(() => frozen.hasJob);
    const start = Date.now();
    const second = harness.tab('two', { status: fakeStatus({ state: 'busy' }) });
    while (Date.now() - start < 12_000) {
      second.heartbeat();
      await vi.advanceTimersByTimeAsync(500);
    }
    second.say({ type: 'status', status: fakeStatus() });
    await until(() => second.hasJob);
    answer(second);
    await result;
  });

  it('R4 is tried three times in all; then the job fails with the cause', async () => {
    harness = await openHarness(folder.path);
    const outcome = settled(harness.broker.submit(request()));
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const socket = harness.tab(`tab-${attempt}`);
      await until(() => socket.hasJob);
      expect(socket.job.attempt).toBe(attempt);
      socket.connection.closed(1006);
    }
    await until(() => outcome.isSettled);
    expect(outcome.error).toMatchObject({ code: 'internal' });
    expect(outcome.error?.message).toMatch(/lost 3 times.*connection ended \(1006\)/);
    const next = harness.tab('tab-4');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(next.hasJob).toBe(false);
  });

  it('R4 ignores what an old attempt says while a new one runs, but takes its result if it comes first', async () => {
    harness = await openHarness(folder.path);
    const first = harness.tab('one');
    const result = harness.broker.submit(request({ seed: 9 }));
    await until(() => first.hasJob);
    const old = first.job;
    await vi.advanceTimersByTimeAsync(10_500);
    const second = harness.tab('two');
    await until(() => second.hasJob);
    second.say(progressFrame(second.job, { step: 3 }));
    first.say(progressFrame(old, { step: 1 }));
    expect(harness.broker.view().current?.progress?.step).toBe(3);
    first.say(failedFrame(old, { code: 'internal', message: 'woke up confused' }));
    await vi.advanceTimersByTimeAsync(100);
    expect(harness.broker.view().running).toBe(1);
    first.say(imageFrame(old, { seed: 9 }));
    first.say(finishedFrame(old));
    expect((await result).images).toHaveLength(1);
    expect(second.sentOf('cancel')).toEqual([
      { type: 'cancel', jobId: old.jobId, mode: 'interrupt' },
    ]);
    answer(second);
    await until(() => second.sentOf('ack').length === 1);
    expect(harness.outputs.saved).toHaveLength(1);
    expect(await harness.broker.result(old.jobId)).toMatchObject({ images: [{ attempt: 1 }] });
  });

  it('R4 never counts a result twice', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    const result = harness.broker.submit(request());
    await until(() => socket.hasJob);
    answer(socket);
    answer(socket, { interrupted: true });
    expect((await result).summary.interrupted).toBe(false);
    answer(socket);
    await until(() => socket.sentOf('ack').length === 3);
    expect(harness.outputs.saved).toHaveLength(1);
  });

  it('R6 goes on with its job when it comes back before anybody took it', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab('one');
    const result = harness.broker.submit(request({ batchSize: 2 }));
    await until(() => socket.hasJob);
    const { job } = socket;
    socket.say(imageFrame(job, { index: 0 }));
    socket.connection.closed(1006);
    const back = harness.tab('one', { job, status: fakeStatus({ state: 'busy' }) });
    await until(() => harness.broker.view().running === 1);
    back.say(imageFrame(job, { index: 1 }));
    back.say(finishedFrame(job));
    expect((await result).images).toHaveLength(2);
    expect(back.hasJob).toBe(false);
  });

  it('R9 tries a job again whose device was lost', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    const result = harness.broker.submit(request());
    await until(() => socket.hasJob);
    socket.say(failedFrame(socket.job, { code: 'device-lost', message: 'the GPU process ended' }));
    await until(() => socket.sentOf('job').length === 2);
    expect(socket.job.attempt).toBe(2);
    answer(socket);
    await result;
  });
});

describe('a stuck job', () => {
  /** Heartbeats that name the job and never a step further. */
  async function standStill(socket: FakeSocket, ms: number): Promise<void> {
    const { jobId, attempt } = socket.job;
    for (let step = 1; step <= 3; step += 1) {
      await vi.advanceTimersByTimeAsync(500);
      socket.say(progressFrame({ jobId, attempt }, { step }));
    }
    for (let past = 0; past < ms && !socket.closedWith; past += 2_000) {
      await vi.advanceTimersByTimeAsync(2_000);
      if (!socket.closedWith) socket.heartbeat({ jobId, attempt, step: 3 });
    }
  }

  it('R3 is taken from an engine that lives and makes no step, which is told to start anew, and tried once more', async () => {
    harness = await openHarness(folder.path);
    const outcome = settled(harness.broker.submit(request({ steps: 20 })));
    const first = harness.tab('one');
    await until(() => first.hasJob);
    await standStill(first, 58_000);
    expect(first.closedWith).toBeNull();
    await standStill(first, 66_000);
    expect(first.closedWith?.code).toBe(CLOSE_CODES.stuck);
    const second = harness.tab('two');
    await until(() => second.hasJob);
    expect(second.job.attempt).toBe(2);
    await standStill(second, 66_000);
    await until(() => outcome.isSettled);
    expect(outcome.error).toMatchObject({ code: 'internal' });
    expect(outcome.error?.message).toMatch(/stood still on two attempts.*no step for 6\d s/);
  });
});

describe('no tab', () => {
  it('R14 waits as long as said and then names what to open', async () => {
    harness = await openHarness(folder.path, { engineWaitMs: 30_000 });
    const outcome = settled(harness.broker.submit(request()));
    await until(() => harness.broker.view().waiting === 1);
    await vi.advanceTimersByTimeAsync(29_000);
    expect(outcome.isSettled).toBe(false);
    await vi.advanceTimersByTimeAsync(1_500);
    await until(() => outcome.isSettled);
    expect(outcome.error).toMatchObject({ code: 'no-tab' });
    expect(outcome.error?.message).toContain('Open http://localhost:7860');
    expect(harness.broker.view().waiting).toBe(0);
  });

  it('R14 is served by a tab that comes while it waits', async () => {
    harness = await openHarness(folder.path);
    const result = harness.broker.submit(request());
    await vi.advanceTimersByTimeAsync(20_000);
    const socket = harness.tab();
    await until(() => socket.hasJob);
    await vi.advanceTimersByTimeAsync(4_000);
    answer(socket);
    await result;
  });

  it('R14 counts the wait from the moment the last tab left', async () => {
    harness = await openHarness(folder.path, { engineWaitMs: 5_000 });
    const socket = harness.tab('one', { status: fakeStatus({ state: 'busy' }) });
    const outcome = settled(harness.broker.submit(request()));
    const timer = setInterval(() => socket.heartbeat(), 2_000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(outcome.isSettled).toBe(false);
    clearInterval(timer);
    socket.connection.closed(1001);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(outcome.isSettled).toBe(false);
    await vi.advanceTimersByTimeAsync(1_500);
    await until(() => outcome.isSettled);
    expect(outcome.error?.code).toBe('no-tab');
  });

  it('R14 answers at once where the wait is 0', async () => {
    harness = await openHarness(folder.path, { engineWaitMs: 0 });
    await expect(harness.broker.submit(request())).rejects.toMatchObject({ code: 'no-tab' });
  });

  it('R9 says at once that the GPU is blocked', async () => {
    harness = await openHarness(folder.path);
    harness.tab('one', { status: fakeStatus({ state: 'blocked' }) });
    await expect(harness.broker.submit(request())).rejects.toMatchObject({
      code: 'webgpu-unavailable',
    });
  });
});

describe('limits and cancelling', () => {
  it('R13 refuses what is beyond the limit, at once', async () => {
    harness = await openHarness(folder.path, { limit: 3 });
    const outcomes = Array.from({ length: 3 }, () => settled(harness.broker.submit(request())));
    await until(() => harness.broker.view().waiting === 3);
    await expect(harness.broker.submit(request())).rejects.toMatchObject({ code: 'busy' });
    const socket = harness.tab();
    await until(() => socket.hasJob);
    answer(socket);
    await until(() => outcomes[0]!.isSettled);
    outcomes.push(settled(harness.broker.submit(request())));
    await until(() => harness.broker.view().waiting === 2);
  });

  it('R13 keeps three quarters of the queue from any one client, and says so', async () => {
    harness = await openHarness(folder.path, { limit: 64 });
    const own = Array.from({ length: 16 }, () => settled(harness.broker.submit(request())));
    await until(() => harness.broker.view().waiting === 16);
    await expect(harness.broker.submit(request())).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringMatching(/You have 16 jobs.*--queue-size/),
    });
    const other = settled(harness.broker.submit(request({}, { client: 'another' })));
    await until(() => harness.broker.view().waiting === 17);
    expect([...own, other].some(({ isSettled }) => isSettled)).toBe(false);
  });

  it('R13 serves clients in turn, whatever pile one of them has', async () => {
    harness = await openHarness(folder.path);
    const seeds = (first: number, count: number, client: string) => {
      for (let seed = first; seed < first + count; seed += 1)
        settled(harness.broker.submit(request({ seed }, { client })));
    };
    seeds(100, 5, 'greedy');
    seeds(200, 2, 'modest');
    seeds(300, 1, 'late');
    await until(() => harness.broker.view().waiting === 8);
    const socket = harness.tab();
    const order: number[] = [];
    for (let count = 1; count <= 8; count += 1) {
      await until(() => socket.sentOf('job').length === count);
      order.push(socket.job.params.seed);
      answer(socket);
    }
    expect(order).toEqual([100, 200, 300, 101, 201, 102, 103, 104]);
  });

  it('R12 drops the waiting job of a client that hung up', async () => {
    harness = await openHarness(folder.path);
    const hangUp = new AbortController();
    const outcome = settled(harness.broker.submit(request(), { signal: hangUp.signal }));
    await until(() => harness.broker.view().waiting === 1);
    hangUp.abort();
    await until(() => outcome.isSettled);
    expect(outcome.error?.code).toBe('cancelled');
    expect(harness.broker.view().waiting).toBe(0);
    await expect(harness.broker.submit(request(), { signal: hangUp.signal })).rejects.toMatchObject(
      { code: 'cancelled' },
    );
  });

  it('finishes the running job of a client that hung up where the job has a key', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    const hangUp = new AbortController();
    const outcome = settled(
      harness.broker.submit(request({}, { key: 'mine' }), { signal: hangUp.signal }),
    );
    await until(() => socket.hasJob);
    hangUp.abort();
    expect(socket.sentOf('cancel')).toEqual([]);
    answer(socket);
    await until(() => outcome.isSettled);
    expect(outcome.error).toBeUndefined();
  });

  it('R12 interrupts the running job of a client that hung up, unless orphans are to be finished', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    const hangUp = new AbortController();
    const outcome = settled(harness.broker.submit(request(), { signal: hangUp.signal }));
    await until(() => socket.hasJob);
    hangUp.abort();
    expect(socket.sentOf('cancel')).toEqual([
      { type: 'cancel', jobId: socket.job.jobId, mode: 'interrupt' },
    ]);
    answer(socket, { interrupted: true });
    await until(() => outcome.isSettled);
    await harness.close();

    harness = await openHarness(folder.path, { finishOrphans: true });
    const patient = harness.tab();
    const second = new AbortController();
    const kept = settled(harness.broker.submit(request(), { signal: second.signal }));
    await until(() => patient.hasJob);
    second.abort();
    expect(patient.sentOf('cancel')).toEqual([]);
    answer(patient);
    await until(() => kept.isSettled);
    expect(kept.value?.images).toHaveLength(1);
  });

  it('R11 interrupts what runs, answers with what exists, and is a no-op when idle', async () => {
    harness = await openHarness(folder.path);
    harness.broker.interrupt();
    harness.broker.skip();
    const socket = harness.tab();
    const result = harness.broker.submit(request({ batchSize: 4 }));
    const waiting = settled(harness.broker.submit(request()));
    await until(() => socket.hasJob && harness.broker.view().waiting === 1);
    socket.say(imageFrame(socket.job));
    harness.broker.skip();
    harness.broker.interrupt();
    harness.broker.interrupt();
    expect(socket.sentOf('cancel').map(({ mode }) => mode)).toEqual([
      'skip',
      'interrupt',
      'interrupt',
    ]);
    expect(harness.broker.view().current).toMatchObject({ isInterrupted: true, isSkipped: true });
    socket.say(finishedFrame(socket.job, { interrupted: true }));
    const { images, summary } = (await result) as JobResult;
    expect([images.length, summary.interrupted]).toEqual([1, true]);
    expect(waiting.isSettled).toBe(false);
  });

  it('R11 drops a waiting job only when it is named', async () => {
    harness = await openHarness(folder.path);
    let jobId = '';
    const outcome = settled(
      harness.broker.submit(request(), {
        onAccepted: (id) => {
          jobId = id;
        },
      }),
    );
    await until(() => jobId !== '');
    harness.broker.interrupt();
    await vi.advanceTimersByTimeAsync(100);
    expect(outcome.isSettled).toBe(false);
    harness.broker.interrupt(jobId);
    await until(() => outcome.isSettled);
    expect(outcome.error?.code).toBe('cancelled');
  });

  it('R11 does not hit the next job with the interrupt of a client that hung up before', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    const hangUp = new AbortController();
    const first = settled(harness.broker.submit(request(), { signal: hangUp.signal }));
    await until(() => socket.hasJob);
    const next = settled(harness.broker.submit(request({}, { client: 'another' })));
    await until(() => harness.broker.view().waiting === 1);
    hangUp.abort();
    answer(socket, { interrupted: true });
    await until(() => first.isSettled && socket.sentOf('job').length === 2);
    const { jobId } = socket.job;
    harness.broker.interrupt();
    expect(socket.sentOf('cancel').filter((cancel) => cancel.jobId === jobId)).toEqual([]);
    harness.broker.interrupt();
    expect(socket.sentOf('cancel').filter((cancel) => cancel.jobId === jobId)).toHaveLength(1);
    expect(next.isSettled).toBe(false);
  });

  it('ends an interrupted job whose tab goes away', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    const outcome = settled(harness.broker.submit(request()));
    await until(() => socket.hasJob);
    harness.broker.interrupt();
    socket.connection.closed(1001);
    await until(() => outcome.isSettled);
    expect(outcome.error?.code).toBe('cancelled');
  });
});

describe('stopping and starting again', () => {
  it('R19 refuses new and waiting jobs at once and lets the running one finish', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    const running = settled(harness.broker.submit(request()));
    await until(() => socket.hasJob);
    const waiting = settled(harness.broker.submit(request()));
    await until(() => harness.broker.view().waiting === 1);
    const stopped = settled(harness.broker.stop({ graceMs: 7_000 }));
    await expect(harness.broker.submit(request())).rejects.toMatchObject({ code: 'busy' });
    await until(() => waiting.isSettled);
    expect(waiting.error?.code).toBe('busy');
    answer(socket);
    await until(() => running.isSettled);
    expect(running.value?.images).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    await until(() => stopped.isSettled);
    expect(socket.sentOf('job')).toHaveLength(1);
  });

  it('R19 keeps a job that does not finish in time, and does it after the next start', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    const outcome = settled(harness.broker.submit(request({ seed: 4 }, { key: 'mine' })));
    await until(() => socket.hasJob);
    const { jobId } = socket.job;
    const stopped = settled(harness.broker.stop({ graceMs: 7_000 }));
    await vi.advanceTimersByTimeAsync(7_200);
    await until(() => stopped.isSettled && outcome.isSettled);
    expect(outcome.error?.message).toContain(`/easel/v1/jobs/${jobId}`);
    await harness.crash();

    harness = await openHarness(folder.path);
    const next = harness.tab();
    await until(() => next.hasJob);
    expect(next.job).toMatchObject({ jobId, attempt: 2, params: { seed: 4 } });
    answer(next);
    await until(() => harness.broker.find({ key: 'mine' })?.state === 'finished');
    expect((await harness.broker.result(jobId))?.images).toHaveLength(1);
  });

  it('R6 takes over jobs of a killed bridge, in order, and lets the tab go on with the one it has', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab('one');
    for (const prompt of ['a', 'b', 'c'])
      settled(harness.broker.submit(request({ prompt }, { key: prompt })));
    await until(() => socket.hasJob && harness.broker.view().waiting === 2);
    const { job } = socket;
    socket.say(imageFrame(job));
    await harness.crash();

    harness = await openHarness(folder.path);
    expect(harness.broker.list().map(({ key, state }) => [key, state])).toEqual([
      ['a', 'waiting'],
      ['b', 'waiting'],
      ['c', 'waiting'],
    ]);
    const back = harness.tab('one', { job, status: fakeStatus({ state: 'busy' }) });
    await until(() => harness.broker.view().running === 1);
    back.say(imageFrame(job));
    back.say(finishedFrame(job));
    await until(() => back.sentOf('ack').length === 1 && back.hasJob);
    expect(harness.broker.find({ key: 'a' })?.state).toBe('finished');
    expect(back.job).toMatchObject({ params: { prompt: 'b' }, attempt: 1 });
  });

  it('R6 redoes a job whose pictures were sent to the bridge that was killed', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab('one');
    settled(harness.broker.submit(request({ batchSize: 2 })));
    await until(() => socket.hasJob);
    const { job } = socket;
    socket.say(imageFrame(job, { index: 0 }));
    await harness.crash();

    harness = await openHarness(folder.path);
    const back = harness.tab('one', { job, status: fakeStatus({ state: 'busy' }) });
    await until(() => harness.broker.view().running === 1);
    back.say(imageFrame(job, { index: 1 }));
    back.say(finishedFrame(job));
    await until(() => back.hasJob);
    expect(back.job).toMatchObject({ jobId: job.jobId, attempt: 2 });
    answer(back);
    await until(() => harness.broker.find({ jobId: job.jobId })?.state === 'finished');
    expect((await harness.broker.result(job.jobId))?.images).toHaveLength(2);
  });

  it('R5 completes a job whose result is on disk without doing or saving it twice', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab();
    let never: () => void = () => {};
    harness.outputs.save = () =>
      new Promise(() => {
        never = () => {};
      });
    settled(harness.broker.submit(request({}, { key: 'k' })));
    await until(() => socket.hasJob);
    const { jobId } = socket.job;
    answer(socket);
    await until(() => harness.store.get(jobId) !== null && never !== undefined);
    // The result is there; the process ends while it saves the picture.
    await vi.waitUntil(async () => (await harness.store.result(jobId)) !== null);
    await harness.crash();

    harness = await openHarness(folder.path);
    expect(harness.broker.find({ key: 'k' })).toMatchObject({ jobId, state: 'finished' });
    expect(harness.outputs.saved).toMatchObject([{ isRedo: true }]);
    const next = harness.tab();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(next.hasJob).toBe(false);
  });

  it('R6 takes the result that a tab kept while the bridge was down, and tells of jobs long done', async () => {
    harness = await openHarness(folder.path);
    const socket = harness.tab('one');
    settled(harness.broker.submit(request({}, { key: 'k' })));
    await until(() => socket.hasJob);
    const { job } = socket;
    await harness.crash();

    harness = await openHarness(folder.path);
    const back = harness.tab('one', { job });
    back.say(imageFrame(job));
    back.say(finishedFrame(job));
    await until(() => back.sentOf('ack').length === 1);
    expect(harness.broker.find({ key: 'k' })?.state).toBe('finished');
    back.connection.closed(1001);
    const again = harness.tab('one', { job });
    expect(again.sentOf('ack')).toEqual([{ type: 'ack', jobId: job.jobId, attempt: 1 }]);
    const unknown = harness.tab('two', { job: { jobId: 'never-heard-of', attempt: 3 } });
    expect(unknown.sentOf('ack')).toHaveLength(1);
    expect(unknown.sentOf('cancel')).toHaveLength(1);
  });
});
