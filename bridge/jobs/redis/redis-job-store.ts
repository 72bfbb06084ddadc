import type { Job } from 'bullmq';
import { GenerationError, type SerializedError } from '../../../protocol/errors.ts';
import { withoutPictures } from '../../../protocol/generation.ts';
import type { JobEvent } from '../../../protocol/job.ts';
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
  type SharedEngines,
  type StoredResult,
  type StoreEvent,
} from '../job-store.ts';
import { ownerOf } from '../turns.ts';
import {
  awayError,
  type JobLoad,
  keyOf,
  type LinkMessage,
  LOCK_MS,
  type RedisLink,
} from './redis-link.ts';
import { ADD, END, UPDATE } from './scripts.ts';
import { SharedPresence } from './shared-presence.ts';

const KEEP_MS = 24 * 3_600_000;
const KEEP_JOBS = 1_000;
/** Pictures lie in memory there, so they are kept for a shorter time than on a disk. */
const RESULT_SECONDS = 3_600;
const RENEW_MS = 3_000;
/** A bridge that ends a job has so long until another may. */
const ENDING_MS = 10_000;
const RETRY_MS = 250;
/** A waiting job that BullMQ does not have after so long was never accepted: its bridge died in between. */
const GHOST_MS = 60_000;
const KEYS = ['jobs', 'open', 'ended', 'tags'].map(keyOf);

export interface RedisJobStoreOptions {
  readonly link: RedisLink;
  /** Jobs that may wait or run at a time, of all bridges together. */
  readonly limit: number;
  /** Ended jobs that are remembered. */
  readonly keepJobs?: number;
  readonly now?: () => number;
}

const isOpen = ({ state }: JobRecord) => state === 'waiting' || state === 'running';
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * The queue of several bridges. BullMQ gives each job to one bridge at a time and returns those of a dead
 * bridge; the records lie beside it, and every bridge has a copy of them that the others keep up to date.
 */
export class RedisJobStore implements JobStore {
  readonly #link: RedisLink;
  readonly #limit: number;
  readonly #keepJobs: number;
  readonly #now: () => number;
  readonly #presence: SharedPresence;
  readonly #records = new Map<string, JobRecord>();
  /** Jobs whose lock this bridge has. */
  readonly #held = new Map<string, Job<JobLoad>>();
  readonly #ending = new Set<string>();
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  readonly #renewer: NodeJS.Timeout;
  #isClosed = false;

  private constructor({ link, limit, keepJobs = KEEP_JOBS, now = Date.now }: RedisJobStoreOptions) {
    this.#link = link;
    this.#limit = limit;
    this.#keepJobs = keepJobs;
    this.#now = now;
    this.#presence = new SharedPresence((has) => link.tell({ type: 'engines', has }), now);
    this.#renewer = setInterval(() => this.#renew(), RENEW_MS);
    this.#renewer.unref();
  }

  /** Opens the shared queue with everything that is in it. */
  static async open(options: RedisJobStoreOptions): Promise<RedisJobStore> {
    const store = new RedisJobStore(options);
    const { link } = options;
    link.onMessage((message, from) => store.#hear(message, from));
    link.worker.on('stalled', (jobId) => store.#announce(jobId));
    await store.#reload();
    await store.#endGhosts();
    link.onBack(() => void store.#reload().catch(() => {}));
    return store;
  }

  get sharedEngines(): SharedEngines {
    return this.#presence;
  }

  /** Reads every record again: messages are lost while Redis is away. */
  async #reload(): Promise<void> {
    const { redis } = this.#link;
    const order = await redis.zrange(keyOf('open'), 0, -1);
    const all = await redis.hgetall(keyOf('jobs'));
    for (const jobId of this.#records.keys()) {
      if (!(jobId in all)) this.#records.delete(jobId);
    }
    for (const jobId of new Set([...order, ...Object.keys(all)])) {
      const text = all[jobId];
      if (text !== undefined) this.#accept(JSON.parse(text) as JobRecord);
    }
    for (const { jobId, state } of this.open()) {
      if (state === 'waiting') this.#emit({ type: 'available', jobId });
    }
  }

  #emit(event: StoreEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** Takes over a record from elsewhere unless ours is newer. */
  #accept(record: JobRecord): void {
    const ours = this.#records.get(record.jobId);
    if (ours && (!isOpen(ours) || ours.attempt > record.attempt)) return;
    this.#records.set(record.jobId, record);
    if (isOpen(record)) return;
    this.#forgetOld();
    void this.#settle(record.jobId);
    this.#emit({ type: 'ended', jobId: record.jobId });
  }

  #hear(message: LinkMessage, from: string): void {
    switch (message.type) {
      case 'record':
        this.#accept(message.record);
        break;
      case 'engines':
        this.#presence.heard(from, message.has);
        break;
      default:
        this.#emit(message);
    }
  }

