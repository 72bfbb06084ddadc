import type { DeviceInfo } from '../../protocol/device.ts';
import { GenerationError } from '../../protocol/errors.ts';
import type { DeviceChoice } from './runtime/adapter.ts';
import type { Runtime } from './runtime/runtime.ts';

/** How the engine comes by a device; tests put their own in place of the browser's. */
export interface DeviceAccess {
  choose(): Promise<DeviceChoice>;
  open(choice: DeviceChoice): Promise<Runtime>;
}

export interface EngineDeviceListener {
  /** A device was chosen or opened. */
  onDevice(info: DeviceInfo): void;
  /** The device went away; everything that lived on it is gone. */
  onLost(reason: string): void;
  /** No adapter comes for now (`message` says why), or it came back (null). */
  onBlocked(message: string | null): void;
}

/** The device over the engine's life: opened when first needed, replaced when lost. */
export interface EngineDevice {
  /** Finds out what the engine would run on, without opening it. */
  probe(): Promise<void>;
  /** The open runtime. Rejects with `webgpu-unavailable` while the browser gives no adapter. */
  acquire(): Promise<Runtime>;
  /** Gives up a runtime that failed; the next `acquire` opens a fresh one. */
  renew(): Promise<void>;
  /**
   * Gives a graphics device back when nothing is on it any more: the runtime keeps memory of sessions that
   * were released, and only the device's end frees it. Without effect on wasm, whose heap never shrinks.
   */
  giveBack(): Promise<void>;
  close(): Promise<void>;
}

/** Waits between looks for an adapter; after a second GPU crash the browser gives none for two minutes. */
const RETRY_DELAYS_MS = [1_000, 2_000, 5_000, 10_000];

function blockedError(cause?: unknown): GenerationError {
  return new GenerationError(
    'webgpu-unavailable',
    'The graphics device is blocked: after a crash the browser gives no adapter for up to two minutes. Easel keeps trying; restarting the browser helps at once.',
    { cause },
  );
}

export function createEngineDevice(
  access: DeviceAccess,
  listener: EngineDeviceListener,
  { retryDelaysMs = RETRY_DELAYS_MS }: { retryDelaysMs?: readonly number[] } = {},
): EngineDevice {
  let opening: Promise<Runtime> | null = null;
  let hadGpu = false;
  let isBlocked = false;
  let isClosed = false;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  /** Closed on purpose: that their devices then go away is no loss. */
  const givenUp = new WeakSet<Runtime>();

  /** The choice, which after a loss must not fall from the graphics card to the processor unsaid. */
  async function choose(): Promise<DeviceChoice> {
    const choice = await access.choose().catch((error: unknown) => {
      const isMissing = error instanceof GenerationError && error.code === 'webgpu-unavailable';
      throw hadGpu && isMissing ? blockedError(error) : error;
    });
    if (hadGpu && choice.info.provider === 'wasm') throw blockedError();
    hadGpu = choice.info.provider === 'webgpu';
    return choice;
  }

  function block(error: unknown): void {
    isBlocked = true;
    listener.onBlocked(error instanceof Error ? error.message : String(error));
  }

  function unblock(): void {
    if (!isBlocked) return;
    isBlocked = false;
    clearTimeout(retryTimer);
    listener.onBlocked(null);
  }

  function retryLater(attempt: number): void {
    clearTimeout(retryTimer);
    if (isClosed) return;
    const delayMs = retryDelaysMs[Math.min(attempt, retryDelaysMs.length - 1)] ?? 10_000;
    retryTimer = setTimeout(async () => {
      try {
        listener.onDevice((await choose()).info);
        unblock();
      } catch {
        retryLater(attempt + 1);
      }
    }, delayMs);
  }

  /** Finds out what there is now, and looks again later where that is nothing. */
  async function probe(): Promise<void> {
    try {
      listener.onDevice((await choose()).info);
    } catch (error) {
      if (isClosed) return;
      block(error);
      retryLater(0);
    }
  }

  async function open(): Promise<Runtime> {
    const choice = await choose();
    const runtime = await access.open(choice);
    listener.onDevice(runtime.device);
    unblock();
    void runtime.lost.then((reason) => {
      if (isClosed || givenUp.has(runtime)) return;
      opening = null;
      listener.onLost(reason);
      // Sessions of a lost device still hold memory of the runtime.
      runtime.close().catch(() => {});
      // Whether there is another device is known before the next job asks.
      void probe();
    });
    return runtime;
  }

  async function renew(): Promise<void> {
    const runtime = await opening?.catch(() => null);
    opening = null;
    if (!runtime) return;
    givenUp.add(runtime);
    await runtime.close().catch(() => {});
  }

  return {
    probe,
    async acquire() {
      opening ??= open();
      try {
        return await opening;
      } catch (error) {
        opening = null;
        block(error);
        retryLater(0);
        throw error;
      }
    },
    renew,
    async giveBack() {
      const runtime = await opening?.catch(() => null);
      if (runtime?.device.provider === 'webgpu') await renew();
    },
    async close() {
      isClosed = true;
      clearTimeout(retryTimer);
      const runtime = await opening?.catch(() => null);
      opening = null;
      await runtime?.close();
    },
  };
}
