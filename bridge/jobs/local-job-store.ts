import { join } from 'node:path';
import { GenerationError, type SerializedError } from '../../protocol/errors.ts';
import { withoutPictures } from '../../protocol/generation.ts';
import type { JobEvent } from '../../protocol/job.ts';
import type { Logger } from '../log.ts';
import { type JobJournal, openJobJournal } from './job-journal.ts';
import {
  acceptedJob,
  givenUp,
  type JobRecord,
  type JobStore,
  type Lease,
  MAX_LOST_ATTEMPTS,
  type NewJob,
  queueFull,
  type SavePictures,
  type StoredResult,
  type StoreEvent,
} from './job-store.ts';
import { ResultSpool } from './result-spool.ts';
import { Turns } from './turns.ts';

/** How long, how many and how large ended jobs are kept. */
const KEEP_MS = 24 * 3_600_000;
const KEEP_JOBS = 1_000;
const KEEP_BYTES = 2 * 1024 ** 3;
const SWEEP_MS = 10 * 60_000;
/** So many ended jobs beyond those that are kept are swept away without waiting for the time. */
const SWEEP_JOBS = 100;

interface Entry {
  record: JobRecord;
  /** True while the outcome is being written: whoever comes second is late. */
  isEnding: boolean;
}

export interface LocalJobStoreOptions {
  /** Folder of journal and results; made where there is none. */
  readonly folder: string;
  /** Jobs that may wait or run at a time. */
  readonly limit: number;
  readonly log: Logger;
  readonly now?: () => number;
}

/** The embedded queue: clients take turns, each first in, first out; in this process, journalled to disk. */
export class LocalJobStore implements JobStore {
  readonly #limit: number;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #journal: JobJournal;
  readonly #spool: ResultSpool;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  readonly #sweeper: NodeJS.Timeout;
  readonly #turns = new Turns();
  #waiting: string[] = [];
  /** What `open` and `ended` say until the next change: progress is polled thousands of times a second. */
  #lists: { readonly open: readonly JobRecord[]; readonly ended: readonly JobRecord[] } | null =
    null;
  #isClosed = false;

  private constructor(
    { limit, log, now = Date.now }: LocalJobStoreOptions,
    journal: JobJournal,
    spool: ResultSpool,
    records: readonly JobRecord[],
  ) {
    this.#limit = limit;
    this.#log = log;
    this.#now = now;
    this.#journal = journal;
    this.#spool = spool;
    for (const record of records) {
      this.#entries.set(record.jobId, { record, isEnding: false });
      if (record.state === 'waiting') this.#waiting.push(record.jobId);
    }
    this.#sweeper = setInterval(() => void this.#sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** Opens the store and brings back what an earlier run accepted and did not finish. */
  static async open(options: LocalJobStoreOptions): Promise<LocalJobStore> {
    const spool = await ResultSpool.open(join(options.folder, 'results'));
    const { journal, records } = await openJobJournal(join(options.folder, 'journal.jsonl'), {
      log: options.log,
    });
    const store = new LocalJobStore(options, journal, spool, records);
    await store.#sweep();
    await journal.compact(store.#records());
    return store;
  }

  #records(): JobRecord[] {
    return [...this.#entries.values()].map(({ record }) => record);
  }

  #emit(event: StoreEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  #update(entry: Entry, changes: Partial<JobRecord>): JobRecord {
    entry.record = { ...entry.record, ...changes };
    this.#lists = null;
    return entry.record;
  }

  #openEntry(jobId: string): Entry | null {
    const entry = this.#entries.get(jobId);
    const isOpen = entry?.record.state === 'waiting' || entry?.record.state === 'running';
    return entry && isOpen && !entry.isEnding ? entry : null;
  }

