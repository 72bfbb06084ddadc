import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RedisJobStore } from '../../../bridge/jobs/redis/redis-job-store.ts';
import { openRedisLink } from '../../../bridge/jobs/redis/redis-link.ts';
import { logLines } from '../support.ts';
import { job, jobStoreContract, LOST, noSave, result } from './contract.ts';
import { until } from './harness.ts';
import { TestRedis } from './redis-server.ts';

let redis: TestRedis;
const stores: RedisJobStore[] = [];

beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());
beforeEach(() => redis.empty());
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

/** One more bridge's end of the queue. */
async function join(limit = 64, keepJobs = 1_000): Promise<RedisJobStore> {
  const store = await RedisJobStore.open({
    link: await openRedisLink(redis.url, logLines().log),
    limit,
    keepJobs,
  });
  stores.push(store);
  return store;
}

async function open(limit?: number): Promise<RedisJobStore> {
  for (const store of stores.splice(0)) await store.close();
  return await join(limit);
}

describe('R20 the shared job store', () => {
  jobStoreContract(open);

  it('shows every bridge the same jobs, and gives each job to one', async () => {
    const [a, b] = [await join(), await join()];
    const ids = Array.from({ length: 20 }, (_, n) => `j${n}`);
    for (const id of ids) await a.add(job(id));
    await until(() => b.open().length === 20, 'the jobs at the other bridge');
    const taken: (string | undefined)[] = [];
    const takeAll = async (store: RedisJobStore) => {
      for (let next = await store.take(); next; next = await store.take()) taken.push(next.jobId);
    };
    await Promise.all([takeAll(a), takeAll(b)]);
    expect(taken.toSorted()).toEqual(ids.toSorted());
  });

  it('carries outcome, progress and interrupt to the bridge that accepted the job', async () => {
    const [a, b] = [await join(), await join()];
    const heard: string[] = [];
    a.onEvent((event) => heard.push(event.type));
    const cancelled: string[] = [];
    b.onEvent((event) => event.type === 'cancel' && cancelled.push(`${event.jobId} ${event.mode}`));
    await a.add(job('x'));
    await b.take();
    await until(() => a.get('x')?.state === 'running', 'the start at the other bridge');
    b.publish({ type: 'job-preview', jobId: 'x', attempt: 1, data: 'AAAA' });
    a.cancel('x', 'interrupt');
    await until(() => cancelled.length === 1 && heard.includes('progress'), 'progress and cancel');
    expect(cancelled).toEqual(['x interrupt']);
    await b.complete(result('x', 7), async () => ['/b/x.png']);
    await until(() => heard.includes('ended'), 'the end');
    expect(a.get('x')).toMatchObject({ state: 'finished', savedAs: ['/b/x.png'] });
    expect((await a.result('x'))?.images[0]?.seed).toBe(7);
  });

  it('ends what a bridge wrote down and died before it was accepted', async () => {
    const store = await join();
    const record = await store.add(job('real'));
    const client = new Redis(redis.url);
    const ghost = { ...record, jobId: 'ghost', acceptedAt: Date.now() - 3_600_000 };
    await client.hset('easel:jobs', 'ghost', JSON.stringify(ghost));
    await client.zadd('easel:open', 99, 'ghost');
    client.disconnect();
    const other = await join();
    expect(other.get('ghost')).toMatchObject({ state: 'failed', error: { code: 'cancelled' } });
    expect(other.open().map(({ jobId }) => jobId)).toEqual(['real']);
    await until(() => store.open().length === 1, 'the news at the first bridge');
  });

  it('forgets ended jobs beyond a number, in Redis and in every bridge', async () => {
    const [a, b] = [await join(64, 3), await join(64, 3)];
    for (let n = 0; n < 12; n += 1) {
      await a.add(job(`j${n}`));
      await a.take();
      await a.complete(result(`j${n}`), noSave);
    }
    await until(() => b.get('j11')?.state === 'finished', 'the last job');
    for (const store of [a, b]) {
      expect(store.ended().length).toBeLessThan(6);
      expect(store.get('j0')).toBeNull();
    }
    expect((await join(64, 3)).ended().length).toBe(3);
  });

  it('R4 lets one of two bridges end a job', async () => {
    const [a, b] = [await join(), await join()];
    await a.add(job('x'));
    await a.take();
    await until(() => b.get('x')?.state === 'running', 'the start');
    const both = await Promise.all([a.complete(result('x'), noSave), b.fail('x', LOST)]);
    expect(both.map(Boolean).toSorted()).toEqual([false, true]);
    await until(() => a.get('x')?.endedAt !== null && b.get('x')?.endedAt !== null, 'the end');
    expect(b.get('x')?.state).toBe(a.get('x')?.state);
  });

  it('refuses jobs with a sentence while Redis is away, loses none by kill -9, and goes on by itself', async () => {
    const store = await join();
    await Promise.all(Array.from({ length: 30 }, (_, n) => store.add(job(`j${n}`))));
    const running = await store.take();
    await redis.kill();
    await expect(store.add(job('refused'))).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('cannot be reached'),
    });
    const ending = store.complete(result(running?.jobId ?? ''), noSave);
    const start = performance.now();
    await redis.up();
    expect(await ending).toMatchObject({ state: 'finished' });
    const taken = new Set<string>();
    for (let next = await store.take(); next; next = await store.take()) taken.add(next.jobId);
    expect(taken.size).toBe(29);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});
