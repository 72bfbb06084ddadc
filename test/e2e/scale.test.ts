import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestRedis } from '../bridge/jobs/redis-server.ts';
import { FakeTab } from '../fakes/fake-tab.ts';
import { measured } from '../promises/figures.ts';
import { type RunningBridge, startBridge } from './support/bridge.ts';

/** Engines of the measurement; docs/scale.md quotes a run with 200. */
const ENGINES = Number(process.env.EASEL_SCALE_ENGINES ?? 20);
const JOBS = Number(process.env.EASEL_SCALE_JOBS ?? 100);

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 20_000) {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what} did not come in ${ms} ms`);
    await sleep(25);
  }
}

interface Reply {
  readonly images: readonly string[];
  readonly info: string;
}

interface Found {
  readonly state: string;
  readonly progress: number;
  readonly images: readonly string[];
  readonly jobs: readonly { readonly id: string; readonly state: string }[];
  readonly running: number;
}

let redis: TestRedis;
let a: RunningBridge;
let b: RunningBridge;

const join = () =>
  startBridge(['--browser', 'none', '--redis', redis.url, '--queue-size', '10000']);

beforeAll(async () => {
  redis = await TestRedis.start();
  [a, b] = await Promise.all([join(), join()]);
});
afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop()]);
  await redis?.stop();
});

const txt2img = (
  bridge: RunningBridge,
  body: Record<string, unknown> = {},
  headers: Record<string, string> = {},
) => bridge.post('/sdapi/v1/txt2img', { prompt: 'a hill', steps: 4, ...body }, headers);

describe('R20 two bridges on one queue', () => {
  it('answers at one bridge with what an engine of the other made, progress and events included', async () => {
    const tab = await FakeTab.attach(b.url, { stepMs: 100 });
    const events = await fetch(`${a.url}/easel/v1/events`);
    const reader = events.body?.getReader();
    const headers = { 'x-request-id': 'across' };
    const answer = txt2img(a, { steps: 20, seed: 77 }, headers);
    await until(async () => {
      const { progress } = await a.get<{ progress: number }>('/sdapi/v1/progress');
      return progress > 0.1 && progress < 1;
    }, 'progress at the bridge without engines');
    let heard = '';
    while (!heard.includes('event: job-progress')) {
      heard += new TextDecoder().decode((await reader?.read())?.value);
    }
    await reader?.cancel();
    const reply = await answer;
    expect(reply.status).toBe(200);
    const { images, info } = (await reply.json()) as Reply;
    expect(
      Buffer.from(images[0] ?? '', 'base64')
        .subarray(1, 4)
        .toString(),
    ).toBe('PNG');
    expect(JSON.parse(info).seed).toBe(77);
    for (const bridge of [a, b]) {
      const found = await bridge.get<Found>('/easel/v1/jobs?key=across');
      expect(found).toMatchObject({ state: 'finished', images: [images[0]] });
    }
    await tab.close();
  });

  it('carries interrupt and skip to the engine of the other bridge', async () => {
    const tab = await FakeTab.attach(b.url, { stepMs: 100 });
    const isRunning = async () => (await a.get<Found>('/easel/v1/jobs')).running === 1;
    const interrupted = txt2img(a, { steps: 100, seed: 1 });
    await until(isRunning, 'the job');
    const start = performance.now();
    expect((await a.post('/sdapi/v1/interrupt', {})).status).toBe(200);
    expect((await interrupted).status).toBe(200);
    expect(performance.now() - start).toBeLessThan(600);

    const skipped = txt2img(a, { steps: 12, n_iter: 2, seed: 1 });
    await until(isRunning, 'the job');
    await a.post('/sdapi/v1/skip', {});
    const { images } = (await (await skipped).json()) as Reply;
    expect(images.length).toBe(1);
    await tab.close();
  });

  it('says ready where another bridge has an engine, and no-engine where none has', async () => {
    const tab = await FakeTab.attach(b.url);
    await until(async () => (await fetch(`${a.url}/health`)).status === 200, 'ready');
    await tab.close();
    await until(async () => (await fetch(`${a.url}/health`)).status === 503, 'no-engine');
  });

  it('has the jobs of a bridge that was killed redone by the other within 15 s', async () => {
    const doomed = await join();
    const tab = await FakeTab.attach(doomed.url, { answers: false });
    const answer = txt2img(a, { seed: 5 });
    await tab.until(() => tab.jobs.length === 1);
    const other = await FakeTab.attach(b.url);
    const start = performance.now();
    doomed.process.kill('SIGKILL');
    expect((await answer).status).toBe(200);
    const ms = performance.now() - start;
    measured('R20', { redoneMs: Math.round(ms) });
    expect(ms).toBeLessThan(15_000);
    expect(other.jobs[0]).toMatchObject({ attempt: 2 });
    await other.close();
  });

  it('loses no accepted job by kill -9 of Redis, and goes on within 5 s', async () => {
    const keys = Array.from({ length: 40 }, (_, n) => `redis-${n}`);
    // No engine yet: every job is accepted and waits.
    const answers = keys.map((key, n) =>
      txt2img(n % 2 ? a : b, { seed: n }, { 'x-request-id': key }),
    );
    const accepted = async () => (await a.get<Found>('/easel/v1/jobs')).jobs.length;
    await until(async () => (await accepted()) === keys.length, 'the jobs');
    await redis.kill();
    const refused = await txt2img(a);
    expect(refused.status).toBe(503);
    expect(JSON.stringify(await refused.json())).toContain('cannot be reached');
    const start = performance.now();
    await redis.up();
    const tabs = [await FakeTab.attach(a.url), await FakeTab.attach(b.url)];
    const replies = await Promise.all(answers);
    const ms = performance.now() - start;
    const lost = replies.filter(({ status }) => status !== 200).length;
    measured('R20', { jobs: keys.length, lost, backMs: Math.round(ms) });
    expect(lost).toBe(0);
    expect(ms).toBeLessThan(5_000);
    for (const tab of tabs) await tab.close();
  });
});

describe('R20 what engines cost', () => {
  const pids = () => [a, b].map(({ process: { pid } }) => pid ?? 0);
  /** Seconds of processor time of both bridges together; Linux counts in hundredths. */
  function cpuSeconds(): number {
    const ticks = pids().map((pid) => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return Number(fields[11]) + Number(fields[12]);
    });
    return ticks.reduce((sum, each) => sum + each, 0) / 100;
  }
  function rssMiB(): number {
    const sizes = pids().map((pid) => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
    });
    return sizes.reduce((sum, each) => sum + each, 0);
  }

  it('serves many engines on two bridges, each job once', async () => {
    const idleMs = ENGINES > 50 ? 20_000 : 4_000;
    const measure = async () => {
      const before = cpuSeconds();
      await sleep(idleMs);
      return (cpuSeconds() - before) / (idleMs / 1000);
    };
    const emptyCpu = await measure();
    const emptyRss = rssMiB();
    const tabs: FakeTab[] = [];
    for (let n = 0; n < ENGINES; n += 1) tabs.push(await FakeTab.attach((n % 2 ? a : b).url));
    await sleep(500);
    const idleCpu = await measure();
    const idleRss = rssMiB();

    const cpuBefore = cpuSeconds();
    const start = performance.now();
    // Eight at a time: a client may have a quarter of the queue, but the sockets are one process'.
    let next = 0;
    const statuses: number[] = [];
    const client = async () => {
      while (next < JOBS) {
        const seed = next++;
        const reply = await txt2img(seed % 2 ? a : b, { seed });
        await reply.arrayBuffer();
        statuses.push(reply.status);
      }
    };
    await Promise.all(Array.from({ length: 8 }, client));
    const seconds = (performance.now() - start) / 1000;
    const figures = {
      engines: ENGINES,
      cpuPerIdleEngine: (idleCpu - emptyCpu) / ENGINES,
      mibPerEngine: (idleRss - emptyRss) / ENGINES,
      cpuSecondsPerJob: (cpuSeconds() - cpuBefore) / JOBS,
      jobsPerSecond: JOBS / seconds,
      emptyRssMiB: emptyRss,
    };
    console.log(`R20 measured: ${JSON.stringify(figures)}`);
    expect(statuses).toEqual(Array(JOBS).fill(200));
    expect(tabs.reduce((sum, { jobs }) => sum + jobs.length, 0)).toBe(JOBS);
    for (const tab of tabs) await tab.close();
  });
});
