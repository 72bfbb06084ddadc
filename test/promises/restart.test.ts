import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../bridge/support.ts';
import { decodePng } from '../e2e/support/png.ts';
import { ChildBridge } from './child-bridge.ts';
import { amount, measured, percentile, picturesBelow, randomOf, SEED } from './figures.ts';
import { StubEngine } from './stub-engine.ts';

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Found {
  readonly state: string;
  readonly images: readonly string[];
  readonly savedAs: readonly (string | null)[];
}

const folder = temporaryFolder();
let bridge: ChildBridge;
let engine: StubEngine;

beforeAll(async () => {
  bridge = await ChildBridge.start(folder.path);
  engine = await StubEngine.attach(bridge.url, { stepMs: 8 });
});
afterAll(async () => {
  await engine?.close();
  await bridge?.stop();
  folder.remove();
});

function post(seed: number): Promise<number | null> {
  return fetch(`${bridge.url}/sdapi/v1/txt2img`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': `kill-${seed}` },
    body: JSON.stringify({ prompt: 'killed', steps: 10, seed }),
  }).then(
    (response) => response.arrayBuffer().then(() => response.status),
    () => null,
  );
}

async function find(seed: number): Promise<Found | null> {
  const reply = await fetch(`${bridge.url}/easel/v1/jobs?key=kill-${seed}`);
  return reply.ok ? ((await reply.json()) as Found) : null;
}

/** Posts a job, kills the bridge, starts it again, and asks for the job until it is done. */
async function killOnce(seed: number, killAfter: () => Promise<void>) {
  const reply = post(seed);
  await killAfter();
  const wasKnown = await find(seed).catch(() => null);
  await bridge.kill();
  const answered = await reply;
  const welcomes = engine.attachedAt.length;
  const killedAt = performance.now();
  const listenMs = await bridge.restart();
  const listening = performance.now();
  while (engine.attachedAt.length === welcomes) await sleep(5);
  const attachMs = (engine.attachedAt.at(-1) ?? 0) - listening;
  let found = await find(seed);
  for (let wait = 0; wait < 400 && found && found.state !== 'finished'; wait += 1) {
    await sleep(25);
    found = await find(seed);
  }
  // Accepted means: the bridge said so before it was killed, by its list or by the reply.
  const isLost = (wasKnown !== null || answered === 200) && found?.state !== 'finished';
  return { listenMs, attachMs, found, isLost, downMs: performance.now() - killedAt };
}

function expectWhole(seeds: readonly number[]): {
  pictures: number;
  partial: number;
  twice: number;
} {
  const pictures = picturesBelow(folder.path);
  let partial = 0;
  const times = new Map<string, number>();
  for (const path of pictures) {
    try {
      decodePng(readFileSync(path));
    } catch {
      partial += 1;
    }
    const seed = /_(\d+?)(?:_\d+)?\.png$/.exec(path)?.[1] ?? '';
    times.set(seed, (times.get(seed) ?? 0) + 1);
  }
  const twice = [...times.values()].filter((count) => count > 1).length;
  expect({ partial, twice }).toEqual({ partial: 0, twice: 0 });
  expect(pictures.length).toBeLessThanOrEqual(seeds.length);
  return { pictures: pictures.length, partial, twice };
}

describe('a bridge that is killed', () => {
  const midJob = amount('KILLS_MID_JOB', 3, 50);
  const anywhere = amount('KILLS_ANYWHERE', 5, 500);
  const seeds: number[] = [];

  it(`R6 loses nothing that it had accepted in ${midJob} kills in the middle of a job, and is back at once`, {
    timeout: 30_000 + midJob * 15_000,
  }, async () => {
    const runs: Awaited<ReturnType<typeof killOnce>>[] = [];
    for (let kill = 0; kill < midJob; kill += 1) {
      const seed = 1_000 + kill;
      seeds.push(seed);
      runs.push(
        await killOnce(seed, async () => {
          while (engine.begun.at(-1) !== seed) await sleep(2);
          await sleep(20);
        }),
      );
    }
    expect(runs.filter(({ isLost }) => isLost)).toHaveLength(0);
    expect(runs.map(({ found }) => found?.images.length)).toEqual(runs.map(() => 1));
    const attach = runs.map(({ attachMs }) => attachMs);
    const listen = runs.map(({ listenMs }) => listenMs);
    expect(percentile(attach, 0.95)).toBeLessThan(5_000);
    expect(percentile(attach, 1)).toBeLessThan(15_000);
    measured('R6', {
      ...{ kills: midJob, lost: 0, listenP50Ms: percentile(listen, 0.5) },
      ...{ listenMaxMs: percentile(listen, 1), attachP50Ms: percentile(attach, 0.5) },
      ...{ attachP95Ms: percentile(attach, 0.95), attachMaxMs: percentile(attach, 1) },
    });
  });

  it(`R5 saves each picture once and whole over ${anywhere} kills at random points`, {
    timeout: 30_000 + anywhere * 15_000,
  }, async () => {
    const random = randomOf(SEED);
    const lost: unknown[] = [];
    let finished = 0;
    for (let kill = 0; kill < anywhere; kill += 1) {
      const seed = 5_000 + kill;
      seeds.push(seed);
      // A job takes some 100 ms and its saving some 20: most kills fall into the one or the other.
      const { isLost, found } = await killOnce(seed, () => sleep(random() * 160));
      if (isLost) lost.push({ seed, found });
      if (found?.state !== 'finished') continue;
      finished += 1;
      expect(found.savedAs.every((path) => path !== null)).toBe(true);
      for (const path of found.savedAs) decodePng(readFileSync(path ?? ''));
    }
    expect(lost).toEqual([]);
    measured('R5', { kills: anywhere, seed: SEED, lost: 0, finished, ...expectWhole(seeds) });
  });
});

describe('a bridge that is asked to stop', () => {
  it('R19 refuses new jobs at once, lets the running one finish, and ends with code 0', async () => {
    const own = temporaryFolder();
    const stopping = await ChildBridge.start(own.path);
    const stub = await StubEngine.attach(stopping.url, { stepMs: 50 });
    const post = (steps: number) =>
      fetch(`${stopping.url}/sdapi/v1/txt2img`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ prompt: 'x', steps }),
      });
    try {
      const running = post(20);
      while (stub.begun.length === 0) await sleep(5);
      const start = performance.now();
      const stopped = stopping.stop();
      await sleep(100);
      const refused = await post(1);
      expect(refused.status).toBe(503);
      expect((await running).status).toBe(200);
      expect(await stopped).toBe(0);
      const exitMs = performance.now() - start;
      expect(exitMs).toBeLessThan(10_000);
      measured('R19', { exitCode: 0, exitMs: Math.round(exitMs) });
    } finally {
      await stub.close();
      await stopping.stop();
      own.remove();
    }
  });
});
