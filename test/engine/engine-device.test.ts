import { afterEach, describe, expect, test, vi } from 'vitest';
import type { DeviceInfo } from '../../protocol/device.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { createEngineDevice } from '../../web/engine/engine-device.ts';
import type { DeviceChoice } from '../../web/engine/runtime/adapter.ts';
import type { Runtime } from '../../web/engine/runtime/runtime.ts';

const INFO: DeviceInfo = {
  provider: 'webgpu',
  adapter: 'NVIDIA RTX',
  isSoftware: false,
  hasShaderF16: true,
  maxBufferBytes: 1,
  maxStorageBindingBytes: 1,
  wasmThreads: 1,
  reason: '',
};
const GPU: DeviceChoice = { info: INFO, adapter: {} as GPUAdapter };
const PROCESSOR: DeviceChoice = { info: { ...INFO, provider: 'wasm' }, adapter: null };

function setUp(choices: (DeviceChoice | Error)[]) {
  const said: string[] = [];
  const runtimes: { lose: (reason: string) => void; isClosed: boolean }[] = [];
  let place = 0;
  const device = createEngineDevice(
    {
      async choose() {
        const choice = choices[Math.min(place++, choices.length - 1)]!;
        if (choice instanceof Error) throw choice;
        return choice;
      },
      async open({ info }) {
        const state = { lose: (_: string) => {}, isClosed: false };
        const lost = new Promise<string>((resolve) => {
          state.lose = resolve;
        });
        runtimes.push(state);
        return {
          device: info,
          lost,
          async close() {
            state.isClosed = true;
            // As a destroyed device says it.
            state.lose('destroyed');
          },
        } as unknown as Runtime;
      },
    },
    {
      onDevice: ({ provider }) => said.push(provider),
      onLost: (reason) => said.push(`lost: ${reason}`),
      onBlocked: (message) => said.push(message === null ? 'back' : 'blocked'),
    },
    { retryDelaysMs: [1, 2] },
  );
  return { device, said, runtimes };
}

afterEach(() => vi.useRealTimers());

describe('the device over the engine’s life', () => {
  test('is opened once, however many ask', async () => {
    const { device, runtimes } = setUp([GPU]);
    const [a, b] = await Promise.all([device.acquire(), device.acquire()]);
    expect(a).toBe(b);
    expect(runtimes).toHaveLength(1);
    await device.close();
    expect(runtimes[0]!.isClosed).toBe(true);
  });

  test('R9 that is lost is said, closed, and replaced at the next job', async () => {
    const { device, said, runtimes } = setUp([GPU]);
    const first = await device.acquire();
    runtimes[0]!.lose('unknown');
    await vi.waitFor(() => expect(said).toContain('lost: unknown'));
    await vi.waitFor(() => expect(runtimes[0]!.isClosed).toBe(true));
    expect(await device.acquire()).not.toBe(first);
    await device.close();
  });

  test('R9 is blocked, not exchanged for the processor, when no adapter comes after a loss', async () => {
    const choices = [GPU, PROCESSOR];
    const { device, said, runtimes } = setUp(choices);
    await device.acquire();
    runtimes[0]!.lose('unknown');
    // Known before a job asks.
    await vi.waitFor(() => expect(said).toEqual(['webgpu', 'lost: unknown', 'blocked']));
    await expect(device.acquire()).rejects.toMatchObject({
      code: 'webgpu-unavailable',
      message: expect.stringContaining('two minutes'),
    });
    expect(said.at(-1)).toBe('blocked');
    // It comes back by itself.
    choices.push(GPU);
    await vi.waitFor(() => expect(said.at(-1)).toBe('back'));
    await expect(device.acquire()).resolves.toMatchObject({ device: { provider: 'webgpu' } });
    await device.close();
  });

  test('R9 says after a loss that it is blocked also where WebGPU was insisted on', async () => {
    const missing = new GenerationError('webgpu-unavailable', 'no adapter');
    const { device, runtimes } = setUp([GPU, missing]);
    await device.acquire();
    runtimes[0]!.lose('unknown');
    await vi.waitFor(() => expect(runtimes[0]!.isClosed).toBe(true));
    await expect(device.acquire()).rejects.toMatchObject({
      message: expect.stringContaining('two minutes'),
    });
    await device.close();
  });

  test('a machine without a GPU is not blocked', async () => {
    const { device, said } = setUp([PROCESSOR]);
    await device.probe();
    await device.acquire();
    expect(said).toEqual(['wasm', 'wasm']);
    await device.close();
  });

  test('that was insisted on and is missing blocks, and is looked for until closed', async () => {
    const missing = new GenerationError('webgpu-unavailable', 'no adapter');
    const { device, said } = setUp([missing, missing, GPU]);
    await device.probe();
    expect(said).toEqual(['blocked']);
    await vi.waitFor(() => expect(said.at(-1)).toBe('back'));
    await device.close();
    const { device: closed, said: silent } = setUp([missing]);
    await closed.probe();
    await closed.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(silent).toEqual(['blocked']);
  });

  test('can be renewed after a failure that the browser did not report', async () => {
    const { device, runtimes } = setUp([GPU]);
    const first = await device.acquire();
    await device.renew();
    expect(runtimes[0]!.isClosed).toBe(true);
    expect(await device.acquire()).not.toBe(first);
    await device.close();
  });

  test('is given back on purpose, which is no loss; the processor stays', async () => {
    const { device, runtimes, said } = setUp([GPU, GPU]);
    const first = await device.acquire();
    await device.giveBack();
    expect(runtimes[0]!.isClosed).toBe(true);
    const second = await device.acquire();
    expect(second).not.toBe(first);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await device.acquire()).toBe(second);
    expect(said).toEqual(['webgpu', 'webgpu']);
    await device.close();

    const other = setUp([PROCESSOR]);
    const runtime = await other.device.acquire();
    await other.device.giveBack();
    expect(await other.device.acquire()).toBe(runtime);
    await other.device.close();
  });
});
