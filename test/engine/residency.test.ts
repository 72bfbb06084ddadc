import { afterEach, describe, expect, test, vi } from 'vitest';
import type { EngineStatus } from '../../protocol/device.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { GENERATION_DEFAULTS, type GenerationParams } from '../../protocol/generation.ts';
import { createLocalEngine, type LocalEngine } from '../../web/engine/local-engine.ts';
import { memoryBudget } from '../../web/engine/memory-budget.ts';
import type { OpenSessionOptions, Runtime } from '../../web/engine/runtime/runtime.ts';
import type { GeneratedImage } from '../../web/shared/engine.ts';
import { NODE_DEVICE, nodeAccess } from '../fakes/engine-access.ts';
import { ENGINE_CONFIG } from '../fakes/engine-config.ts';

/** How a checkpoint's parts share the memory, with the real compiler and runtime. */

const PARAMS: GenerationParams = {
  ...GENERATION_DEFAULTS,
  ...{ prompt: 'a cat', width: 64, height: 64, steps: 2, seed: 5 },
};

const engines: LocalEngine[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  for (const engine of engines.splice(0)) await engine.close();
});

interface Watched {
  /** Sessions opened and given back, in order. */
  readonly log: string[];
  /** The most sessions with weights that were open at once. */
  mostOpen: number;
}

/** Sees sessions of the model come and go; `fails` makes the opening of one fail. */
function watched(
  runtime: Runtime,
  seen: Watched,
  fails: (what: string) => Error | null = () => null,
): Runtime {
  let open = 0;
  return new Proxy(runtime, {
    get(target, key) {
      if (key !== 'openSession') {
        const value = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return async (graph: Parameters<Runtime['openSession']>[0], options: OpenSessionOptions) => {
        const { what, shards = [] } = options;
        const error = fails(what);
        if (error) throw error;
        const session = await target.openSession(graph, options);
        if (shards.length === 0) return session;
        seen.log.push(`open ${what}`);
        open += 1;
        seen.mostOpen = Math.max(seen.mostOpen, open);
        return {
          run: session.run,
          async release() {
            seen.log.push(`release ${what}`);
            open -= 1;
            await session.release();
          },
        };
      };
    },
  });
}

function start({
  machineGibibytes,
  precision = 'fp32',
  fails,
}: {
  machineGibibytes?: number;
  precision?: 'auto' | 'fp32';
  fails?: (what: string) => Error | null;
} = {}) {
  vi.spyOn(console, 'info').mockImplementation(() => {});
  vi.stubGlobal('navigator', { deviceMemory: machineGibibytes });
  const seen: Watched = { log: [], mostOpen: 0 };
  const access = nodeAccess({ wrap: (runtime) => watched(runtime, seen, fails) });
  const engine = createLocalEngine({ ...ENGINE_CONFIG, precision }, access);
  engines.push(engine);
  const told: { status: EngineStatus | null } = { status: null };
  engine.onStatus((status) => {
    told.status = status;
  });
  const generate = async () => {
    const images: GeneratedImage[] = [];
    const summary = await engine.generate(PARAMS, { onImage: (image) => images.push(image) });
    return { summary, images };
  };
  return { seen, told, generate };
}

/** A machine so small that its share for weights holds no two parts of the fixture. */
const TINY = 2 ** -14;

describe('a checkpoint', () => {
  test('that fits the budget stays loaded as a whole, and the status says so', async () => {
    const { seen, told, generate } = start();
    await generate();
    await generate();
    expect(seen.log.filter((entry) => entry.startsWith('release'))).toEqual([]);
    expect(seen.mostOpen).toBe(seen.log.length);
    expect(told.status?.loadReason).toMatch(
      /^fp32 was asked for\. All of its weights, \d+ MiB, stay loaded\.$/,
    );
  });

  test('that does not is loaded part by part, and makes the same bytes', async () => {
    const whole = await start().generate();
    const { seen, told, generate } = start({ machineGibibytes: TINY });
    const inTurn = await generate();
    expect(inTurn.images.map(({ bytes }) => bytes)).toEqual(whole.images.map(({ bytes }) => bytes));
    expect(seen.mostOpen).toBe(1);
    expect([...new Set(seen.log.filter((entry) => entry.startsWith('open')))]).toEqual([
      'open The text encoder',
      'open The UNet’s part for texts',
      'open The UNet',
      'open The VAE decoder',
    ]);
    expect(told.status?.loadReason).toMatch(/more than the 1 MiB that are kept at once: text/);
  });
});

describe('a device that runs out of memory', () => {
  const full = new GenerationError('out-of-memory', 'The UNet did not fit into memory.');

  test('at every try fails the job, and the next one loads the checkpoint anew with less', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    let isFull = true;
    const fails = (what: string) => (isFull && what === 'The UNet' ? full : null);
    const { told, generate } = start({ precision: 'auto', machineGibibytes: 0.001, fails });
    await expect(generate()).rejects.toMatchObject({
      code: 'out-of-memory',
      message:
        'The UNet did not fit into memory. The next job loads the checkpoint anew, with half as much memory for its weights.',
    });
    expect(told.status?.checkpoint).toBeNull();
    isFull = false;
    const { summary } = await generate();
    expect(summary.notes).toEqual([expect.stringMatching(/that ran out of memory weights may/)]);
    expect(told.status?.precision).toBe('q4');
  });

  test('has half of the budget after each time', () => {
    const bytes = (shortages: number) =>
      memoryBudget(NODE_DEVICE, { machineBytes: null, shortages }).weightBytes;
    expect([bytes(0) / bytes(1), bytes(1) / bytes(2)]).toEqual([2, 2]);
  });
});
