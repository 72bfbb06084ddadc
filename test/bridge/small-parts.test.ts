import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDataFolder } from '../../bridge/data-lock.ts';
import { writeFileWhole } from '../../bridge/files.ts';
import { healthHttpStatus, healthOf } from '../../bridge/health.ts';
import { createLogger, withRequestId } from '../../bridge/log.ts';
import { openSettingsStore } from '../../bridge/settings-store.ts';
import { activityText, progressText, StatusLine } from '../../bridge/terminal/status-line.ts';
import { FAKE_CATALOG, fakeStatus, progressFrame } from '../fakes/tab-frames.ts';
import { logLines, optionsOf, startTestBridge, temporaryFolder } from './support.ts';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

describe('the settings store', () => {
  it('keeps changes across restarts, lets the command line decide for a run, and loses no write', async () => {
    const path = join(folder.path, 'settings.json');
    const { log } = logLines();
    const store = await openSettingsStore({ path, log });
    expect(store.get()).toEqual({});
    await Promise.all([store.set({ a: 1 }), store.set({ b: 2 }), store.set({ a: 3 })]);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ a: 3, b: 2 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const again = await openSettingsStore({ path, log, startValues: { a: 9 } });
    expect(again.get()).toEqual({ a: 9, b: 2 });
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ a: 3, b: 2 });
  });

  it('sets a damaged file aside with a warning and starts anew', async () => {
    const path = join(folder.path, 'settings.json');
    writeFileSync(path, '{"a": ');
    const { log, lines } = logLines();
    const store = await openSettingsStore({ path, log });
    expect(store.get()).toEqual({});
    expect(lines.join()).toContain('start anew');
    await store.set({ b: 1 });
    const aside = readdirSync(folder.path).find((name) => name.startsWith('settings.json.damaged'));
    expect(readFileSync(join(folder.path, aside!), 'utf8')).toBe('{"a": ');
  });
});

describe('a data folder', () => {
  it('is used by one Easel at a time', async () => {
    const lock = await lockDataFolder(folder.path);
    expect(lock).not.toBeNull();
    expect(await lockDataFolder(folder.path)).toBeNull();
    await lock!.release();
    const again = await lockDataFolder(folder.path);
    expect(again).not.toBeNull();
    await again!.release();
  });

  it('refuses a second bridge, naming the port where that is the reason', async () => {
    const first = await startTestBridge([], { dataFolder: folder.path });
    await expect(startTestBridge([], { dataFolder: folder.path })).rejects.toThrow(/--data-dir/);
    const same = startTestBridge(['--port', String(first.port)], { dataFolder: folder.path });
    await expect(same).rejects.toThrow(new RegExp(`Port ${first.port} is in use`));
    const other = temporaryFolder();
    const samePort = startTestBridge(['--port', String(first.port)], { dataFolder: other.path });
    await expect(samePort).rejects.toThrow(
      new RegExp(`Port ${first.port} is in use.*--port ${first.port + 1}`),
    );
    other.remove();
    await first.dispose();
    const next = await startTestBridge([], { dataFolder: folder.path });
    await next.dispose();
  });
});

describe('a file written whole', () => {
  it('replaces the old one or leaves it, with nothing beside it', async () => {
    const path = join(folder.path, 'sub', 'file');
    await writeFileWhole(path, 'one');
    await writeFileWhole(path, 'two');
    expect(readFileSync(path, 'utf8')).toBe('two');
    await expect(writeFileWhole(join(path, 'below'), 'x')).rejects.toThrow();
    expect(readdirSync(join(folder.path, 'sub'))).toEqual(['file']);
  });
});

describe('/health', () => {
  const queue = { waiting: 0, running: 0, limit: 64 };
  const facts = {
    engines: [],
    queue,
    isStopping: false,
    isStarting: false,
    download: null,
    pageUrl: 'http://localhost:7860',
  };
  const engine = (changes: Parameters<typeof fakeStatus>[0], extra = {}) => ({
    id: 'e1',
    status: fakeStatus(changes),
    catalog: FAKE_CATALOG,
    ...extra,
  });

  it.each([
    ['no-engine', 503, {}],
    ['starting', 503, { isStarting: true }],
    ['stopping', 503, { isStopping: true, engines: [engine({})] }],
    ['ready', 200, { engines: [engine({})] }],
    ['ready', 200, { engines: [engine({ state: 'busy' })] }],
    ['ready', 200, { engines: [engine({ state: 'compiling' }, { hasJob: true })] }],
    ['ready', 200, { engines: [engine({ state: 'loading' }), engine({})] }],
    ['loading', 200, { engines: [engine({ state: 'loading' })] }],
    ['compiling', 200, { engines: [engine({ state: 'compiling' }), engine({ state: 'loading' })] }],
    ['gpu-blocked', 503, { engines: [engine({ state: 'blocked' })] }],
    ['no-engine', 503, { engines: [engine({ state: 'waiting' })] }],
    ['no-engine', 503, { engines: [engine({}, { isSilent: true })] }],
  ])('says %s with %i', (status, http, changes) => {
    const health = healthOf({ ...facts, ...changes });
    expect(health.status).toBe(status);
    expect(healthHttpStatus(health.status)).toBe(http);
    expect(health.message).toMatch(/\.$/);
    expect(Object.keys(health)).toEqual([
      'status',
      'version',
      'message',
      'engines',
      'queue',
      'activity',
    ]);
  });

  it('shows a download beside what engines do, which is told first', () => {
    const download = { kind: 'download', what: 'owner/name', done: 0.5, etaSeconds: 60 } as const;
    const health = healthOf({ ...facts, engines: [engine({})], download });
    expect(health).toMatchObject({ status: 'ready', activity: download });
    expect(health.message).toBe('Downloading owner/name, 50 %, 60 s left.');
    const activity = { kind: 'load', what: 'unet', done: 0.1, etaSeconds: null } as const;
    const busy = { ...facts, engines: [engine({ state: 'loading', activity })], download };
    expect(healthOf(busy).activity).toEqual(activity);
  });

  it('shows what is being made ready', () => {
    const activity = { kind: 'compile', what: 'unet', done: 0.42, etaSeconds: 12 } as const;
    const health = healthOf({ ...facts, engines: [engine({ state: 'compiling', activity })] });
    expect(health.activity).toEqual(activity);
    expect(health.message).toBe('Compiling unet, 42 %, 12 s left.');
    // It is what a job waits for, and more than that one runs.
    const waited = { ...facts, queue: { waiting: 0, running: 1, limit: 64 } };
    const working = [engine({ state: 'compiling', activity })];
    expect(healthOf({ ...waited, engines: working }).message).toContain('Compiling unet');
  });
});

