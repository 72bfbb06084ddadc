import { GenerationError } from '../../../protocol/errors.ts';

/** Texts by which the runtime, Dawn and V8 say that the device went away. */
const LOST =
  /device (is|was|has been) lost|lost device|device lost|buffer ?manager|DXGI_ERROR|instance dropped|external Instance reference no longer exists/i;
const OUT_OF_MEMORY =
  /bad_alloc|out of memory|allocation failed|failed to allocate|memory access out of bounds|sbox_fatal|invalid array length/i;
/** A stored piece came short or not at all while a session was opened. */
const UNREADABLE = /Failed to load external data file/i;
const NO_KERNEL = /Provider type for (\S+) node/;

/** What a device loss means for a person. */
export function deviceLostError(detail: string, cause?: unknown): GenerationError {
  return new GenerationError(
    'device-lost',
    `The graphics device was lost (${detail}). The next job starts on a fresh device; if it happens again, make smaller pictures or update the graphics driver.`,
    { cause },
  );
}

/** Turns what the runtime threw into an error that callers branch on; `what` names the model part. */
export function runtimeError(error: unknown, what: string): GenerationError {
  if (error instanceof GenerationError) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (LOST.test(text)) return deviceLostError(`${what}: ${text.slice(0, 200)}`, error);
  if (OUT_OF_MEMORY.test(text) || error instanceof RangeError) {
    return new GenerationError(
      'out-of-memory',
      `${what} did not fit into memory (${text.slice(0, 200)}). Make a smaller picture or choose a smaller precision.`,
      { cause: error },
    );
  }
  if (UNREADABLE.test(text)) {
    return new GenerationError(
      'storage-full',
      `The browser does not give back what it stored of ${what[0]?.toLowerCase()}${what.slice(1)}. Private windows keep models in memory and lose them when that gets short: open Easel in an ordinary window, or start the job again.`,
      { cause: error },
    );
  }
  const operator = NO_KERNEL.exec(text)?.[1];
  if (operator) {
    return new GenerationError(
      'unsupported',
      `${what} needs the operator ${operator}, which this device does not have.`,
      { cause: error },
    );
  }
  if (/requires f16/.test(text)) {
    return new GenerationError(
      'unsupported',
      `${what} is in half precision, which this device does not have; choose --precision fp32.`,
      { cause: error },
    );
  }
  return new GenerationError('internal', `${what} failed in the runtime: ${text.slice(0, 1000)}`, {
    cause: error,
  });
}