  async #endGhosts(): Promise<void> {
    const horizon = this.#now() - GHOST_MS;
    for (const { jobId, state, acceptedAt } of this.open()) {
      if (state !== 'waiting' || acceptedAt > horizon) continue;
      if (await this.#link.queue.getJob(jobId)) continue;
      const message = 'The bridge ended while it accepted the job.';
      await this.fail(jobId, { code: 'cancelled', message });
    }
  }

  /** Our copies of ended jobs go with those in Redis, which counts them the same way. */
  #forgetOld(): void {
    if (this.#records.size < 2 * this.#keepJobs) return;
    const kept = new Set(this.ended().slice(0, this.#keepJobs));
    for (const record of this.#records.values()) {
      if (!isOpen(record) && !kept.has(record)) this.#records.delete(record.jobId);
    }
  }

  /** Says here and elsewhere that a job waits to be taken. */
  #announce(jobId: string): void {
    this.#emit({ type: 'available', jobId });
    this.#link.tell({ type: 'available', jobId });
  }

  #keep(record: JobRecord): void {
    this.#records.set(record.jobId, record);
    this.#link.tell({ type: 'record', record });
  }

  #run(script: string, ...values: (string | number)[]): Promise<number> {
    return this.#link.redis.eval(script, KEYS.length, ...KEYS, ...values) as Promise<number>;
  }

  /** Tries until Redis is there: an outcome must not be lost because it is away. */
  async #insist<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (this.#isClosed) throw awayError(error);
        await sleep(RETRY_MS);
      }
    }
  }

  async add(job: NewJob): Promise<JobRecord> {
    if (this.#isClosed) throw new GenerationError('busy', 'Easel is stopping.');
    const params = withoutPictures(job.params);
    const record = acceptedJob({ ...job, params }, this.#now());
    const { jobId } = job;
    let priority: number;
    try {
      const text = JSON.stringify(record);
      priority = await this.#run(ADD, jobId, text, this.#limit, ownerOf(record));
      if (priority >= 0) {
        await this.#link.queue.add('job', { params: job.params }, { jobId, priority });
      }
    } catch (error) {
      const { redis } = this.#link;
      await redis.zrem(keyOf('open'), jobId).catch(() => {});
      await redis.hdel(keyOf('jobs'), jobId).catch(() => {});
      throw awayError(error);
    }
    if (priority < 0) throw queueFull(this.#limit);
    this.#keep(record);
    this.#announce(jobId);
    return record;
  }

  async take(): Promise<JobRecord | null> {
    for (;;) {
      if (this.#isClosed) return null;
      const job = await this.#insist(() =>
        this.#link.worker.getNextJob(this.#link.id, { block: false }),
      );
      if (!job) return null;
      const record = await this.#begin(job);
      if (record) return record;
    }
  }

  /** Starts an attempt at a job whose lock we have; null where it is no longer wanted. */
  async #begin(job: Job<JobLoad>): Promise<JobRecord | null> {
    const jobId = job.id ?? '';
    this.#held.set(jobId, job);
    const known = await this.#insist(() => this.#read(jobId));
    if (!known || !isOpen(known)) {
      await this.#settle(jobId);
      return null;
    }
    // Still running by its record: the bridge that had it is dead.
    const lostAttempts = known.lostAttempts + (known.state === 'running' ? 1 : 0);
    if (lostAttempts >= MAX_LOST_ATTEMPTS || job.deferredFailure) {
      const message = 'the bridge that had the engine ended.';
      await this.fail(jobId, givenUp(lostAttempts, { code: 'tab-disconnected', message }));
      return null;
    }
    const record: JobRecord = {
      ...known,
      state: 'running',
      attempt: known.attempt + 1,
      lostAttempts,
      startedAt: known.startedAt ?? this.#now(),
    };
    const isWanted = await this.#insist(() =>
      this.#run(UPDATE, jobId, JSON.stringify(record), job.priority ?? 0),
    );
    if (!isWanted) {
      await this.#settle(jobId);
      return null;
    }
    this.#keep(record);
    return { ...record, params: job.data.params };
  }

  async #read(jobId: string): Promise<JobRecord | null> {
    const text = await this.#link.redis.hget(keyOf('jobs'), jobId);
    return text === null ? null : (JSON.parse(text) as JobRecord);
  }

  async resume({ jobId, attempt }: Lease): Promise<boolean> {
    const record = this.#records.get(jobId);
    if (!record || !isOpen(record) || record.attempt !== attempt) return false;
    if (record.state === 'running') return this.#held.has(jobId);
    return await this.#takeBack(record).catch(() => false);
  }

  /** Fetches one particular waiting job: it is put first, and whatever else comes is put back. */
  async #takeBack(record: JobRecord): Promise<boolean> {
    const { queue, worker, id } = this.#link;
    const wanted = await queue.getJob(record.jobId);
    await wanted?.changePriority({ priority: 0, lifo: true });
    const job = await worker.getNextJob(id, { block: false });
    if (job && job.id !== record.jobId) await job.moveToWait(id);
    if (!job || job.id !== record.jobId) return false;
    this.#held.set(record.jobId, job);
    const lostAttempts = Math.max(0, record.lostAttempts - 1);
    const resumed: JobRecord = { ...record, state: 'running', lostAttempts };
    if (!(await this.#run(UPDATE, record.jobId, JSON.stringify(resumed), 0))) return false;
    this.#keep(resumed);
    return true;
  }

  async release(
    { jobId, attempt }: Lease,
    cause: SerializedError,
  ): Promise<'waiting' | 'failed' | 'stale'> {
    const record = this.#records.get(jobId);
    if (record?.state !== 'running' || record.attempt !== attempt || !this.#held.has(jobId)) {
      return 'stale';
    }
    const lostAttempts = record.lostAttempts + 1;
    if (lostAttempts >= MAX_LOST_ATTEMPTS) {
      await this.fail(jobId, givenUp(lostAttempts, cause));
      return 'failed';
    }
    return (await this.#putBack({ ...record, lostAttempts })) ? 'waiting' : 'stale';
  }

  /** Returns a job of ours to the front of the queue. */
  async #putBack(record: JobRecord): Promise<boolean> {
    const { jobId } = record;
    const job = this.#held.get(jobId);
    this.#held.delete(jobId);
    const waiting: JobRecord = { ...record, state: 'waiting' };
    if (!(await this.#insist(() => this.#run(UPDATE, jobId, JSON.stringify(waiting), 0)))) {
      return false;
    }
    this.#keep(waiting);
    try {
      await job?.moveToWait(this.#link.id);
      await job?.changePriority({ priority: 0, lifo: true });
    } catch {
      // Without the lock it is no longer ours to return: the check for dead bridges does it.
    }
    this.#announce(jobId);
    return true;
  }

  async complete(result: StoredResult, save: SavePictures): Promise<JobRecord | null> {
    const { jobId } = result;
    if (!(await this.#mayEnd(jobId))) return null;
    try {
      const key = keyOf(`result:${jobId}`);
      const isRedo = (await this.#insist(() => this.#link.redis.exists(key))) === 1;
      const text = JSON.stringify(result);
      const kept = this.#insist(() => this.#link.redis.set(key, text, 'EX', RESULT_SECONDS)).then(
        () => {},
      );
      const savedAs = await save({ isRedo, kept });
      await kept;
      return await this.#end(jobId, { state: 'finished', savedAs });
    } finally {
      this.#ending.delete(jobId);
    }
  }

  async fail(jobId: string, error: SerializedError): Promise<boolean> {
    if (!(await this.#mayEnd(jobId))) return false;
    try {
      return (await this.#end(jobId, { state: 'failed', error })) !== null;
    } finally {
      this.#ending.delete(jobId);
    }
  }

  /** True for the one that may write the job's outcome; waits while another bridge does. */
  async #mayEnd(jobId: string): Promise<boolean> {
    const { redis, id } = this.#link;
    for (;;) {
      const record = this.#records.get(jobId);
      if (!record || !isOpen(record) || this.#ending.has(jobId)) return false;
      this.#ending.add(jobId);
      const key = keyOf(`ending:${jobId}`);
      const got = await this.#insist(async () => {
        return (await redis.set(key, id, 'PX', ENDING_MS, 'NX')) ?? (await redis.get(key));
      });
      if (got === 'OK' || got === id) return true;
      this.#ending.delete(jobId);
      await sleep(RETRY_MS);
    }
  }

  async #end(jobId: string, changes: Partial<JobRecord>): Promise<JobRecord | null> {
    const record = this.#records.get(jobId);
    if (!record) return null;
    const now = this.#now();
    const ended: JobRecord = { ...record, ...changes, endedAt: now };
    const text = JSON.stringify(ended);
    const isFirst = await this.#insist(() =>
      this.#run(END, jobId, text, now, now - KEEP_MS, this.#keepJobs),
    );
    if (!isFirst) return null;
    this.#keep(ended);
    this.#forgetOld();
    void this.#settle(jobId);
    this.#emit({ type: 'ended', jobId });
    return ended;
  }

  /** Takes an ended job out of BullMQ; where that fails, whoever is given it next does it. */
  async #settle(jobId: string): Promise<void> {
    const job = this.#held.get(jobId);
    this.#held.delete(jobId);
    try {
      if (job) await job.moveToCompleted('', this.#link.id, false);
      else await this.#link.queue.remove(jobId);
    } catch {
      await this.#link.queue.remove(jobId).catch(() => {});
    }
  }

  #renew(): void {
    for (const job of this.#held.values()) {
      job.extendLock(this.#link.id, LOCK_MS).catch(() => {});
    }
  }

  cancel(jobId: string, mode: 'interrupt' | 'skip'): void {
    if (this.#records.get(jobId)?.state !== 'running') return;
    this.#emit({ type: 'cancel', jobId, mode });
    this.#link.tell({ type: 'cancel', jobId, mode });
  }

  publish(event: JobEvent): void {
    this.#emit({ type: 'progress', event });
    // Others need to know that there is a picture; its bytes come with the result.
    const light = event.type === 'job-image' ? { ...event, data: '', byproducts: [] } : event;
    this.#link.tell({ type: 'progress', event: light });
  }

  get(jobId: string): JobRecord | null {
    return this.#records.get(jobId) ?? null;
  }

  open(): readonly JobRecord[] {
    return [...this.#records.values()].filter(isOpen);
  }

  ended(): readonly JobRecord[] {
    const horizon = this.#now() - KEEP_MS;
    return [...this.#records.values()]
      .filter(({ endedAt }) => endedAt !== null && endedAt >= horizon)
      .sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0));
  }

  async result(jobId: string): Promise<StoredResult | null> {
    try {
      const text = await this.#link.redis.get(keyOf(`result:${jobId}`));
      return text === null ? null : (JSON.parse(text) as StoredResult);
    } catch (error) {
      throw awayError(error);
    }
  }

  onEvent(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    const isThere = this.#link.redis.status === 'ready';
    for (const jobId of isThere ? [...this.#held.keys()] : []) {
      const record = this.#records.get(jobId);
      if (record?.state === 'running') await this.#putBack(record).catch(() => {});
    }
    this.#isClosed = true;
    clearInterval(this.#renewer);
    await this.#link.close();
  }
}
