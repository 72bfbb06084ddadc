import type { Catalog } from '../../protocol/catalog.ts';
import type { EngineStatus } from '../../protocol/device.ts';
import type { EngineStart } from '../../protocol/engine-start.ts';
import type { SerializedError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary } from '../../protocol/job.ts';
import type {
  AddedModel,
  CompiledInfo,
  ExportedModel,
  GeneratedImage,
  GenerationProgress,
  ImportedModel,
  LocalFile,
  LockedModel,
  RelayStatus,
  StorageInfo,
  TokenCount,
} from './engine.ts';

/** How the page starts the worker; sent once, first. */
export interface EngineConfig {
  /** Root of the page with a trailing slash: models and the runtime's files lie below it. */
  readonly baseUrl: string;
  /** Relay to attach to, or null for a page without a bridge. */
  readonly relay: { readonly url: string; readonly tokenUrl: string } | null;
  /** `auto`, `webgpu`, `wasm`, or part of an adapter's name. */
  readonly device: string;
  readonly precision: 'auto' | 'fp32' | 'fp16' | 'q8' | 'q4';
  /** Checkpoint to load at start, null for none. */
  readonly checkpoint: string | null;
  /** VAE of jobs that choose none; null is as `Automatic`. */
  readonly vae?: string | null;
  /** How the runtime's WebGPU buffers are kept for reuse; without effect on wasm. */
  readonly allocator: EngineStart['allocator'];
  /** Minutes without a job after which the checkpoint leaves the device; null is never. */
  readonly unloadIdleMinutes: number | null;
  readonly appVersion: string;
}

/** Page to worker. Every `id` is answered by one `reply` or `failure`. */
export type WorkerRequest =
  | { readonly type: 'start'; readonly config: EngineConfig }
  | { readonly type: 'load-checkpoint'; readonly id: number; readonly name: string }
  | { readonly type: 'unload-checkpoint'; readonly id: number }
  | { readonly type: 'refresh-models'; readonly id: number }
  | { readonly type: 'add-files'; readonly id: number; readonly files: readonly LocalFile[] }
  | {
      readonly type: 'forget-files';
      readonly id: number;
      readonly name: string;
      readonly kind: AddedModel['kind'];
    }
  | { readonly type: 'locked-files'; readonly id: number }
  | { readonly type: 'export-compiled'; readonly id: number; readonly key: string }
  | { readonly type: 'import-compiled'; readonly id: number; readonly file: Blob }
  | { readonly type: 'list-compiled'; readonly id: number }
  /** Deletes one compiled model, or with null all. */
  | { readonly type: 'delete-compiled'; readonly id: number; readonly key: string | null }
  | { readonly type: 'storage-estimate'; readonly id: number }
  | { readonly type: 'count-tokens'; readonly id: number; readonly prompts: readonly string[] }
  | { readonly type: 'generate'; readonly id: number; readonly params: GenerationParams }
  /** Aborts the request with that id. */
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'skip' }
  | { readonly type: 'interrupt' }
  | { readonly type: 'take-over' }
  | { readonly type: 'close' };

/** The answer to one request; what it asked for is there, the rest is not. */
export interface WorkerReply {
  readonly type: 'reply';
  readonly id: number;
  readonly summary?: GenerationSummary | null;
  readonly added?: readonly AddedModel[];
  readonly locked?: readonly LockedModel[];
  readonly exported?: ExportedModel;
  readonly imported?: ImportedModel;
  readonly compiled?: readonly CompiledInfo[];
  readonly storage?: StorageInfo | null;
  readonly tokenCounts?: readonly (TokenCount | null)[];
}

/** Worker to page. Bytes of pictures are transferred. */
export type WorkerMessage =
  | { readonly type: 'ready' }
  /** The engine cannot start; the worker is of no more use. */
  | { readonly type: 'start-failed'; readonly error: SerializedError }
  | { readonly type: 'status'; readonly status: EngineStatus }
  | { readonly type: 'relay-status'; readonly status: RelayStatus }
  | { readonly type: 'catalog'; readonly catalog: Catalog }
  | { readonly type: 'progress'; readonly id: number; readonly progress: GenerationProgress }
  | { readonly type: 'image'; readonly id: number; readonly image: GeneratedImage }
  | { readonly type: 'preview'; readonly id: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | WorkerReply
  | { readonly type: 'failure'; readonly id: number; readonly error: SerializedError };
