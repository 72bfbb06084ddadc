import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Lease } from '../../../bridge/jobs/job-store.ts';
import type { Tab } from '../../../bridge/relay/tab.ts';
import { MAX_BUFFERED_BYTES } from '../../../bridge/relay/tab.ts';
import { TabRelay } from '../../../bridge/relay/tab-relay.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import {
  CLOSE_CODES,
  HELLO_TIMEOUT_MS,
  LEASE_MS,
  PROTOCOL_VERSION,
} from '../../../protocol/relay.ts';
import {
  FAKE_CATALOG,
  FAKE_DEVICE,
  fakeStatus,
  finishedFrame,
  imageFrame,
  progressFrame,
} from '../../fakes/tab-frames.ts';
import { logLines } from '../support.ts';
import { FakeSocket } from './fake-socket.ts';

const LEASE = { jobId: 'job-1', attempt: 1 };

describe('the relay', () => {
  let relay: TabRelay;
  let ready: number;
  let lost: { lease: Lease; why: string; at: number }[];
  let events: string[];
  let claims: { tab: Tab; lease: Lease }[];

  beforeEach(() => {
    vi.useFakeTimers();
    relay = new TabRelay({ log: logLines().log });
    ready = 0;
    lost = [];
    events = [];
    claims = [];
    relay.listen({
      onReady: () => {
        ready += 1;
      },
      onJobEvent: (_tab, event) => events.push(`${event.type} ${event.jobId} ${event.attempt}`),
      onClaim: (tab, lease) => claims.push({ tab, lease }),
      onLost: (lease, cause) => void lost.push({ lease, why: cause.message, at: Date.now() }),
    });
  });

  afterEach(() => {
    relay.close();
    vi.useRealTimers();
  });

  /** A tab that keeps its heartbeat going, as a living worker does. */
  function beating(changes: Parameters<FakeSocket['hello']>[0] = {}, job: Lease | null = null) {
    const socket = new FakeSocket(relay).hello(changes);
    const timer = setInterval(() => socket.heartbeat(job), 2_000);
    return { socket, stop: () => clearInterval(timer) };
  }

  const tabOf = (index = 0) => relay.takers()[index]!;

  it('welcomes a tab after its hello, and lists it', () => {
    const socket = new FakeSocket(relay);
    expect(relay.list()).toEqual([]);
    socket.hello();
    expect(socket.sent).toEqual([{ type: 'welcome', engineId: 'e1', bridgeVersion: '0.1.0' }]);
    expect(relay.list()).toEqual([
      { id: 'e1', status: fakeStatus(), catalog: FAKE_CATALOG, hasJob: false, isSilent: false },
    ]);
    expect(ready).toBe(1);
  });

  it.each([
    ['no hello in time', (socket: FakeSocket) => void socket, CLOSE_CODES.badHello],
    ['something else first', (s: FakeSocket) => s.heartbeat(), CLOSE_CODES.badHello],
    ['no JSON', (s: FakeSocket) => s.connection.receive('{'), CLOSE_CODES.badHello],
    [
      'a malformed hello',
      (s: FakeSocket) => s.connection.receive('{"type":"hello"}'),
      CLOSE_CODES.badHello,
    ],
    [
      'another version',
      (s: FakeSocket) => s.hello({ protocolVersion: PROTOCOL_VERSION + 1 }),
      CLOSE_CODES.versionMismatch,
    ],
  ])('S5 closes on %s, and never counts that as an engine', (_name, act, code) => {
    const socket = new FakeSocket(relay);
    act(socket);
    vi.advanceTimersByTime(HELLO_TIMEOUT_MS);
    expect(socket.closedWith?.code).toBe(code);
    expect(relay.list()).toEqual([]);
    socket.connection.closed(code);
    socket.hello();
    expect(relay.list()).toEqual([]);
  });

  it('S5 has room for sixteen sockets that have not said hello', () => {
    const strangers = Array.from({ length: 16 }, () => new FakeSocket(relay));
    expect(relay.hasRoom).toBe(false);
    strangers[0]!.hello();
    strangers[1]!.connection.closed(1006);
    strangers[2]!.connection.receive('nonsense');
    expect(relay.hasRoom).toBe(true);
    vi.advanceTimersByTime(HELLO_TIMEOUT_MS);
    const more = Array.from({ length: 16 }, () => new FakeSocket(relay));
    expect(relay.hasRoom).toBe(false);
    for (const socket of more) socket.connection.closed(1006);
    expect(relay.hasRoom).toBe(true);
  });

  it('S14 cuts a tab off that sends a malformed frame, and gives its job back', () => {
    const socket = new FakeSocket(relay).hello();
    relay.adopt(tabOf(), LEASE);
    socket.connection.receive('{"type":"job-progress","jobId":"../..","attempt":1}');
    expect(socket.closedWith?.code).toBe(CLOSE_CODES.badFrame);
    expect(lost).toHaveLength(1);
    expect(relay.list()).toEqual([]);
  });

  it('R2 gives the job back the moment the socket is gone, whatever the code', () => {
    for (const code of [1000, 1001, 1006]) {
      const socket = new FakeSocket(relay).hello();
      relay.adopt(tabOf(), { jobId: `job-${code}`, attempt: 1 });
      socket.connection.closed(code);
    }
    expect(lost.map(({ lease }) => lease.jobId)).toEqual(['job-1000', 'job-1001', 'job-1006']);
    expect(relay.list()).toEqual([]);
  });

  it('R2 gives the job of a silent tab back within twelve seconds, and not before the lease ends', () => {
    const { stop } = beating({}, LEASE);
    relay.adopt(tabOf(), LEASE);
    vi.advanceTimersByTime(60_000);
    expect(lost).toEqual([]);
    const lastHeard = Date.now();
    stop();
    vi.advanceTimersByTime(30_000);
    expect(lost).toHaveLength(1);
    const after = lost[0]!.at - lastHeard;
    expect(after).toBeGreaterThanOrEqual(LEASE_MS);
    expect(after).toBeLessThanOrEqual(12_000);
  });

  it.each([
    ['a job on wasm, whose passes block the worker', 'idle', 'wasm', 590_000, 602_000],
    ['loading on a GPU', 'loading', 'webgpu', 59_000, 61_500],
  ] as const)('R2 is patient with %s', (_name, state, provider, patience, end) => {
    const device = { ...FAKE_DEVICE, provider };
    new FakeSocket(relay).hello({ status: fakeStatus({ state, device }) });
    relay.adopt(tabOf(), LEASE);
    vi.advanceTimersByTime(patience);
    expect(lost).toEqual([]);
    vi.advanceTimersByTime(end - patience);
    expect(lost).toHaveLength(1);
  });

  it('R2 counts any frame as life, and gives no job to a silent tab until it speaks again', () => {
    const socket = new FakeSocket(relay).hello();
    relay.adopt(tabOf(), LEASE);
    for (let step = 1; step <= 20; step += 1) {
      vi.advanceTimersByTime(5_000);
      socket.say(progressFrame(LEASE, { step }));
    }
    expect(lost).toEqual([]);
    vi.advanceTimersByTime(11_000);
    expect(lost).toHaveLength(1);
    expect(relay.takers()).toEqual([]);
    expect(relay.hasUsable).toBe(false);
    expect(relay.list()[0]!.isSilent).toBe(true);
    const before = ready;
    socket.heartbeat();
    expect(relay.takers()).toHaveLength(1);
    expect(ready).toBe(before + 1);
  });

  it('R8 blames nobody when the machine itself slept', () => {
    let now = 1_000;
    relay.close();
    relay = new TabRelay({ log: logLines().log, now: () => now });
    relay.listen({
      onReady() {},
      onJobEvent() {},
      onClaim() {},
      onLost: (lease) => void lost.push({ lease, why: '', at: now }),
    });
    const socket = new FakeSocket(relay).hello();
    relay.adopt(tabOf(), LEASE);
    const tick = (ms: number) => {
      now += ms;
      vi.advanceTimersByTime(500);
    };
    tick(500);
    tick(3_600_000);
    expect(lost).toEqual([]);
    for (let index = 0; index < 19; index += 1) tick(500);
    expect(lost).toEqual([]);
    socket.heartbeat(LEASE);
    for (let index = 0; index < 25; index += 1) tick(500);
    expect(lost).toHaveLength(1);
  });

  it('gives back a job that a living tab no longer works on', () => {
    const { stop } = beating({}, null);
    relay.adopt(tabOf(), LEASE);
    vi.advanceTimersByTime(LEASE_MS);
    expect(lost).toEqual([]);
    vi.advanceTimersByTime(4_000);
    expect(lost).toHaveLength(1);
    expect(relay.takers()).toHaveLength(1);
    stop();
  });

  it('frees a tab with its last event, before anybody has stored anything', () => {
    const socket = new FakeSocket(relay).hello();
    relay.adopt(tabOf(), LEASE);
    expect(relay.takers()).toEqual([]);
    socket.say(imageFrame(LEASE));
    socket.say(finishedFrame({ ...LEASE, attempt: 7 }));
    expect(relay.takers()).toEqual([]);
    socket.say(finishedFrame(LEASE));
    expect(relay.takers()).toHaveLength(1);
    expect(events).toEqual(['job-image job-1 1', 'job-finished job-1 7', 'job-finished job-1 1']);
  });

  it('R10 gives jobs to idle tabs first, then to loading ones, never to busy, waiting or blocked ones', () => {
    const states = ['busy', 'compiling', 'waiting', 'idle', 'blocked', 'loading'] as const;
    for (const state of states) {
      new FakeSocket(relay).hello({ engineName: state, status: fakeStatus({ state }) });
    }
    expect(relay.takers().map((tab) => tab.status.state)).toEqual(['idle', 'compiling', 'loading']);
    expect(relay.isBlocked).toBe(false);
  });

  it('R9 knows when every tab is blocked', () => {
    const socket = new FakeSocket(relay).hello({ status: fakeStatus({ state: 'blocked' }) });
    expect([relay.isBlocked, relay.hasUsable]).toEqual([true, false]);
    socket.say({ type: 'status', status: fakeStatus() });
    expect([relay.isBlocked, relay.hasUsable]).toEqual([false, true]);
  });

  it('R6 knows a tab again by its name, and lets the new connection replace the old one', () => {
    const old = new FakeSocket(relay).hello({ engineName: 'same' });
    relay.adopt(tabOf(), LEASE);
    const socket = new FakeSocket(relay).hello({ engineName: 'same', job: LEASE });
    expect(old.closedWith).not.toBeNull();
    expect(relay.list().map(({ id }) => id)).toEqual(['e1']);
    expect(lost.map(({ lease }) => lease)).toEqual([LEASE]);
    expect(claims.map(({ lease }) => lease)).toEqual([LEASE]);
    old.connection.closed(1006);
    old.heartbeat();
    expect(relay.list()).toHaveLength(1);
    new FakeSocket(relay).hello({ engineName: 'other' });
    expect(relay.list().map(({ id }) => id)).toEqual(['e1', 'e2']);
    expect(socket.sentOf('welcome')[0]!.engineId).toBe('e1');
  });

  it('passes interrupt and skip to the tab that has the job, and to no other', () => {
    const first = new FakeSocket(relay).hello({ engineName: 'one' });
    const second = new FakeSocket(relay).hello({ engineName: 'two' });
    relay.adopt(tabOf(1), LEASE);
    relay.cancel(LEASE.jobId, 'skip');
    relay.cancel('unknown', 'interrupt');
    expect(second.sentOf('cancel')).toEqual([{ type: 'cancel', jobId: 'job-1', mode: 'skip' }]);
    expect(first.sentOf('cancel')).toEqual([]);
  });

  it('sends a command to every tab and settles by their answers', async () => {
    const one = new FakeSocket(relay).hello({ engineName: 'one' });
    const two = new FakeSocket(relay).hello({ engineName: 'two' });
    const idOf = (socket: FakeSocket) => socket.sentOf('control').at(-1)!.id;
    const command = { name: 'load-checkpoint', checkpoint: 'easel-tiny' } as const;

    const fine = relay.control(command);
    expect(one.sentOf('control')[0]!.command).toEqual(command);
    one.say({ type: 'control-done', id: idOf(two), error: null });
    one.say({ type: 'control-done', id: idOf(one), error: null });
    two.say({ type: 'control-done', id: idOf(two), error: null });
    await expect(fine).resolves.toBeUndefined();

    const failing = relay.control(command);
    one.say({
      type: 'control-done',
      id: idOf(one),
      error: { code: 'not-found', message: 'no such model' },
    });
    await expect(failing).rejects.toMatchObject({ code: 'not-found', message: 'no such model' });

    const orphaned = relay.control(command);
    two.connection.closed(1006);
    await expect(orphaned).rejects.toMatchObject({ code: 'tab-disconnected' });

    one.connection.closed(1006);
    await expect(relay.control(command)).rejects.toThrow(GenerationError);
    await expect(relay.control(command)).rejects.toMatchObject({ code: 'no-tab' });
  });

  it('R15 drops a tab that does not read what it is sent', () => {
    const socket = new FakeSocket(relay).hello();
    relay.adopt(tabOf(), LEASE);
    socket.bufferedBytes = MAX_BUFFERED_BYTES + 1;
    relay.cancel(LEASE.jobId, 'skip');
    expect(socket.isTerminated).toBe(true);
    expect(lost).toHaveLength(1);
  });

  it('R19 closes with a code that tells tabs to come back', () => {
    const socket = new FakeSocket(relay).hello();
    relay.close();
    expect(socket.closedWith?.code).toBe(CLOSE_CODES.stopping);
    expect(relay.hasRoom).toBe(false);
  });
});
