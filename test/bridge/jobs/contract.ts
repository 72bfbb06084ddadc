import { expect, it } from 'vitest';
import type { JobStore } from '../../../bridge/jobs/job-store.ts';
import { generationParams } from '../../../protocol/generation.ts';
import { fakeSummary, imageFrame } from '../../fakes/tab-frames.ts';

export const LOST = { code: 'tab-disconnected', message: 'gone' } as const;

export const job = (jobId: string, prompt = jobId) => ({
  jobId,
  client: 'test',
  key: `key-${jobId}`,
  params: generationParams.parse({ prompt, initImages: ['AAAA'] }),
  saveImages: true,
});
export const result = (jobId: string, seed = 1) => ({
  jobId,
  images: [imageFrame({ jobId, attempt: 1 }, { seed })],
  summary: fakeSummary(),
});
export const noSave = async () => [null];

/**
 * What every queue does, whatever it is kept in. `open` gives the store; called again, it closes the one
 * before in good order and opens what is left.
 */
export function jobStoreContract(open: (limit?: number) => Promise<JobStore>): void {
  it('gives jobs out in the order of acceptance and returns a lost one to the front', async () => {
    const jobs = await open();
    for (const id of ['a', 'b', 'c']) await jobs.add(job(id));
    const first = await jobs.take();
    expect(first).toMatchObject({ jobId: 'a', attempt: 1, state: 'running' });
    expect(await jobs.release({ jobId: 'a', attempt: 1 }, LOST)).toBe('waiting');
    expect(await jobs.take()).toMatchObject({ jobId: 'a', attempt: 2 });
    expect(await jobs.take()).toMatchObject({ jobId: 'b', attempt: 1 });
    expect(await jobs.release({ jobId: 'a', attempt: 1 }, LOST)).toBe('stale');
    expect(jobs.open().map(({ jobId, state }) => [jobId, state])).toEqual([
      ['a', 'running'],
      ['b', 'running'],
      ['c', 'waiting'],
    ]);
  });

  it('R4 ends a job once: of two outcomes the first counts', async () => {
    const jobs = await open();
    await jobs.add(job('a'));
    await jobs.take();
    const both = await Promise.all([
      jobs.complete(result('a', 1), noSave),
      jobs.complete(result('a', 2), noSave),
    ]);
    expect(both.map((record) => record?.state ?? null)).toEqual(['finished', null]);
    expect(await jobs.fail('a', LOST)).toBe(false);
    expect(await jobs.release({ jobId: 'a', attempt: 1 }, LOST)).toBe('stale');
    expect((await jobs.result('a'))?.images[0]?.seed).toBe(1);
  });

  it('R4 gives a job up after two redeliveries, with the cause', async () => {
    const jobs = await open();
    await jobs.add(job('a'));
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      await jobs.take();
      expect(await jobs.release({ jobId: 'a', attempt }, LOST)).toBe('waiting');
    }
    await jobs.take();
    expect(await jobs.release({ jobId: 'a', attempt: 3 }, LOST)).toBe('failed');
    expect(jobs.get('a')).toMatchObject({ state: 'failed', error: { code: 'internal' } });
    expect(await jobs.take()).toBeNull();
  });

  it('R13 takes no more than its limit, open jobs counted', async () => {
    const jobs = await open(2);
    await Promise.all([jobs.add(job('a')), jobs.add(job('b'))]);
    await expect(jobs.add(job('c'))).rejects.toMatchObject({ code: 'busy' });
    await jobs.take();
    await jobs.complete(result('a'), noSave);
    await jobs.add(job('d'));
  });

  it('R6 brings back what was open, in order, and what had ended', async () => {
    let jobs = await open();
    for (const id of ['a', 'b', 'c', 'd']) await jobs.add(job(id));
    await jobs.take();
    await jobs.complete(result('a', 42), async () => ['/out/a.png']);
    await jobs.take();
    await jobs.fail('b', { code: 'out-of-memory', message: 'too large' });
    await jobs.take();
    jobs = await open();
    expect(jobs.open().map(({ jobId, state, attempt }) => [jobId, state, attempt])).toEqual([
      ['c', 'waiting', 1],
      ['d', 'waiting', 0],
    ]);
    expect(jobs.get('c')?.params.prompt).toBe('c');
    expect(jobs.get('a')).toMatchObject({
      state: 'finished',
      savedAs: ['/out/a.png'],
      params: { initImages: [] },
    });
    expect(jobs.get('b')).toMatchObject({ state: 'failed', error: { code: 'out-of-memory' } });
    expect((await jobs.result('a'))?.images[0]?.seed).toBe(42);
    expect(await jobs.resume({ jobId: 'c', attempt: 1 })).toBe(true);
    expect(await jobs.resume({ jobId: 'd', attempt: 1 })).toBe(false);
    const params = { prompt: 'd', initImages: ['AAAA'] };
    expect(await jobs.take()).toMatchObject({ jobId: 'd', attempt: 1, params });
  });

  it('tells of what happens, once each', async () => {
    const jobs = await open();
    const seen: string[] = [];
    const stop = jobs.onEvent((event) =>
      seen.push(event.type === 'progress' ? event.type : `${event.type} ${event.jobId}`),
    );
    await jobs.add(job('a'));
    jobs.cancel('a', 'skip');
    await jobs.take();
    jobs.cancel('a', 'skip');
    await jobs.complete(result('a'), noSave);
    stop();
    await jobs.add(job('b'));
    expect(seen).toEqual(['available a', 'cancel a', 'ended a']);
  });

  it('R13 lets clients take turns, and returns a lost job before them', async () => {
    const jobs = await open();
    for (const id of ['a1', 'a2', 'a3']) await jobs.add({ ...job(id), owner: 'greedy' });
    for (const id of ['b1', 'b2']) await jobs.add({ ...job(id), owner: 'modest' });
    const order: (string | undefined)[] = [];
    order.push((await jobs.take())?.jobId, (await jobs.take())?.jobId);
    await jobs.release({ jobId: 'a1', attempt: 1 }, LOST);
    for (let n = 0; n < 4; n += 1) order.push((await jobs.take())?.jobId);
    expect(order.slice(0, 3)).toEqual(['a1', 'b1', 'a1']);
    // Whether the lost attempt was a turn is the store's choice.
    expect(order.slice(3, 5).toSorted()).toEqual(['a2', 'b2']);
    expect(order[5]).toBe('a3');
  });

  it('gives whoever takes a job the pictures that were sent along', async () => {
    const jobs = await open();
    await jobs.add(job('a'));
    expect((await jobs.take())?.params.initImages).toEqual(['AAAA']);
    await jobs.complete(result('a'), noSave);
    expect(jobs.get('a')?.params.initImages).toEqual([]);
  });
}
