import { z } from 'zod';

/** What the engine runs on, for people and for `/health`. */
export const deviceInfo = z.object({
  provider: z.enum(['webgpu', 'wasm']),
  /** Name of the adapter, or of the processor back end. */
  adapter: z.string().max(300),
  /** True for a software adapter (SwiftShader, llvmpipe). */
  isSoftware: z.boolean(),
  hasShaderF16: z.boolean(),
  maxBufferBytes: z.number().min(0),
  maxStorageBindingBytes: z.number().min(0),
  wasmThreads: z.int().min(0),
  /** The adapter's own memory, where the browser tells it. */
  memoryBytes: z.number().min(0).optional(),
  /** Why this provider was chosen, as a sentence. */
  reason: z.string().max(500),
});
export type DeviceInfo = z.infer<typeof deviceInfo>;

export const ENGINE_STATES = [
  'idle',
  'busy',
  'loading',
  'compiling',
  'waiting',
  'blocked',
] as const;

/** A long piece of work that is not sampling: shown in the page, `/health` and `/sdapi/v1/progress`. */
export const engineActivity = z.object({
  kind: z.enum(['compile', 'download', 'load']),
  what: z.string().max(300),
  /** 0 to 1. */
  done: z.number().min(0).max(1),
  etaSeconds: z.number().min(0).nullable(),
});
export type EngineActivity = z.infer<typeof engineActivity>;

/** The engine at a glance. */
export const engineStatus = z.object({
  state: z.enum(ENGINE_STATES),
  device: deviceInfo.nullable(),
  /** Name of the checkpoint in memory, null before the first load. */
  checkpoint: z.string().nullable(),
  precision: z.enum(['fp32', 'fp16', 'q8', 'q4']).nullable(),
  /** Why the checkpoint is in that precision, and how its parts share the memory; sentences. */
  loadReason: z.string().max(1000).nullable().optional(),
  activity: engineActivity.nullable(),
  /** What a user must know now (a lost device, a blocked GPU), else null. */
  message: z.string().max(1000).nullable(),
});
export type EngineStatus = z.infer<typeof engineStatus>;

/** What a status says beside its state while nothing is known of an engine. */
export const NOTHING_KNOWN: Readonly<Omit<EngineStatus, 'state'>> = {
  device: null,
  checkpoint: null,
  precision: null,
  activity: null,
  message: null,
};
