import { randomUUID } from 'node:crypto';
import type { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { GenerationError } from '../../../protocol/errors.ts';
import type { JobEvent } from '../../../protocol/job.ts';
import type { Logger } from '../../log.ts';
import { StartError } from '../../server.ts';
import type { JobRecord } from '../job-store.ts';

/** Everything of ours in Redis begins so. */
const PREFIX = 'easel';
const CHANNEL = `${PREFIX}:events`;
const CONNECT_MS = 5_000;
/** A dead bridge's jobs wait again after its lock and at most one check more. */
export const LOCK_MS = 10_000;
// With the 5 s that BullMQ advises beside such a lock, a restart could take 15 s and a little.
const STALLED_CHECK_MS = 3_000;
const MAX_STALLED = 2;

/** What bridges tell each other. */
export type LinkMessage =
  | { readonly type: 'record'; readonly record: JobRecord }
  | { readonly type: 'available'; readonly jobId: string }
  | { readonly type: 'cancel'; readonly jobId: string; readonly mode: 'interrupt' | 'skip' }
  | { readonly type: 'progress'; readonly event: JobEvent }
  | { readonly type: 'engines'; readonly has: boolean };

/** What BullMQ carries: what the record leaves out because every bridge has every record. */
export type JobLoad = Pick<JobRecord, 'params'>;

/** The connections of one bridge to the shared queue. */
export interface RedisLink {
  /** This bridge among the others. */
  readonly id: string;
  /** Commands fail at once while Redis is away. */
  readonly redis: Redis;
  readonly queue: Queue<JobLoad>;
  /** Fetches jobs by hand and returns those of dead bridges to the queue. */
  readonly worker: Worker<JobLoad>;
  tell(message: LinkMessage): void;
  onMessage(listener: (message: LinkMessage, from: string) => void): void;
  /** Called when Redis is back after it was away. */
  onBack(listener: () => void): void;
  close(): Promise<void>;
}

export const keyOf = (name: string) => `${PREFIX}:${name}`;

/** Where the queue is, without the password that its address may hold. */
function shown(url: string): string {
  const { host, pathname } = new URL(url);
  return host + pathname.replace(/^\/$/, '');
}

/** What a request hears while Redis is away. */
export function awayError(cause: unknown): GenerationError {
  return new GenerationError(
    'busy',
    'The shared queue (Redis) cannot be reached. Nothing that was accepted is lost; ask again in a moment.',
    { cause },
  );
}

/** The client libraries, which are installed only where the shared queue is wanted. */
async function loadLibraries() {
  try {
    const [bullmq, ioredis] = await Promise.all([import('bullmq'), import('ioredis')]);
    return { Queue: bullmq.Queue, Worker: bullmq.Worker, Redis: ioredis.Redis };
  } catch (error) {
    throw new StartError(
      '--redis needs the packages bullmq and ioredis, which were left out when Easel was installed. Install it again without --omit=optional.',
      { cause: error },
    );
  }
}

/** Says what a queue that must not lose jobs needs, where Redis is set up otherwise. */
async function warnOfSettings(redis: Redis, log: Logger): Promise<void> {
  try {
    const [, append] = (await redis.config('GET', 'appendonly')) as string[];
    const [, policy] = (await redis.config('GET', 'maxmemory-policy')) as string[];
    const [, sync] = (await redis.config('GET', 'appendfsync')) as string[];
    // With "everysec" Redis puts off even the write while the disk is busy, so that kill -9 loses jobs too.
    if (append !== 'yes' || sync !== 'always') {
      log.warn(
        'Redis may lose accepted jobs when it dies. Set appendonly yes and appendfsync always.',
      );
    }
    if (policy !== 'noeviction') {
      log.warn(
        'Redis may throw jobs away when its memory is full. Set maxmemory-policy noeviction.',
      );
    }
  } catch {
    // A hosted Redis may not tell; its owner knows.
  }
}

/** Connects to the shared queue. Throws `StartError` where it cannot be reached. */
export async function openRedisLink(url: string, log: Logger): Promise<RedisLink> {
  const { Queue, Worker, Redis } = await loadLibraries();
  const id = randomUUID();
  // Requests must hear soon that Redis is away; what waits for it retries by itself.
  const hasty = { enableOfflineQueue: false, maxRetriesPerRequest: 1, connectTimeout: CONNECT_MS };
  const retryStrategy = (times: number) => Math.min(100 * 2 ** Math.min(times, 5), 1_000);
  const redis = new Redis(url, { ...hasty, retryStrategy, lazyConnect: true });
  let isAway = false;
  redis.on('error', (error) => {
    if (isAway || redis.status === 'end') return;
    isAway = true;
    log.error('The shared queue cannot be reached; Easel goes on trying.', {
      error: String(error),
    });
  });
  try {
    await redis.connect();
  } catch (error) {
    redis.disconnect();
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(
      `--redis: ${shown(url)} cannot be reached (${reason}). Start Redis or Valkey there, or leave --redis out.`,
      { cause: error },
    );
  }
  await warnOfSettings(redis, log);
  const shared = { prefix: `${PREFIX}:bull` };
  const patient = { url, maxRetriesPerRequest: null, retryStrategy };
  const queue: Queue<JobLoad> = new Queue('jobs', {
    ...shared,
    connection: { url, ...hasty, retryStrategy },
    skipMetasUpdate: true,
  });
  const worker: Worker<JobLoad> = new Worker('jobs', null, {
    ...shared,
    connection: patient,
    autorun: false,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: MAX_STALLED,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  });
  // Said once by the connection above; without a listener they would end the process.
  queue.on('error', () => {});
  worker.on('error', () => {});
  const listener = new Redis(url, { maxRetriesPerRequest: null, retryStrategy });
  listener.on('error', () => {});
  await listener.subscribe(CHANNEL);
  await worker.waitUntilReady();
  void worker.startStalledCheckTimer();
  return {
    id,
    redis,
    queue,
    worker,
    tell(message) {
      redis.publish(CHANNEL, JSON.stringify({ from: id, message })).catch(() => {});
    },
    onMessage(hear) {
      listener.on('message', (_channel, text) => {
        const { from, message } = JSON.parse(text) as { from: string; message: LinkMessage };
        if (from !== id) hear(message, from);
      });
    },
    onBack(back) {
      redis.on('ready', () => {
        if (isAway) log.info('The shared queue is back.');
        isAway = false;
        back();
      });
    },
    async close() {
      redis.disconnect();
      listener.disconnect();
      await Promise.race([
        Promise.allSettled([worker.close(true), queue.close()]),
        new Promise((resolve) => setTimeout(resolve, 1_000).unref()),
      ]);
    },
  };
}
