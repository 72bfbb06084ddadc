import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestBridge, type TestBridge } from '../bridge/support.ts';
import { decodePng } from '../e2e/support/png.ts';
import { amount, measured, percentile, picturesBelow, randomOf, SEED } from './figures.ts';
import { StubEngine } from './stub-engine.ts';

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

let bridge: TestBridge;
const engines: StubEngine[] = [];
const attach = async (options = {}) => {
  const engine = await StubEngine.attach(bridge.url, options);
  engines.push(engine);
  return engine;
};

beforeAll(async () => {
  bridge = await startTestBridge();
});
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});
// Tens of thousands of files are deleted.
afterAll(async () => bridge?.dispose(), 120_000);

describe('under random faults', () => {
  const jobs = amount('CHAOS_JOBS', 200, 10_000);

  it(`R1 answers every one of ${jobs} jobs once, and only once`, {
    timeout: 60_000 + jobs * 60,
  }, async () => {
    const random = randomOf(SEED);
    for (let count = 0; count < 4; count += 1) await attach({ stepMs: 2 });
    let isOver = false;
    const faults = { cuts: 0, kills: 0, interrupts: 0, hangUps: 0 };
    const trouble = (async () => {
      while (!isOver) {
        await sleep(10 + random() * 60);
        const place = Math.floor(random() * engines.length);
        const kind = random();
        if (kind < 0.5) {
          faults.cuts += 1;
          engines[place]?.cut();
        } else if (kind < 0.9) {
          faults.kills += 1;
          const [engine] = engines.splice(place, 1);
          await engine?.kill();
          await attach({ stepMs: 2 });
        } else {
          faults.interrupts += 1;
          await bridge.post('/sdapi/v1/interrupt', {});
        }
      }
    })();
    const statuses = new Map<string, number>();
    const count = (what: string) => statuses.set(what, (statuses.get(what) ?? 0) + 1);
    let next = 0;
    const client = async () => {
      while (next < jobs) {
        const seed = next++;
        const signal = random() < 0.02 ? AbortSignal.timeout(15) : AbortSignal.timeout(60_000);
        try {
          const response = await fetch(`${bridge.url}/sdapi/v1/txt2img`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ prompt: 'x', steps: 3, seed }),
            signal,
          });
          const body = (await response.json()) as { images?: string[] };
          count(response.status === 200 ? `200 with ${body.images?.length}` : `${response.status}`);
        } catch (error) {
          const isHangUp = error instanceof Error && error.name === 'TimeoutError';
          if (!isHangUp) throw error;
          faults.hangUps += 1;
          count('hung up');
        }
      }
    };
    await Promise.all(Array.from({ length: 8 }, client));
    isOver = true;
    await trouble;
    // Jobs of clients that hung up end by themselves.
    for (let wait = 0; wait < 200 && bridge.services.jobs.list().length > 0; wait += 1) {
      await sleep(50);
    }
    expect(bridge.services.jobs.list()).toEqual([]);

    const journal = readFileSync(join(bridge.dataFolder, 'jobs', 'journal.jsonl'), 'utf8');
    const ends = new Map<string, number>();
    for (const line of journal.trim().split('\n')) {
      const { type, jobId } = JSON.parse(line) as { type: string; jobId: string };
      if (type === 'ended') ends.set(jobId, (ends.get(jobId) ?? 0) + 1);
    }
    expect([...ends.values()].filter((times) => times !== 1)).toEqual([]);
    const total = [...statuses.values()].reduce((sum, times) => sum + times, 0);
    expect(total).toBe(jobs);
    expect(
      [...statuses.keys()].filter((key) => !/^(200 with [01]|409|500|hung up)$/.test(key)),
    ).toEqual([]);
    const seeds = picturesBelow(bridge.services.outputs.folder).map((path) => {
      decodePng(readFileSync(path));
      return /_(\d+)\.png$/.exec(path)?.[1];
    });
    expect(new Set(seeds).size).toBe(seeds.length);
    measured('R1', { jobs, ...Object.fromEntries(statuses), ...faults, unanswered: 0, twice: 0 });
  });
});

