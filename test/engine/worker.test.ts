import { beforeEach, describe, expect, test, vi } from 'vitest';
import { GENERATION_DEFAULTS } from '../../protocol/generation.ts';
import type { WorkerMessage, WorkerRequest } from '../../web/shared/worker-protocol.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';

const createLocalEngine = vi.hoisted(() => vi.fn());
vi.mock('../../web/engine/local-engine.ts', () => ({ createLocalEngine }));

/** The worker's entry, in a scope of its own that the test speaks to. */
async function openWorker() {
  const said: WorkerMessage[] = [];
  let receive: (event: { data: WorkerRequest }) => void = () => {};
  vi.stubGlobal('postMessage', (message: WorkerMessage) => said.push(message));
  vi.stubGlobal('addEventListener', (_: string, listener: typeof receive) => {
    receive = listener;
  });
  vi.resetModules();
  await import('../../web/engine/worker.ts');
  return { said, tell: (data: WorkerRequest) => receive({ data }) };
}

beforeEach(() => {
  vi.unstubAllGlobals();
  createLocalEngine.mockReset();
});

describe('the engine worker', () => {
  test('answers a call that comes before the engine', async () => {
    const { said, tell } = await openWorker();
    tell({ type: 'generate', id: 7, params: GENERATION_DEFAULTS });
    expect(said).toEqual([
      {
        type: 'failure',
        id: 7,
        error: { code: 'internal', message: 'The engine is not running; reload the page.' },
      },
    ]);
  });

  test('says why the engine did not start, and still answers calls', async () => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => {});
    createLocalEngine.mockImplementation(() => {
      throw new TypeError('a broken configuration');
    });
    const { said, tell } = await openWorker();
    tell({ type: 'start', config: ENGINE_CONFIG });
    await vi.waitFor(() => expect(said).toHaveLength(1));
    expect(said[0]).toEqual({
      type: 'start-failed',
      error: { code: 'internal', message: 'a broken configuration' },
    });
    expect(logged).toHaveBeenCalledOnce();
    tell({ type: 'refresh-models', id: 1 });
    expect(said[1]).toMatchObject({ type: 'failure', id: 1 });
    logged.mockRestore();
  });
});
