import { z } from 'zod';
import type { Catalog } from '../../protocol/catalog.ts';
import { type EngineStatus, engineActivity, NOTHING_KNOWN } from '../../protocol/device.ts';
import { GenerationError, parseError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary } from '../../protocol/job.ts';
import type {
  AddedModel,
  CompiledInfo,
  Engine,
  ExportedModel,
  GenerateOptions,
  ImportedModel,
  LockedModel,
  RelayStatus,
  StorageInfo,
} from '../shared/engine.ts';
import { createWatched } from '../shared/watched.ts';
import type { BridgeApi } from './bridge-api.ts';
import { readRemoteCatalog } from './remote-catalog.ts';
import { runRemoteJob } from './remote-job.ts';

/** `GET /health` as far as the page reads it. */
const health = z.object({
  message: z.string().catch(''),
  activity: engineActivity.nullable().catch(null),
  engines: z
    .array(
      z.object({
        device: z.string().nullable(),
        adapter: z.string().nullable(),
        state: z.string(),
        checkpoint: z.string().nullable(),
        precision: z.enum(['fp32', 'fp16', 'q8', 'q4']).nullable().catch(null),
      }),
    )
    .catch([]),
});
type Health = z.infer<typeof health>;

const engineState = z
  .enum(['idle', 'busy', 'loading', 'compiling', 'waiting', 'blocked'])
  .catch('idle');

const UNKNOWN_STATUS: EngineStatus = { state: 'waiting', ...NOTHING_KNOWN };

function toStatus({ engines, message, activity }: Health): EngineStatus {
  const [engine] = engines;
  if (!engine) return { ...UNKNOWN_STATUS, message };
  return {
    state: engineState.parse(engine.state),
    device: engine.adapter === null ? null : toDevice(engine.device, engine.adapter),
    checkpoint: engine.checkpoint,
    precision: engine.precision,
    activity,
    message: null,
  };
}

function toDevice(provider: string | null, adapter: string): EngineStatus['device'] {
  return {
    provider: provider === 'wasm' ? 'wasm' : 'webgpu',
    adapter,
    isSoftware: false,
    hasShaderF16: false,
    maxBufferBytes: 0,
    maxStorageBindingBytes: 0,
    wasmThreads: 0,
    reason: '',
  };
}

export interface RemoteEngineOptions {
  readonly pollMs?: number;
  /** Filled with the keys of this page's jobs. */
  readonly ownKeys?: Set<string>;
}

/**
 * The engine that another machine's tab lends through the bridge: the page of a phone or a second
 * machine makes its pictures there, over the bridge's HTTP routes.
 */
class RemoteEngine implements Engine {
  readonly #api: BridgeApi;
  readonly #status = createWatched<EngineStatus>(UNKNOWN_STATUS);
  readonly #relay = createWatched<RelayStatus>({ state: 'connecting', message: '' });
  readonly #catalog = createWatched<Catalog>({ checkpoints: [] });
  readonly #pollMs: number;
  readonly #ownKeys: Set<string>;
  /** Id of the job that this page runs, once the bridge has accepted it. */
  #jobId: string | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isClosed = false;

  constructor(api: BridgeApi, { pollMs, ownKeys }: Required<RemoteEngineOptions>) {
    this.#api = api;
    this.#pollMs = pollMs;
    this.#ownKeys = ownKeys;
    void this.#poll();
    void this.#readCatalog().catch(() => {});
  }

  onStatus(listener: (status: EngineStatus) => void): () => void {
    return this.#status.watch(listener);
  }

  onRelayStatus(listener: (status: RelayStatus) => void): () => void {
    return this.#relay.watch(listener);
  }

  onCatalog(listener: (catalog: Catalog) => void): () => void {
    return this.#catalog.watch(listener);
  }

  async loadCheckpoint(name: string, options: { signal?: AbortSignal } = {}): Promise<void> {
    await this.#api.post('sdapi/v1/options', { sd_model_checkpoint: name }, options);
  }

  async unloadCheckpoint(): Promise<void> {
    await this.#api.post('sdapi/v1/unload-checkpoint', {});
  }

  async refreshModels(): Promise<void> {
    await this.#api.post('sdapi/v1/refresh-checkpoints', {});
    await this.#readCatalog();
  }

  addFiles(): Promise<readonly AddedModel[]> {
    return Promise.reject(elsewhere());
  }

  async lockedFiles(): Promise<readonly LockedModel[]> {
    return [];
  }

  exportCompiled(): Promise<ExportedModel> {
    return Promise.reject(elsewhere());
  }

  importCompiled(): Promise<ImportedModel> {
    return Promise.reject(elsewhere());
  }

  forgetFiles(): Promise<void> {
    return Promise.reject(elsewhere());
  }

  /** Compiled models are the other machine's; its own page shows them. */
  async listCompiled(): Promise<readonly CompiledInfo[]> {
    return [];
  }

  deleteCompiled(): Promise<void> {
    return Promise.reject(elsewhere());
  }

  deleteAllCompiled(): Promise<void> {
    return Promise.reject(elsewhere());
  }

  async storageEstimate(): Promise<StorageInfo | null> {
    return null;
  }

  async countTokens(prompts: readonly string[]): Promise<readonly null[]> {
    return prompts.map(() => null);
  }

  async generate(
    params: GenerationParams,
    options: GenerateOptions = {},
  ): Promise<GenerationSummary> {
    if (this.#isClosed) throw new GenerationError('cancelled', 'The engine was closed.');
    try {
      const record = await runRemoteJob(this.#api, params, {
        ...options,
        onKey: (key) => this.#ownKeys.add(key),
        onAccepted: (jobId) => {
          this.#jobId = jobId;
        },
      });
      if (record.error) throw parseError(record.error);
      if (record.summary) return record.summary;
      throw new GenerationError('internal', 'The bridge lost the result of this job.');
    } finally {
      this.#jobId = null;
    }
  }

  skip(): void {
    this.#post('sdapi/v1/skip');
  }

  interrupt(): void {
    if (this.#jobId) this.#post(`easel/v1/jobs/${this.#jobId}/interrupt`);
  }

  /** The engine is another machine's, and stays there. */
  takeOver(): void {}

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** For what has no answer of interest: a bridge that is gone shows in the status. */
  #post(path: string): void {
    void this.#api.post(path, {}).catch(() => {});
  }

  async #poll(): Promise<void> {
    try {
      const wasAttached = this.#relay.value.state === 'attached';
      const found = await this.#api.get('health', health, { accepts: [503] });
      if (this.#isClosed) return;
      this.#status.set(toStatus(found));
      if (!wasAttached) {
        this.#relay.set({ state: 'attached', message: '' });
        await this.#readCatalog();
      }
    } catch (error) {
      if (this.#isClosed) return;
      const message = error instanceof Error ? error.message : String(error);
      this.#relay.set({ state: 'connecting', message });
      this.#status.set({ ...UNKNOWN_STATUS, message });
    }
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#poll(), this.#pollMs);
  }

  async #readCatalog(): Promise<void> {
    this.#catalog.set(await readRemoteCatalog(this.#api));
  }
}

function elsewhere(): GenerationError {
  return new GenerationError(
    'unsupported',
    'Models are kept on the machine that runs the engine; open the page there.',
  );
}

export function createRemoteEngine(
  api: BridgeApi,
  { pollMs = 2_000, ownKeys = new Set() }: RemoteEngineOptions = {},
): Engine {
  return new RemoteEngine(api, { pollMs, ownKeys });
}
