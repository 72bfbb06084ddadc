import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Journal } from '../../../bridge/jobs/journal.ts';
import { LocalJobStore } from '../../../bridge/jobs/local-job-store.ts';
import { logLines, temporaryFolder } from '../support.ts';
import { job, jobStoreContract, noSave, result } from './contract.ts';

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

const journal = () => readFileSync(join(folder.path, 'journal.jsonl'), 'utf8');

describe('the embedded job store', () => {
  jobStoreContract(open);

  it('R1 has a job on disk before it is accepted', async () => {
    const jobs = await open();
    const accepted = jobs.add(job('a'));
    await accepted;
    expect(journal()).toContain('"jobId":"a"');
    expect(statSync(join(folder.path, 'journal.jsonl')).mode & 0o777).toBe(0o600);
  });

  it('R17 keeps no more ended jobs than it says, also between two sweeps', async () => {
    const jobs = await open();
    const lost = { code: 'tab-disconnected', message: 'gone' } as const;
    for (let place = 0; place < 1_200; place += 1) {
      now += 1;
      await jobs.add(job(`j${place}`));
      await jobs.fail(`j${place}`, lost);
    }
    expect(jobs.ended().length).toBeLessThanOrEqual(1_100);
    expect(jobs.get('j0')).toBeNull();
    expect(jobs.get('j1199')).not.toBeNull();
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