describe('the log', () => {
  it('writes one line an event, whatever is in it, down to its level', () => {
    const lines: string[] = [];
    const log = createLogger({
      level: 'warn',
      write: (line) => lines.push(line),
      now: () => new Date(0),
    });
    log.info('not this');
    log.warn('two\nlines', { path: 'a b', n: 1, none: undefined, evil: 'x\u001b[31m\r\ny' });
    expect(lines).toEqual([
      '1970-01-01T00:00:00.000Z warn  two lines path="a b" n=1 evil="x [31m  y"',
    ]);
  });

  it('writes JSON whose fields cannot replace its own, with the id of the request', () => {
    const lines: string[] = [];
    const log = createLogger({
      format: 'json',
      write: (line) => lines.push(line),
      now: () => new Date(0),
    });
    withRequestId('r-1', () =>
      log.info('two\nlines', { level: 'forged', job: 'j', none: undefined }),
    );
    log.error('outside');
    expect(lines.every((line) => !line.includes('\n'))).toBe(true);
    const time = '1970-01-01T00:00:00.000Z';
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { request: 'r-1', job: 'j', time, level: 'info', message: 'two\nlines' },
      { time, level: 'error', message: 'outside' },
    ]);
  });
});

describe('the status line', () => {
  it('tells of steps, pictures, stages and the time left', () => {
    const lease = { jobId: 'j', attempt: 1 };
    expect(
      progressText(progressFrame(lease, { step: 7, steps: 20, fraction: 0.35, etaSeconds: 12.4 })),
    ).toBe('[#######-------------] step 7 of 20 (35 %, 12 s left)');
    expect(
      progressText(
        progressFrame(lease, {
          imageIndex: 1,
          imageCount: 4,
          step: 1,
          steps: 2,
          fraction: 0.5,
          etaSeconds: 600,
        }),
      ),
    ).toBe('[##########----------] Picture 2 of 4: step 1 of 2 (50 %, 10 min left)');
    expect(
      progressText(progressFrame(lease, { stage: 'decoding', fraction: 0.99, etaSeconds: null })),
    ).toBe('[###################-] decoding (99 %)');
    expect(activityText({ kind: 'compile', what: 'unet', done: 0.421, etaSeconds: 12 })).toBe(
      '[########------------] Compiling unet, 42 %, 12 s left',
    );
  });

  it('is written over on a terminal, cut to its width, and absent elsewhere', () => {
    const written: string[] = [];
    const line = new StatusLine({ isTTY: true, columns: 8, write: (text) => written.push(text) });
    line.show('1234567890');
    line.show('1234567890');
    line.print('log');
    line.show('');
    expect(written.join('')).toBe('\r\u001b[K1234567\r\u001b[Klog\n\r\u001b[K1234567\r\u001b[K');
    const quiet: string[] = [];
    const plain = new StatusLine({ write: (text) => quiet.push(text) });
    plain.show('x');
    plain.print('log');
    expect(quiet).toEqual(['log\n']);
  });
});

describe('--listen', () => {
  it('S1 listens beyond loopback only when asked, and knows its own names then', async () => {
    const bridge = await startTestBridge(['--listen', '127.0.0.1', '--api-auth', 'ann:pw']);
    try {
      expect(bridge.addresses).toContain('127.0.0.1');
      expect((await fetch(`${bridge.url}/sdapi/v1/options`)).status).toBe(401);
    } finally {
      await bridge.dispose();
    }
    expect(optionsOf(folder.path).listen).toBeNull();
    await expect(
      startTestBridge(['--listen', '203.0.113.77', '--api-auth', 'ann:pw']),
    ).rejects.toThrow(/no such address/);
  });
});
