import type { DeviceInfo } from '../../protocol/device.ts';

/** How much of a device's memory weights may take at once. */
export interface MemoryBudget {
  readonly weightBytes: number;
  /** What holds them, in words that follow "of". */
  readonly place: string;
}

export interface MemoryBudgetOptions {
  /** The machine's memory as the browser tells it; null where it does not. */
  readonly machineBytes: number | null;
  /** How often the device ran out of memory since the tab was opened: each time halves the budget. */
  readonly shortages?: number;
}

const GIBIBYTE = 2 ** 30;

/**
 * Share of a graphics card's memory for weights. The rest is for what the layers compute with, for the
 * desktop, and for the language model that often shares the card.
 */
const GPU_SHARE = 0.5;

/** Share of the machine's memory where it is known to be small, or is the graphics memory itself. */
const MACHINE_SHARE = 0.4;

/**
 * Share of the 4 GiB heap of 32-bit WebAssembly for weights. The rest is for layers and for what the
 * runtime packs anew while a session opens: a UNet of 1.39 GiB makes the heap grow to 2.59 GiB.
 */
const HEAP_SHARE = 0.375;

/**
 * Graphics memory by the largest buffer that an adapter lets a shader read: browsers keep the memory itself
 * to themselves. Whole gibibytes come from graphics cards and Apple's chips, one from integrated
 * graphics, less from phones and what is more than ten years old.
 */
const CLASSES = [
  { bindingBytes: 2 * GIBIBYTE, memoryBytes: 8 * GIBIBYTE },
  { bindingBytes: GIBIBYTE, memoryBytes: 6 * GIBIBYTE },
  { bindingBytes: 0, memoryBytes: 3 * GIBIBYTE },
] as const;

/** Limits end a few bytes below the round figure. */
const SLACK_BYTES = 2 ** 16;

/**
 * The budget for weights, from what the browser tells: the adapter's memory where it does, else its limits;
 * the machine's memory where that is smaller; on wasm the heap.
 */
export function memoryBudget(
  device: DeviceInfo,
  { machineBytes, shortages = 0 }: MemoryBudgetOptions,
): MemoryBudget {
  const own = deviceBudget(device, machineBytes);
  const machine = machineBytes === null ? Number.POSITIVE_INFINITY : machineBytes * MACHINE_SHARE;
  const { weightBytes, place } =
    machine < own.weightBytes
      ? { weightBytes: machine, place: `a machine of ${binaryBytes(machineBytes ?? 0)}` }
      : own;
  if (shortages === 0) return { weightBytes, place };
  return { weightBytes: weightBytes / 2 ** shortages, place: `${place} that ran out of memory` };
}

function deviceBudget(device: DeviceInfo, machineBytes: number | null): MemoryBudget {
  const { provider, isSoftware, memoryBytes } = device;
  if (provider === 'wasm') {
    return { weightBytes: device.maxBufferBytes * HEAP_SHARE, place: 'the 4 GiB of WebAssembly' };
  }
  if (isSoftware) {
    // Its memory is the machine's; eight is the least that a browser means by "eight or more".
    const bytes = machineBytes ?? 8 * GIBIBYTE;
    return { weightBytes: bytes * MACHINE_SHARE, place: `a machine of ${binaryBytes(bytes)}` };
  }
  if (memoryBytes !== undefined) {
    const place = `a graphics memory of ${binaryBytes(memoryBytes)}`;
    return { weightBytes: memoryBytes * GPU_SHARE, place };
  }
  const bindingBytes = Math.min(device.maxBufferBytes, device.maxStorageBindingBytes);
  const found = CLASSES.find((entry) => bindingBytes >= entry.bindingBytes - SLACK_BYTES);
  const assumed = (found ?? CLASSES[2]).memoryBytes;
  return {
    weightBytes: assumed * GPU_SHARE,
    place: `a graphics memory of ${binaryBytes(assumed)} (assumed from the limits of the adapter)`,
  };
}

/** Bytes for people, in gibibytes or, below one, mebibytes. */
export function binaryBytes(bytes: number): string {
  return bytes < GIBIBYTE
    ? `${Math.ceil(bytes / 2 ** 20)} MiB`
    : `${(bytes / GIBIBYTE).toFixed(1)} GiB`;
}

/** The most that browsers tell of a machine's memory: it stands for anything from there on. */
const LARGEST_TOLD = [8, 32];

/** The machine's memory as the browser tells it, rounded; null where it does not, or means "at least". */
export function machineMemoryBytes(): number | null {
  const { navigator } = globalThis as { navigator?: { deviceMemory?: number } };
  const told = navigator?.deviceMemory;
  return told === undefined || LARGEST_TOLD.includes(told) ? null : told * GIBIBYTE;
}

/** How a checkpoint's parts share the memory, as a sentence. */
export function residencySentence(modelBytes: number, { weightBytes }: MemoryBudget): string {
  const [model, budget] = [binaryBytes(modelBytes), binaryBytes(weightBytes)];
  return modelBytes <= weightBytes
    ? `All of its weights, ${model}, stay loaded.`
    : `Its weights take ${model}, more than the ${budget} that are kept at once: text encoder, UNet and VAE are loaded in turn.`;
}
