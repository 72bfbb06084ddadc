import { z } from 'zod';
import { BYPRODUCT_KINDS } from '../../protocol/byproducts.ts';
import { serializedError } from '../../protocol/errors.ts';
import { generationParams, withoutPictures } from '../../protocol/generation.ts';
import { jobId } from '../../protocol/job.ts';
import type { Logger } from '../log.ts';
import type { JobRecord } from './job-store.ts';
import { Journal, type JournalRecord } from './journal.ts';

/** Size beyond which the journal is rewritten with what still counts. */
const LARGE_BYTES = 64 * 1024 ** 2;

const storedRecord = z.object({
  jobId,
  client: z.string(),
  key: z.string().nullable(),
  params: generationParams,
  saveImages: z.boolean(),
  saving: z
    .object({
      ...{ file: z.string(), folder: z.string().nullable(), hasText: z.boolean() },
      maxPromptWords: z.int().min(1).max(100).optional(),
      byproducts: z.array(z.enum(BYPRODUCT_KINDS)).optional(),
    })
    .optional(),
  state: z.enum(['waiting', 'running', 'finished', 'failed']),
  attempt: z.int().min(0),
  lostAttempts: z.int().min(0),
  acceptedAt: z.number(),
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
  error: serializedError.nullable(),
  savedAs: z.array(z.string().nullable()),
});

/** What happened to a job. `job` carries everything; the others change what they name. */
const line = z.discriminatedUnion('type', [
  z.object({ type: z.literal('job'), job: storedRecord }),
  z.object({
    type: z.literal('taken'),
    jobId,
    attempt: z.int(),
    startedAt: z.number().nullable(),
  }),
  z.object({ type: z.literal('released'), jobId, lostAttempts: z.int() }),
  z.object({
    type: z.literal('ended'),
    jobId,
    state: z.enum(['finished', 'failed']),
    endedAt: z.number(),
    error: serializedError.nullable(),
    savedAs: z.array(z.string().nullable()),
  }),
]);
type Line = z.infer<typeof line>;

function replay(lines: readonly Line[]): JobRecord[] {
  const jobs = new Map<string, JobRecord>();
  for (const entry of lines) {
    if (entry.type === 'job') {
      jobs.set(entry.job.jobId, entry.job);
      continue;
    }
    const job = jobs.get(entry.jobId);
    if (!job) continue;
    if (entry.type === 'taken') {
      const { attempt, startedAt } = entry;
      jobs.set(job.jobId, { ...job, state: 'running', attempt, startedAt });
    } else if (entry.type === 'released') {
      jobs.set(job.jobId, { ...job, state: 'waiting', lostAttempts: entry.lostAttempts });
    } else {
      const { state, endedAt, error, savedAs } = entry;
      const params = withoutPictures(job.params);
      jobs.set(job.jobId, { ...job, state, endedAt, error, savedAs, params });
    }
  }
  // What ran when the process ended waits again; the restart is not the engine's fault.
  return [...jobs.values()].map((job) =>
    job.state === 'running' ? { ...job, state: 'waiting' } : job,
  );
}

/** The queue's journal: knows the meaning of its lines, and that a full disk must not stop a picture. */
export class JobJournal {
  readonly #journal: Journal;
  readonly #log: Logger;

  constructor(journal: Journal, log: Logger) {
    this.#journal = journal;
    this.#log = log;
  }

  async #append(record: JournalRecord, isSync: boolean): Promise<void> {
    try {
      await this.#journal.append(record, { isSync });
    } catch (error) {
      this.#log.error(
        'The journal cannot be written; jobs go on but would not survive a restart.',
        {
          error: String(error),
        },
      );
    }
  }

  get isLarge(): boolean {
    return this.#journal.sizeBytes > LARGE_BYTES;
  }

  /** Durable once resolved. */
  async accepted(job: JobRecord): Promise<void> {
    await this.#append({ type: 'job', job }, true);
  }

  taken({ jobId, attempt, startedAt }: JobRecord): void {
    void this.#append({ type: 'taken', jobId, attempt, startedAt }, false);
  }

  released({ jobId, lostAttempts }: JobRecord): void {
    void this.#append({ type: 'released', jobId, lostAttempts }, false);
  }

  /** `isResultKept`: the result's own file already says that the job is done, so no fsync is needed. */
  async ended(
    { jobId, state, endedAt, error, savedAs }: JobRecord,
    isResultKept: boolean,
  ): Promise<void> {
    await this.#append({ type: 'ended', jobId, state, endedAt, error, savedAs }, !isResultKept);
  }

  /** Rewrites the journal with these jobs alone. */
  async compact(jobs: readonly JobRecord[]): Promise<void> {
    try {
      await this.#journal.rewrite(jobs.map((job) => ({ type: 'job', job })));
    } catch (error) {
      this.#log.error('The journal could not be compacted.', { error: String(error) });
    }
  }

  async close(): Promise<void> {
    await this.#journal.close();
  }
}

/** Opens a journal and replays it; lines that do not parse are counted and left out. */
export async function openJobJournal(
  path: string,
  { log }: { log: Logger },
): Promise<{ journal: JobJournal; records: JobRecord[] }> {
  const { journal, records, torn } = await Journal.open(path);
  const lines: Line[] = [];
  let unknown = torn;
  for (const record of records) {
    const parsed = line.safeParse(record);
    if (parsed.success) lines.push(parsed.data);
    else unknown += 1;
  }
  if (unknown > 0) log.warn('Lines of the job journal could not be read.', { lines: unknown });
  return { journal: new JobJournal(journal, log), records: replay(lines) };
}
