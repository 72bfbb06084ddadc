import { z } from 'zod';
import { catalog } from './catalog.ts';
import { engineStatus } from './device.ts';
import { serializedError } from './errors.ts';
import { generationParams } from './generation.ts';
import { jobFailed, jobFinished, jobId, jobImage, jobPreview, jobProgress } from './job.ts';

/** Raised whenever a frame's meaning changes; a tab of another version is told to reload. */
export const PROTOCOL_VERSION = 1;

/** WebSocket path of the relay, below the bridge's root. */
export const RELAY_PATH = '/easel/v1/relay';
/** Same-origin route from which the page fetches the engine token. */
export const TOKEN_PATH = '/easel/v1/engine-token';

/** Private close codes: what the tab should do next. */
export const CLOSE_CODES = {
  /** Another protocol version: reload the page, do not retry. */
  versionMismatch: 4001,
  /** The first frame did not come in time or was no `hello`. */
  badHello: 4002,
  /** The bridge is stopping: reconnect with back-off. */
  stopping: 4003,
  /** A frame did not parse. */
  badFrame: 4004,
  /** The job stands still though the worker answers: start the engine anew, then reconnect. */
  stuck: 4005,
  /** A password or the token was changed: reconnect with back-off, as far as that is still allowed. */
  revoked: 4006,
} as const;

export const HEARTBEAT_MS = 2_000;
export const LEASE_MS = 10_000;
/**
 * How long a tab on the wasm provider may be silent while it works: one pass of a model blocks its
 * worker, heartbeats and all. A crash is still seen at once, because it closes the socket.
 */
export const WASM_LEASE_MS = 600_000;
/** How long a tab may be silent while it loads or compiles: opening a session can block its worker. */
export const LOADING_LEASE_MS = 60_000;
export const HELLO_TIMEOUT_MS = 5_000;

const attempt = z.int().min(1);

/** What a tab says to the bridge. */
export const tabMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    protocolVersion: z.int(),
    appVersion: z.string().max(50),
    /** Random, kept for the worker's life: a reconnect is recognised by it. */
    engineName: z.string().regex(/^[A-Za-z0-9-]{1,64}$/),
    status: engineStatus,
    catalog,
    /** The job still being worked on, or finished but not acknowledged, from before a reconnect. */
    job: z.object({ jobId, attempt }).nullable(),
  }),
  z.object({
    type: z.literal('heartbeat'),
    /** Milliseconds on the worker's own monotonic clock. */
    monotonicMs: z.number().min(0),
    job: z.object({ jobId, attempt, step: z.int().min(0) }).nullable(),
  }),
  z.object({ type: z.literal('status'), status: engineStatus }),
  z.object({ type: z.literal('catalog'), catalog }),
  z.object({
    type: z.literal('control-done'),
    id: z.int().min(0),
    error: serializedError.nullable(),
  }),
  jobProgress,
  jobPreview,
  jobImage,
  jobFinished,
  jobFailed,
]);
export type TabMessage = z.infer<typeof tabMessage>;

/** What the bridge says to a tab. */
export const bridgeMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('welcome'), engineId: z.string(), bridgeVersion: z.string() }),
  z.object({ type: z.literal('job'), jobId, attempt, params: generationParams }),
  /** `interrupt` ends the job with what exists, `skip` drops the picture being made. */
  z.object({ type: z.literal('cancel'), jobId, mode: z.enum(['interrupt', 'skip']) }),
  /** The terminal event of this attempt is durable: the tab may forget it. */
  z.object({ type: z.literal('ack'), jobId, attempt }),
  /** Commands outside jobs; answered by `control-done` with the same id. */
  z.object({
    type: z.literal('control'),
    id: z.int().min(0),
    command: z.discriminatedUnion('name', [
      z.object({ name: z.literal('load-checkpoint'), checkpoint: z.string() }),
      z.object({ name: z.literal('unload-checkpoint') }),
      z.object({ name: z.literal('refresh-models') }),
    ]),
  }),
]);
export type BridgeMessage = z.infer<typeof bridgeMessage>;
export type BridgeCommand = Extract<BridgeMessage, { type: 'control' }>['command'];

function parseFrame<T>(schema: z.ZodType<T>, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('relay frame is no JSON');
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Error(`relay frame is malformed at ${issue?.path.join('.') ?? '?'}: ${issue?.message}`);
}

/** Parses a frame that a tab sent; throws an Error naming the field that is wrong. */
export function parseTabMessage(text: string): TabMessage {
  return parseFrame(tabMessage, text);
}

/** Parses a frame that the bridge sent; throws an Error naming the field that is wrong. */
export function parseBridgeMessage(text: string): BridgeMessage {
  return parseFrame(bridgeMessage, text);
}
