import { z } from 'zod';

/** The one error vocabulary: what a caller may branch on, on either side of the relay. */
export const ERROR_CODES = [
  'invalid-request',
  'not-found',
  'unsupported',
  'invalid-model',
  'no-tab',
  'tab-disconnected',
  'busy',
  'webgpu-unavailable',
  'out-of-memory',
  'device-lost',
  'download-failed',
  'storage-full',
  'cancelled',
  'internal',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** An error as it crosses the worker and the relay. `message` is for a person and never holds the prompt. */
export const serializedError = z.object({
  code: z.enum(ERROR_CODES),
  message: z.string().max(4000),
});
export type SerializedError = z.infer<typeof serializedError>;

/** What went wrong and what to do about it, with a code that callers branch on. */
export class GenerationError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, { cause }: { cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'GenerationError';
    this.code = code;
  }
}

/** True for the error that an aborted `AbortSignal` throws. */
export function isAbortError(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** Turns anything thrown into what may cross the wire; what is not ours becomes `internal`. */
export function serializeError(error: unknown): SerializedError {
  if (error instanceof GenerationError) return { code: error.code, message: error.message };
  if (isAbortError(error)) return { code: 'cancelled', message: 'The job was cancelled.' };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal', message: message.slice(0, 4000) || 'Unknown error.' };
}

/** The inverse of `serializeError`. */
export function parseError(value: SerializedError): GenerationError {
  return new GenerationError(value.code, value.message);
}
