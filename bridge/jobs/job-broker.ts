import { randomUUID } from 'node:crypto';
import { GenerationError, parseError, type SerializedError } from '../../protocol/errors.ts';
import { isTerminal, type JobEvent } from '../../protocol/job.ts';
import type { Logger } from '../log.ts';
import type { Tab } from '../relay/tab.ts';
import type { RelayListener, TabRelay } from '../relay/tab-relay.ts';
import { requestOwner } from '../security/request-owner.ts';
import type {
  JobRequest,
  JobResult,
  JobService,
  JobView,
  OutputStore,
  QueueView,
} from '../services.ts';
import { Dispatcher } from './dispatcher.ts';
import { EngineWait } from './engine-wait.ts';
import { HangUps } from './hang-ups.ts';
import {
  type JobRecord,
  type JobStore,
  type Lease,
  queueFull,
  type StoredResult,
  type StoreEvent,
} from './job-store.ts';
import { createWaiter, jobView, LiveJob, type Waiter } from './live-job.ts';
import { picturesOf } from './save-pictures.ts';
import { ownerOf } from './turns.ts';

/** How often waiting jobs are looked at. */
const SWEEP_MS = 250;

export interface JobBrokerOptions {
  readonly store: JobStore;
  readonly relay: TabRelay;
  readonly outputs: OutputStore;
  readonly log: Logger;
  /** Jobs that may wait or run at a time. */
  readonly limit: number;
  /** How long a request waits for a tab to be attached. */
  readonly engineWaitMs: number;
  /** Finish a job whose client has hung up, also one without a key to fetch it by. */
  readonly finishOrphans: boolean;
  /** Address to name to people who have no page open. */
  readonly pageUrl: () => string;
  readonly now?: () => number;
}

/** One client may have one part in so many of the queue: 16 of 64 jobs. */
const CLIENT_SHARE = 4;
/** A job that stood still is given to an engine once more, not twice: each time costs minutes. */
const MAX_STUCK_RETRIES = 1;

const CANCELLED: SerializedError = { code: 'cancelled', message: 'The job was cancelled.' };
const STOPPING = new GenerationError('busy', 'Easel is stopping. Ask again once it has restarted.');

/** Answers with a result from the store; it is kept there for as long as anybody waits. */
function answer(waiter: Waiter, result: JobResult | null): void {
  if (result) waiter.resolve(result);
  else waiter.reject(new GenerationError('internal', 'The result is no longer in the queue.'));
}

/** Brings jobs and tabs together, and answers everybody who waits for a job. */
export class JobBroker implements JobService, RelayListener {
  readonly #store: JobStore;
  readonly #relay: TabRelay;
  readonly #outputs: OutputStore;
  readonly #log: Logger;
  readonly #options: JobBrokerOptions;
  readonly #now: () => number;
  readonly #live = new Map<string, LiveJob>();
  readonly #listeners = new Set<(event: JobEvent) => void>();
  readonly #hangUps: HangUps;
  readonly #dispatcher: Dispatcher;
  readonly #engineWait: EngineWait;
  readonly #sweeper: NodeJS.Timeout;
  #isStopping = false;