describe('clients', () => {
  it('R12 frees the places of fifty clients that vanish at once', async () => {
    await attach({ stepMs: 20 });
    const hangUps = Array.from({ length: 50 }, () => new AbortController());
    const gone = hangUps.map((hangUp, place) =>
      fetch(`${bridge.url}/sdapi/v1/txt2img`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': `client-${place % 5}` },
        body: JSON.stringify({ prompt: 'x', steps: 500, seed: place }),
        signal: hangUp.signal,
      }).catch(() => null),
    );
    while (bridge.services.jobs.list().length < 50) await sleep(20);
    const start = performance.now();
    for (const hangUp of hangUps) hangUp.abort();
    await Promise.all(gone);
    while (bridge.services.jobs.view().waiting > 0) await sleep(5);
    const waitingMs = performance.now() - start;
    while (bridge.services.jobs.view().running > 0) await sleep(5);
    const runningMs = performance.now() - start;
    expect(waitingMs).toBeLessThan(1_000);
    expect(runningMs).toBeLessThan(1_020);
    measured('R12', {
      clients: 50,
      waitingMs: Math.round(waitingMs),
      runningMs: Math.round(runningMs),
    });
  });

  it('R11 interrupts within a step and half a second, and skips one picture alone', async () => {
    const stepMs = 200;
    // The interrupt that follows a hang-up within a second belongs to that.
    await sleep(1_100);
    const engine = await attach({ stepMs });
    const times: number[] = [];
    for (let round = 0; round < amount('INTERRUPTS', 3, 20); round += 1) {
      const before = engine.begun.length;
      const reply = bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 100 });
      while (engine.begun.length === before) await sleep(5);
      await sleep(250);
      const start = performance.now();
      await bridge.post('/sdapi/v1/interrupt', {});
      expect((await reply).status).toBe(200);
      times.push(performance.now() - start);
    }
    expect(Math.max(...times)).toBeLessThan(stepMs + 500);
    expect((await bridge.post('/sdapi/v1/interrupt', {})).status).toBe(200);
    const reply = bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 3, batch_size: 3 });
    await sleep(300);
    await bridge.post('/sdapi/v1/skip', {});
    expect(((await (await reply).json()) as { images: unknown[] }).images).toHaveLength(2);
    measured('R11', { stepMs, p50Ms: percentile(times, 0.5), maxMs: percentile(times, 1) });
  });

  it('R14 serves lists without an engine, and says what to do after the wait', async () => {
    const waitMs = amount('ENGINE_WAIT_MS', 500, 30_000);
    const alone = await startTestBridge(['--engine-wait', String(waitMs / 1_000)]);
    try {
      const start = performance.now();
      const reply = await alone.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 1 });
      const waitedMs = performance.now() - start;
      expect(reply.status).toBe(503);
      expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(((await reply.json()) as { detail: string }).detail).toMatch(
        /No engine is attached. Open http/,
      );
      expect(waitedMs).toBeGreaterThan(waitMs * 0.9);
      expect(waitedMs).toBeLessThan(waitMs + 2_500);
      for (const path of ['options', 'sd-models', 'samplers', 'progress', 'loras']) {
        expect((await fetch(`${alone.url}/sdapi/v1/${path}`)).status, path).toBe(200);
      }
      measured('R14', { waitMs, answeredAfterMs: Math.round(waitedMs) });
    } finally {
      await alone.dispose();
    }
  });

  it('R15 do not wait for one that reads slowly', async () => {
    await attach();
    const picture = { prompt: 'x', steps: 1 };
    const round = async () => {
      const times: number[] = [];
      for (let count = 0; count < amount('SLOW_ROUNDS', 40, 400); count += 1) {
        const start = performance.now();
        await (await bridge.post('/sdapi/v1/txt2img', picture)).arrayBuffer();
        times.push(performance.now() - start);
      }
      return times;
    };
    await round();
    const alone = await round();
    // Twenty event streams of which nobody reads a byte.
    const slow = await Promise.all(
      Array.from({ length: 20 }, () => fetch(`${bridge.url}/easel/v1/events`)),
    );
    const beside = await round();
    await Promise.all(slow.map((response) => response.body?.cancel()));
    const figures = { aloneP99Ms: percentile(alone, 0.99), besideP99Ms: percentile(beside, 0.99) };
    const p99Ratio = Math.round((figures.besideP99Ms / figures.aloneP99Ms) * 100) / 100;
    expect(percentile(beside, 0.5)).toBeLessThan(2 * percentile(alone, 0.5) + 50);
    measured('R15', {
      ...{ ...figures, p99Ratio },
      aloneP50Ms: percentile(alone, 0.5),
      besideP50Ms: percentile(beside, 0.5),
    });
  });
});