  async add(job: NewJob): Promise<JobRecord> {
    if (this.#isClosed) throw new GenerationError('busy', 'Easel is stopping.');
    if (this.open().length >= this.#limit) {
      throw queueFull(this.#limit);
    }
    const record = acceptedJob(job, this.#now());
    const entry: Entry = { record, isEnding: false };
    this.#entries.set(job.jobId, entry);
    this.#lists = null;
    await this.#journal.accepted(record);
    if (this.#openEntry(job.jobId)) {
      this.#waiting.push(job.jobId);
      this.#emit({ type: 'available', jobId: job.jobId });
    }
    return entry.record;
  }

  async take(): Promise<JobRecord | null> {
    for (;;) {
      const jobId = this.#nextWaiting();
      if (jobId === undefined) return null;
      const entry = this.#openEntry(jobId);
      if (!entry) continue;
      const { attempt, startedAt } = entry.record;
      this.#turns.served(entry.record);
      const record = this.#update(entry, {
        state: 'running',
        attempt: attempt + 1,
        startedAt: startedAt ?? this.#now(),
      });
      this.#journal.taken(record);
      return record;
    }
  }

  /** Takes the next job out of the waiting ones. */
  #nextWaiting(): string | undefined {
    const place = this.#turns.next(
      this.#waiting.map((jobId) => this.#entries.get(jobId)?.record ?? null),
    );
    return place < 0 ? undefined : this.#waiting.splice(place, 1)[0];
  }

  async resume({ jobId, attempt }: Lease): Promise<boolean> {
    const entry = this.#openEntry(jobId);
    if (!entry || entry.record.attempt !== attempt) return false;
    if (entry.record.state === 'running') return true;
    const place = this.#waiting.indexOf(jobId);
    if (place >= 0) this.#waiting.splice(place, 1);
    const lostAttempts = Math.max(0, entry.record.lostAttempts - 1);
    this.#update(entry, { state: 'running', lostAttempts });
    return true;
  }

  async release(
    { jobId, attempt }: Lease,
    cause: SerializedError,
  ): Promise<'waiting' | 'failed' | 'stale'> {
    const entry = this.#openEntry(jobId);
    if (entry?.record.state !== 'running' || entry.record.attempt !== attempt) {
      return 'stale';
    }
    const lostAttempts = entry.record.lostAttempts + 1;
    if (lostAttempts >= MAX_LOST_ATTEMPTS) {
      await this.fail(jobId, givenUp(lostAttempts, cause));
      return 'failed';
    }
    const record = this.#update(entry, { state: 'waiting', lostAttempts });
    this.#journal.released(record);
    this.#waiting.unshift(jobId);
    this.#emit({ type: 'available', jobId });
    return 'waiting';
  }

  async complete(result: StoredResult, save: SavePictures): Promise<JobRecord | null> {
    const entry = this.#openEntry(result.jobId);
    if (!entry) return null;
    entry.isEnding = true;
    this.#waiting = this.#waiting.filter((jobId) => jobId !== result.jobId);
    const isRedo = this.#spool.has(result.jobId);
    const kept = isRedo ? Promise.resolve() : this.#keep(result);
    const savedAs = await save({ isRedo, kept });
    await kept;
    return await this.#end(entry, { state: 'finished', savedAs });
  }

  /** A result that cannot be kept for later is no reason to keep it from its client. */
  async #keep(result: StoredResult): Promise<void> {
    try {
      await this.#spool.write(result);
    } catch (error) {
      this.#log.error('A result could not be kept for later; the client still gets it.', {
        job: result.jobId,
        error: String(error),
      });
    }
  }

  async fail(jobId: string, error: SerializedError): Promise<boolean> {
    const entry = this.#openEntry(jobId);
    if (!entry) return false;
    entry.isEnding = true;
    this.#waiting = this.#waiting.filter((waiting) => waiting !== jobId);
    await this.#end(entry, { state: 'failed', error });
    return true;
  }

  async #end(entry: Entry, changes: Partial<JobRecord>): Promise<JobRecord> {
    // Pictures sent along would fill the memory.
    const params = withoutPictures(entry.record.params);
    const record = this.#update(entry, { ...changes, params, endedAt: this.#now() });
    await this.#journal.ended(record, this.#spool.has(record.jobId));
    this.#emit({ type: 'ended', jobId: record.jobId });
    if (this.#journal.isLarge) await this.#journal.compact(this.#records());
    if (this.#entries.size > KEEP_JOBS + this.#limit + SWEEP_JOBS) void this.#sweep();
    return record;
  }

  cancel(jobId: string, mode: 'interrupt' | 'skip'): void {
    if (this.#openEntry(jobId)?.record.state === 'running') {
      this.#emit({ type: 'cancel', jobId, mode });
    }
  }

  publish(event: JobEvent): void {
    this.#emit({ type: 'progress', event });
  }

  get(jobId: string): JobRecord | null {
    return this.#entries.get(jobId)?.record ?? null;
  }

  #listed() {
    if (this.#lists) return this.#lists;
    const records = this.#records();
    this.#lists = {
      open: records.filter(({ state }) => state === 'waiting' || state === 'running'),
      ended: records
        .filter(({ endedAt }) => endedAt !== null)
        .sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0)),
    };
    return this.#lists;
  }

  open(): readonly JobRecord[] {
    return this.#listed().open;
  }

  ended(): readonly JobRecord[] {
    return this.#listed().ended;
  }

  async result(jobId: string): Promise<StoredResult | null> {
    return await this.#spool.read(jobId);
  }

  onEvent(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets ended jobs beyond a day, a count and a size; the oldest go first. */
  async #sweep(): Promise<void> {
    const ended = this.ended();
    const horizon = this.#now() - KEEP_MS;
    const old = ended.filter(
      ({ endedAt }, index) => index >= KEEP_JOBS || (endedAt ?? 0) < horizon,
    );
    // Forgotten at once, so that what `ended` lists never waits for the disk; the files follow.
    for (const { jobId } of old) this.#entries.delete(jobId);
    this.#lists = null;
    for (const jobId of this.#spool.ids()) {
      const isTooMuch = this.#spool.totalBytes > KEEP_BYTES;
      if (!this.#entries.has(jobId) || isTooMuch) await this.#spool.remove(jobId);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#sweeper);
    await this.#journal.close();
  }
}
