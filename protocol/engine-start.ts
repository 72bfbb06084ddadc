import { z } from 'zod';

/**
 * Reply of `GET /easel/v1/engine-token` (`TOKEN_PATH`): what the page needs to attach its engine to
 * the bridge that served it, and how the owner of the machine wants the engine to run.
 */
export const engineStart = z.object({
  /** New at every start of the bridge; goes into the relay's upgrade request and nowhere else. */
  token: z.string().min(22).max(200),
  /** WebSocket path of the relay; the token is its query parameter `RELAY_TOKEN_PARAMETER`. */
  relayPath: z.string(),
  /** `auto`, `webgpu`, `wasm`, or part of an adapter's name. */
  device: z.string(),
  precision: z.enum(['auto', 'fp32', 'fp16', 'q8', 'q4']),
  /** Checkpoint to load at start, null for the embedded one. */
  checkpoint: z.string().nullable(),
  vae: z.string().nullable(),
  /** How the runtime's WebGPU buffers are kept for reuse; without effect on wasm. */
  allocator: z.enum(['caching', 'simple', 'disabled']),
  /** Minutes without a job after which the checkpoint leaves the device; null is never. */
  unloadIdleMinutes: z.number().min(0).nullable(),
});
export type EngineStart = z.infer<typeof engineStart>;

/** Query parameter of the relay's address that carries the engine token. */
export const RELAY_TOKEN_PARAMETER = 'token';
