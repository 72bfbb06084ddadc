import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Journal } from '../../../bridge/jobs/journal.ts';
import { LocalJobStore } from '../../../bridge/jobs/local-job-store.ts';
import { generationParams } from '../../../protocol/generation.ts';
import { fakeSummary, imageFrame } from '../../fakes/tab-frames.ts';
import { logLines, temporaryFolder } from '../support.ts';

let folder: ReturnType<typeof temporaryFolder>;
let store: LocalJobStore | null = null;
let now = 1_000_000;

beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(async () => {
  await store?.close();
  store = null;
  folder.remove();
});

const LOST = { code: 'tab-disconnected', message: 'gone' } as const;

async function open(limit = 64): Promise<LocalJobStore> {
  await store?.close();
  store = await LocalJobStore.open({
    folder: folder.path,
    limit,
    log: logLines().log,
    now: () => now,
  });
  return store;
}

const job = (jobId: string, prompt = jobId) => ({
  jobId,
  client: 'test',
  key: `key-${jobId}`,
  params: generationParams.parse({ prompt, initImages: ['AAAA'] }),
  saveImages: true,
});
const result = (jobId: string, seed = 1) => ({
  jobId,
  images: [imageFrame({ jobId, attempt: 1 }, { seed })],
  summary: fakeSummary(),
});
const journal = () => readFileSync(join(folder.path, 'journal.jsonl'), 'utf8');
const noSave = async () => [null];

describe('the embedded job store', () => {
  it('R1 has a job on disk before it is accepted', async () => {
    const jobs = await open();
    const accepted = jobs.add(job('a'));
    await accepted;
    expect(journal()).toContain('"jobId":"a"');
    expect(statSync(join(folder.path, 'journal.jsonl')).mode & 0o777).toBe(0o600);
  });

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
    expect(jobs.get('c')?.params).toMatchObject({ prompt: 'c', initImages: ['AAAA'] });
    expect(jobs.get('a')).toMatchObject({
      state: 'finished',
      savedAs: ['/out/a.png'],
      params: { initImages: [] },
    });
    expect(jobs.get('b')).toMatchObject({ state: 'failed', error: { code: 'out-of-memory' } });
    expect((await jobs.result('a'))?.images[0]?.seed).toBe(42);
    expect(await jobs.resume({ jobId: 'c', attempt: 1 })).toBe(true);
    expect(await jobs.resume({ jobId: 'd', attempt: 1 })).toBe(false);
    expect(await jobs.take()).toMatchObject({ jobId: 'd', attempt: 1 });
  });

  it('R6 reads a journal that was cut short at any byte, and loses no whole line', async () => {
    let jobs = await open();
    for (const id of ['a', 'b', 'c']) await jobs.add(job(id));
    await jobs.close();
    store = null;
    const whole = readFileSync(join(folder.path, 'journal.jsonl'));
    const lineEnds = [...whole.entries()]
      .filter(([, byte]) => byte === 10)
      .map(([index]) => index + 1);
    for (let cut = 0; cut <= whole.length; cut += 37) {
      writeFileSync(join(folder.path, 'journal.jsonl'), whole.subarray(0, cut));
      jobs = await open();
      // A line whose break alone is missing is whole.
      const expected = lineEnds.filter((end) => end - 1 <= cut).length;
      expect(jobs.open().length, `cut at ${cut}`).toBe(expected);
      await jobs.add(job('late'));
      jobs = await open();
      expect(jobs.get('late')?.state).toBe('waiting');
    }
  });

  it('leaves damaged and foreign lines out and keeps the rest', async () => {
    let jobs = await open();
    await jobs.add(job('a'));
    await jobs.close();
    store = null;
    appendFileSync(
      join(folder.path, 'journal.jsonl'),
      'not json\n{"type":"unknown"}\n{"type":"taken","jobId":"nobody","attempt":1,"startedAt":1}\n',
    );
    jobs = await open();
    await jobs.add(job('b'));
    jobs = await open();
    expect(jobs.open().map(({ jobId }) => jobId)).toEqual(['a', 'b']);
  });

  it('R5 leaves a result whole or not at all', async () => {
    const jobs = await open();
    await jobs.add(job('a'));
    await jobs.take();
    await jobs.complete(result('a'), async ({ isRedo, kept }) => {
      expect(isRedo).toBe(false);
      await kept;
      expect(readdirSync(join(folder.path, 'results'))).toEqual(['a.json']);
      return ['/out/a.png'];
    });
    writeFileSync(join(folder.path, 'results', '.dead.tmp'), 'half a result');
    writeFileSync(join(folder.path, 'results', 'a.json'), '{"jobId":"a"');
    const again = await open();
    expect(readdirSync(join(folder.path, 'results'))).toEqual(['a.json']);
    expect(await again.result('a')).toBeNull();
  });

  it('forgets jobs and results after a day', async () => {
    let jobs = await open();
    await jobs.add(job('a'));
    await jobs.take();
    await jobs.complete(result('a'), noSave);
    now += 23 * 3_600_000;
    jobs = await open();
    expect(jobs.get('a')?.state).toBe('finished');
    now += 2 * 3_600_000;
    jobs = await open();
    expect(jobs.get('a')).toBeNull();
    expect(readdirSync(join(folder.path, 'results'))).toEqual([]);
    expect(journal()).not.toContain('"jobId":"a"');
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
});

describe('the journal', () => {
  it('shares one flush between appends that come together, and keeps their order', async () => {
    const path = join(folder.path, 'j.jsonl');
    const { journal: file } = await Journal.open(path);
    await Promise.all(
      Array.from({ length: 200 }, (_, n) => file.append({ n }, { isSync: n % 7 === 0 })),
    );
    await file.rewrite([{ kept: true }]);
    await file.append({ n: 200 }, { isSync: true });
    await file.close();
    const { records, torn, journal: again } = await Journal.open(path);
    await again.close();
    expect([records, torn]).toEqual([[{ kept: true }, { n: 200 }], 0]);
  });
});