  constructor(options: JobBrokerOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#relay = options.relay;
    this.#outputs = options.outputs;
    this.#log = options.log;
    this.#now = options.now ?? Date.now;
    this.#hangUps = new HangUps({ now: this.#now });
    this.#dispatcher = new Dispatcher(this.#store, this.#relay, (record) =>
      this.#onAssigned(record),
    );
    this.#engineWait = new EngineWait({
      relay: this.#relay,
      waitMs: options.engineWaitMs,
      pageUrl: options.pageUrl,
      now: this.#now,
    });
    this.#relay.listen(this);
    this.#store.onEvent((event) => this.#onStoreEvent(event));
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** Takes up what an earlier run left: results already on disk end their jobs, the rest waits again. */
  async recover(): Promise<void> {
    for (const record of this.#store.open()) {
      const result = await this.#store.result(record.jobId);
      if (result) {
        await this.#complete(record, result);
        continue;
      }
      const live = new LiveJob(null);
      live.isResumed = true;
      this.#live.set(record.jobId, live);
    }
    const { length } = this.#store.open();
    if (length > 0) this.#log.info('Jobs of the last run are taken up again.', { jobs: length });
    this.#dispatcher.wake();
  }

  async submit(
    request: JobRequest,
    { signal, onAccepted }: { signal?: AbortSignal; onAccepted?: (jobId: string) => void } = {},
  ): Promise<JobResult> {
    this.assertRoom(request.client);
    if (signal?.aborted) throw parseError(CANCELLED);
    const owner = requestOwner();
    const jobId = randomUUID();
    const waiter = createWaiter();
    // A rejection is reported by the await below, wherever it happens first.
    waiter.promise.catch(() => {});
    const live = new LiveJob(waiter);
    this.#live.set(jobId, live);
    try {
      await this.#store.add({ jobId, ...request, owner });
      live.isAccepted = true;
    } catch (error) {
      this.#live.delete(jobId);
      throw error;
    }
    onAccepted?.(jobId);
    const hangUp = () => this.#onHangUp(jobId);
    if (signal?.aborted) hangUp();
    signal?.addEventListener('abort', hangUp, { once: true });
    if (this.#options.engineWaitMs === 0) this.#sweep();
    try {
      return await waiter.promise;
    } finally {
      signal?.removeEventListener('abort', hangUp);
    }
  }

  assertRoom(client: string): void {
    if (this.#isStopping) throw STOPPING;
    if (this.#relay.isBlocked && !this.#hasOthers) throw this.#engineWait.error();
    const { limit } = this.#options;
    const open = this.#store.open();
    // A quarter of the queue is one client's, so that the others find room as well.
    const most = Math.max(1, Math.ceil(limit / CLIENT_SHARE));
    const owner = ownerOf({ owner: requestOwner(), client });
    const own = open.filter((record) => ownerOf(record) === owner).length;
    if (limit < CLIENT_SHARE || own < most) {
      if (open.length >= limit) throw queueFull(limit);
      return;
    }
    throw new GenerationError(
      'busy',
      `You have ${own} jobs in the queue, as many as one client may. Wait for one to end; --queue-size makes room for more.`,
    );
  }

  #onHangUp(jobId: string): void {
    const record = this.#store.get(jobId);
    const live = this.#live.get(jobId);
    if (!record || !live || this.#options.finishOrphans) return;
    // A client that named its job means to fetch it, and can.
    if (record.key !== null) return;
    live.isOrphan = true;
    if (record.state === 'waiting') {
      void this.#store.fail(jobId, CANCELLED);
    } else if (record.state === 'running' && !live.isInterrupted) {
      this.#hangUps.note(record.client);
      this.#interrupt(record);
    }
  }

  #interrupt(record: JobRecord): void {
    const live = this.#live.get(record.jobId);
    if (live) live.isInterrupted = true;
    this.#store.cancel(record.jobId, 'interrupt');
  }

  #onStoreEvent(event: StoreEvent): void {
    switch (event.type) {
      case 'available':
        this.#live.get(event.jobId)?.restart();
        this.#dispatcher.wake();
        break;
      case 'cancel':
        this.#noteCancel(event.jobId, event.mode);
        this.#relay.cancel(event.jobId, event.mode);
        break;
      case 'progress':
        this.#follow(event.event);
        for (const listener of [...this.#listeners]) listener(event.event);
        break;
      case 'ended':
        this.#onEnded(event.jobId);
        break;
      default:
        event satisfies never;
    }
  }

  /** What is known here of an open job, also of one that another bridge accepted. */
  #liveOf({ jobId }: Pick<JobRecord, 'jobId'>): LiveJob {
    const known = this.#live.get(jobId);
    if (known) return known;
    const live = new LiveJob(null);
    // Its pictures may have gone to the other bridge.
    live.isResumed = true;
    this.#live.set(jobId, live);
    return live;
  }

  /** Another bridge may have asked to end the job between our taking it and our tab having it. */
  #onAssigned(record: JobRecord): void {
    const live = this.#liveOf(record);
    if (live.isInterrupted) this.#relay.cancel(record.jobId, 'interrupt');
    else if (live.isSkipped) this.#relay.cancel(record.jobId, 'skip');
  }

  /** True while other bridges on the same queue have engines. */
  get #hasOthers(): boolean {
    return (this.#store.sharedEngines?.goneAt ?? Number.NEGATIVE_INFINITY) > this.#now();
  }

  /** Whoever asks for progress here sees also what engines of other bridges do. */
  #follow(event: JobEvent): void {
    const record = this.#store.get(event.jobId);
    if (record?.state !== 'running' || record.attempt !== event.attempt) return;
    const live = this.#liveOf(record);
    if (event.type === 'job-progress') live.progress = event;
    const hasPicture = event.type === 'job-preview' || event.type === 'job-image';
    if (hasPicture && event.data !== '') live.preview = event.data;
  }

  #noteCancel(jobId: string, mode: 'interrupt' | 'skip'): void {
    const record = this.#store.get(jobId);
    if (record?.state !== 'running') return;
    const live = this.#liveOf(record);
    if (mode === 'skip') live.isSkipped = true;
    else live.isInterrupted = true;
  }

  /** Jobs that ended otherwise than by a result of this bridge answer here, the others in `#complete`. */
  #onEnded(jobId: string): void {
    const record = this.#store.get(jobId);
    const live = this.#live.get(jobId);
    if (!record || !live || live.completions > 0) return;
    this.#live.delete(jobId);
    const { waiter } = live;
    if (record.state === 'failed') waiter?.reject(parseError(record.error ?? CANCELLED));
    else if (waiter) this.result(jobId).then((result) => answer(waiter, result), waiter.reject);
  }

  #sweep(): void {
    this.#store.sharedEngines?.announce(this.#relay.hasUsable);
    const othersUntil = this.#store.sharedEngines?.goneAt ?? 0;
    for (const { jobId, state, acceptedAt } of this.#store.open()) {
      // Jobs that nobody waits for any more have time until a page is opened.
      const isAwaited = state === 'waiting' && this.#live.get(jobId)?.waiter;
      if (!isAwaited || !this.#engineWait.isOver(Math.max(acceptedAt, othersUntil))) continue;
      const { code, message } = this.#engineWait.error();
      void this.#store.fail(jobId, { code, message });
    }
  }

  onReady(): void {
    this.#dispatcher.wake();
  }

  onJobEvent(tab: Tab, event: JobEvent): void {
    const record = this.#store.get(event.jobId);
    if (!record || record.endedAt !== null) {
      if (isTerminal(event)) this.#relay.forget(tab, event);
      return;
    }
    const live = this.#liveOf(record);
    const isCurrent = record.state === 'running' && record.attempt === event.attempt;
    switch (event.type) {
      case 'job-progress':
      case 'job-preview':
        if (!isCurrent) return;
        break;
      case 'job-image':
        live.addImage(event);
        if (!isCurrent) return;
        break;
      case 'job-finished':
        void this.#onFinished(tab, record, live, event);
        break;
      case 'job-failed':
        void this.#onFailed(tab, record, event, isCurrent);
        break;
      default:
        event satisfies never;
    }
    this.#store.publish(event);
  }

  async #onFinished(
    tab: Tab,
    record: JobRecord,
    live: LiveJob,
    event: Extract<JobEvent, { type: 'job-finished' }>,
  ): Promise<void> {
    const images = live.images(event.attempt);
    const expected = record.params.batchSize * record.params.batchCount;
    const isShort = images.length < expected && !event.summary.interrupted && !live.isSkipped;
    if (isShort && live.isResumed) {
      this.#log.warn('Pictures sent before the restart are missing; the job is redone.', {
        job: record.jobId,
      });
      this.#relay.forget(tab, event);
      await this.#store.release(event, {
        code: 'tab-disconnected',
        message: 'The bridge restarted in the middle of the job.',
      });
      return;
    }
    if (event.attempt !== record.attempt) {
      this.#log.info('A late result came first and counts.', {
        job: record.jobId,
        attempt: event.attempt,
      });
      this.#relay.cancel(record.jobId, 'interrupt');
    }
    await this.#complete(record, { jobId: record.jobId, images, summary: event.summary });
    this.#relay.forget(tab, event);
  }

  async #complete(record: JobRecord, result: StoredResult): Promise<void> {
    const save = picturesOf(record, result, { outputs: this.#outputs, log: this.#log });
    const live = this.#live.get(record.jobId);
    if (live) live.completions += 1;
    const ended = await this.#store.complete(result, save);
    if (live) live.completions -= 1;
    if (!ended) {
      // Another result counted; where that was another bridge's, nobody here has answered yet.
      if (this.#store.get(record.jobId)?.endedAt) this.#onEnded(record.jobId);
      return;
    }
    this.#live.delete(record.jobId);
    live?.waiter?.resolve({ ...result, savedAs: ended.savedAs });
  }

  async #onFailed(
    tab: Tab,
    record: JobRecord,
    event: Extract<JobEvent, { type: 'job-failed' }>,
    isCurrent: boolean,
  ): Promise<void> {
    if (isCurrent) {
      this.#log.warn('A job failed.', { job: record.jobId, code: event.error.code });
      // A lost device is the engine's accident: it makes itself a new one and the job is tried again.
      if (event.error.code === 'device-lost') await this.onLost(event, event.error);
      else await this.#store.fail(record.jobId, event.error);
    }
    this.#relay.forget(tab, event);
  }

  onClaim(tab: Tab, lease: Lease): void {
    const record = this.#store.get(lease.jobId);
    if (!record || record.endedAt !== null) {
      this.#relay.dismiss(tab, lease);
      return;
    }
    this.#liveOf(record);
    // Not to be given another job while the store thinks.
    tab.isReserved = true;
    void this.#store.resume(lease).then((mayGoOn) => {
      tab.isReserved = false;
      if (mayGoOn) this.#relay.adopt(tab, lease);
      this.#dispatcher.wake();
    });
  }

  async onLost(lease: Lease, cause: SerializedError, isStuck = false): Promise<void> {
    const live = this.#live.get(lease.jobId);
    if (isStuck && live) live.stuckAttempts += 1;
    if (live && live.stuckAttempts > MAX_STUCK_RETRIES) {
      const message = `The job stood still on two attempts, the last time because: ${cause.message} It was given up; a smaller size or another checkpoint may help.`;
      await this.#store.fail(lease.jobId, { code: 'internal', message });
    } else if (live?.isInterrupted) {
      const message = 'The job was interrupted, and its engine went away before it could answer.';
      await this.#store.fail(lease.jobId, { code: 'cancelled', message });
    } else {
      await this.#store.release(lease, cause);
    }
  }

  view(): QueueView {
    const open = this.#store.open();
    const running = open.filter(({ state }) => state === 'running');
    const oldest = running[0];
    return {
      waiting: open.length - running.length,
      running: running.length,
      limit: this.#options.limit,
      current: oldest ? this.#view(oldest) : null,
    };
  }

  #view(record: JobRecord): JobView {
    return jobView(record, this.#live.get(record.jobId) ?? null);
  }

  list(): readonly JobView[] {
    return this.#told(this.#store.open()).map((record) => this.#view(record));
  }

  /** Without jobs that are still being accepted: whoever sees a job may count on it. */
  #told(records: readonly JobRecord[]): readonly JobRecord[] {
    return records.filter(({ jobId }) => this.#live.get(jobId)?.isAccepted ?? true);
  }

  find(by: { jobId: string } | { key: string } | { last: true }): JobView | null {
    let record: JobRecord | null | undefined;
    if ('jobId' in by) record = this.#store.get(by.jobId);
    else if ('key' in by) {
      const open = this.#told(this.#store.open());
      const newestFirst = [...open.toReversed(), ...this.#store.ended()];
      record = newestFirst.find(({ key }) => key === by.key);
    } else record = this.#store.ended().find(({ state }) => state === 'finished');
    return record ? this.#view(record) : null;
  }

  async result(jobId: string): Promise<JobResult | null> {
    const record = this.#store.get(jobId);
    if (record?.state !== 'finished') return null;
    const result = await this.#store.result(jobId);
    return result ? { ...result, savedAs: record.savedAs } : null;
  }

  interrupt(jobId?: string, client?: string): void {
    if (jobId === undefined) {
      if (this.#hangUps.spend(client)) return;
      for (const record of this.#store.open()) {
        if (record.state === 'running') this.#interrupt(record);
      }
      return;
    }
    const record = this.#store.get(jobId);
    if (record?.state === 'waiting') void this.#store.fail(jobId, CANCELLED);
    else if (record?.state === 'running') this.#interrupt(record);
  }

  skip(): void {
    for (const record of this.#store.open()) {
      if (record.state !== 'running') continue;
      const live = this.#live.get(record.jobId);
      if (live) live.isSkipped = true;
      this.#store.cancel(record.jobId, 'skip');
    }
  }

  onEvent(listener: (event: JobEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** True while engines of this bridge have jobs, or their results are being written. */
  get #isWorking(): boolean {
    if (!this.#store.sharedEngines)
      return this.#store.open().some(({ state }) => state === 'running');
    const isCompleting = [...this.#live.values()].some(({ completions }) => completions > 0);
    return isCompleting || this.#relay.list().some(({ hasJob }) => hasJob);
  }

  /**
   * Stops taking jobs at once and lets running ones finish for as long as `graceMs`. What then still
   * runs stays in the journal and is done after the next start; whoever waits for it is told so.
   */
  async stop({ graceMs }: { graceMs: number }): Promise<void> {
    this.#isStopping = true;
    this.#dispatcher.stop();
    for (const record of this.#store.open()) {
      const isAwaited = this.#live.get(record.jobId)?.waiter;
      if (record.state === 'waiting' && isAwaited) {
        await this.#store.fail(record.jobId, { code: STOPPING.code, message: STOPPING.message });
      }
    }
    const end = this.#now() + graceMs;
    while (this.#now() < end && this.#isWorking) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    clearInterval(this.#sweeper);
    for (const [jobId, live] of this.#live) {
      live.waiter?.reject(
        new GenerationError(
          'busy',
          `Easel stopped before the job was done. It is kept and will be done after the next start, under /easel/v1/jobs/${jobId}.`,
        ),
      );
    }
    this.#live.clear();
  }
}
