import { JobBroker, type JobBrokerOptions } from '../../../bridge/jobs/job-broker.ts';
import { LocalJobStore } from '../../../bridge/jobs/local-job-store.ts';
import { TabRelay } from '../../../bridge/relay/tab-relay.ts';
import type { JobRequest, OutputStore } from '../../../bridge/services.ts';
import type { GenerationInput } from '../../../protocol/generation.ts';
import { generationParams } from '../../../protocol/generation.ts';
import type { JobImage } from '../../../protocol/job.ts';
import { FakeSocket } from '../relay/fake-socket.ts';
import { logLines } from '../support.ts';

export function request(
  params: GenerationInput = {},
  changes: Partial<Omit<JobRequest, 'params'>> = {},
): JobRequest {
  return {
    params: generationParams.parse({ prompt: 'a test', steps: 3, ...params }),
    client: 'test',
    key: null,
    saveImages: true,
    ...changes,
  };
}

/** Outputs that keep what they were given; `fail` makes the disk full. */
export class MemoryOutputs implements OutputStore {
  readonly root = '/out';
  readonly folder = '/out';
  readonly saved: { path: string; image: JobImage; isRedo: boolean }[] = [];
  fail = false;

  async save(
    image: JobImage,
    _params: unknown,
    _summary: unknown,
    options: { isRedo?: boolean } = {},
  ) {
    if (this.fail)
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    const path = `/out/${this.saved.length}.png`;
    this.saved.push({ path, image, isRedo: options.isRedo ?? false });
    return path;
  }
}

/** Queue and relay as the bridge ties them together, without HTTP. */
export async function openHarness(
  folder: string,
  options: Partial<Omit<JobBrokerOptions, 'store' | 'relay' | 'outputs'>> = {},
) {
  const { log, lines } = logLines();
  const relay = new TabRelay({ log });
  const limit = options.limit ?? 64;
  const store = await LocalJobStore.open({ folder, limit, log });
  const outputs = new MemoryOutputs();
  const broker = new JobBroker({
    store,
    relay,
    outputs,
    log,
    limit,
    engineWaitMs: 30_000,
    finishOrphans: false,
    pageUrl: () => 'http://localhost:7860',
    ...options,
  });
  await broker.recover();
  return {
    relay,
    store,
    outputs,
    broker,
    lines,
    tab: (name = 'fake-1', changes: Parameters<FakeSocket['hello']>[0] = {}) =>
      new FakeSocket(relay).hello({ engineName: name, ...changes }),
    /** Ends without saying goodbye, as a killed process does: only what is on disk stays. */
    async crash() {
      const nothing = () => {};
      relay.listen({ onReady: nothing, onJobEvent: nothing, onClaim: nothing, onLost: nothing });
      relay.close();
      await store.close();
    },
    async close() {
      relay.close();
      await broker.stop({ graceMs: 0 });
      await store.close();
    },
  };
}

export type Harness = Awaited<ReturnType<typeof openHarness>>;

/** Waits for what happens after real file writes, also while timers are faked. */
export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  const start = process.hrtime.bigint();
  while (!condition()) {
    if (process.hrtime.bigint() - start > 5_000_000_000n) throw new Error(`${what} did not come`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
