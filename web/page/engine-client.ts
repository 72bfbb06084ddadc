import type { Catalog } from '../../protocol/catalog.ts';
import { type EngineStatus, NOTHING_KNOWN } from '../../protocol/device.ts';
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
  LocalFile,
  LockedModel,
  RelayStatus,
  StorageInfo,
  TokenCount,
} from '../shared/engine.ts';
import { createWatched, type Watched } from '../shared/watched.ts';
import type {
  EngineConfig,
  WorkerMessage,
  WorkerReply,
  WorkerRequest,
} from '../shared/worker-protocol.ts';

/** The part of `Worker` that the client needs; tests hand in a fake. */
export interface WorkerLike {
  postMessage(message: WorkerRequest, transfer?: Transferable[]): void;
  terminate(): void;
  addEventListener(type: 'message', listener: (event: { data: WorkerMessage }) => void): void;
  addEventListener(type: 'error', listener: (event: { message?: string }) => void): void;
  addEventListener(type: 'messageerror', listener: () => void): void;
}

export interface EngineClientOptions {
  readonly createWorker?: () => WorkerLike;
  /** How long a cancelled request may stay unanswered before the worker is ended by force. */
  readonly cancelTimeoutMs?: number;
  /** First delay before a crashed worker that serves a bridge starts again; doubles up to a minute. */
  readonly restartDelayMs?: number;
  /** How long a new worker may take to say `ready`. */
  readonly startTimeoutMs?: number;
}

interface Pending {
  readonly resolve: (reply: WorkerReply) => void;
  readonly reject: (error: Error) => void;
  readonly options: GenerateOptions;
  readonly dispose: () => void;
}

const MAX_RESTART_DELAY_MS = 60_000;
/** A worker that lived this long was no failed start: the next restart is quick again. */
const STABLE_MS = 60_000;
const CLOSE_GRACE_MS = 250;

const STARTING: EngineStatus = { state: 'loading', ...NOTHING_KNOWN };

function createEngineWorker(): WorkerLike {
  return new Worker(new URL('../engine/worker.ts', import.meta.url), {
    type: 'module',
    name: 'easel-engine',
  });
}

function abortError(): DOMException {
  return new DOMException('The job was cancelled.', 'AbortError');
}

/**
 * The page's side of the engine worker. Every request settles: when the worker fails or stops
 * answering, everything pending rejects with `GenerationError` and the next call starts a new one.
 */
class EngineClient implements Engine {
  readonly #config: EngineConfig;
  readonly #options: Required<EngineClientOptions>;
  readonly #status = createWatched<EngineStatus>(STARTING);
  readonly #relay: Watched<RelayStatus>;
  readonly #catalog = createWatched<Catalog>({ checkpoints: [] });
  readonly #pending = new Map<number, Pending>();
  #worker: WorkerLike | null = null;
  #startedAt = 0;
  #nextId = 1;
  #restartDelayMs: number;
  #restartTimer: ReturnType<typeof setTimeout> | null = null;
  #startTimer: ReturnType<typeof setTimeout> | null = null;
  #isClosed = false;

  constructor(config: EngineConfig, options: Required<EngineClientOptions>) {
    this.#config = config;
    this.#options = options;
    this.#restartDelayMs = options.restartDelayMs;
    this.#relay = createWatched<RelayStatus>({
      state: config.relay ? 'connecting' : 'off',
      message: '',
    });
    this.#start();
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
    await this.#request((id) => ({ type: 'load-checkpoint', id, name }), options);
  }

  async unloadCheckpoint(): Promise<void> {
    await this.#request((id) => ({ type: 'unload-checkpoint', id }));
  }

  async refreshModels(): Promise<void> {
    await this.#request((id) => ({ type: 'refresh-models', id }));
  }

  async addFiles(files: readonly LocalFile[]): Promise<readonly AddedModel[]> {
    const { added } = await this.#request((id) => ({ type: 'add-files', id, files }));
    return added ?? [];
  }

  async forgetFiles(name: string, kind: AddedModel['kind'] = 'checkpoint'): Promise<void> {
    await this.#request((id) => ({ type: 'forget-files', id, name, kind }));
  }

  async lockedFiles(): Promise<readonly LockedModel[]> {
    const { locked } = await this.#request((id) => ({ type: 'locked-files', id }));
    return locked ?? [];
  }

  async listCompiled(): Promise<readonly CompiledInfo[]> {
    const { compiled } = await this.#request((id) => ({ type: 'list-compiled', id }));
    return compiled ?? [];
  }

  async exportCompiled(key: string): Promise<ExportedModel> {
    const { exported } = await this.#request((id) => ({ type: 'export-compiled', id, key }));
    if (!exported) throw new GenerationError('internal', 'The engine gave no file.');
    return exported;
  }

  async importCompiled(file: Blob, options: { signal?: AbortSignal } = {}): Promise<ImportedModel> {
    const { imported } = await this.#request(
      (id) => ({ type: 'import-compiled', id, file }),
      options,
    );
    if (!imported) throw new GenerationError('internal', 'The engine ended without a word.');
    return imported;
  }

  async deleteCompiled(key: string): Promise<void> {
    await this.#request((id) => ({ type: 'delete-compiled', id, key }));
  }

  async deleteAllCompiled(): Promise<void> {
    await this.#request((id) => ({ type: 'delete-compiled', id, key: null }));
  }

  async storageEstimate(): Promise<StorageInfo | null> {
    const { storage } = await this.#request((id) => ({ type: 'storage-estimate', id }));
    return storage ?? null;
  }

  async countTokens(prompts: readonly string[]): Promise<readonly (TokenCount | null)[]> {
    const { tokenCounts } = await this.#request((id) => ({ type: 'count-tokens', id, prompts }));
    return tokenCounts ?? prompts.map(() => null);
  }

  async generate(
    params: GenerationParams,
    options: GenerateOptions = {},
  ): Promise<GenerationSummary> {
    const { summary } = await this.#request((id) => ({ type: 'generate', id, params }), options);
    if (!summary) throw new GenerationError('internal', 'The engine ended the job without a word.');
    return summary;
  }

  skip(): void {
    this.#worker?.postMessage({ type: 'skip' });
  }

  interrupt(): void {
    this.#worker?.postMessage({ type: 'interrupt' });
  }

  takeOver(): void {
    this.#worker?.postMessage({ type: 'take-over' });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#clearTimers();
    const worker = this.#worker;
    this.#worker = null;
    this.#rejectAll(new GenerationError('cancelled', 'The page is closing.'));
    if (!worker) return;
    worker.postMessage({ type: 'close' });
    await new Promise((resolve) => setTimeout(resolve, CLOSE_GRACE_MS));
    worker.terminate();
  }

  /** Starts a worker where none runs. A worker that cannot even be made counts as crashed. */
  #start(): WorkerLike | null {
    if (this.#worker || this.#isClosed) return this.#worker;
    this.#clearTimers();
    let worker: WorkerLike;
    try {
      worker = this.#options.createWorker();
    } catch (error) {
      this.#fail('internal', `The engine could not be started (${messageOf(error)}).`);
      return null;
    }
    this.#worker = worker;
    this.#startedAt = Date.now();
    this.#status.set({ ...STARTING });
    // A worker that was given up may still have events under way: they are no longer ours.
    const ifCurrent = (handle: () => void) => {
      if (this.#worker === worker) handle();
    };
    worker.addEventListener('message', (event) => ifCurrent(() => this.#receive(event.data)));
    worker.addEventListener('error', (event) =>
      ifCurrent(() => {
        const detail = event.message ? ` (${event.message})` : '';
        this.#fail('internal', `The engine stopped unexpectedly${detail}.`);
      }),
    );
    worker.addEventListener('messageerror', () =>
      ifCurrent(() => this.#fail('internal', 'A message from the engine could not be read.')),
    );
    worker.postMessage({ type: 'start', config: this.#config });
    this.#startTimer = setTimeout(
      () => this.#fail('internal', 'The engine did not start in time.'),
      this.#options.startTimeoutMs,
    );
    return worker;
  }

  #request(
    build: (id: number) => WorkerRequest,
    options: GenerateOptions = {},
  ): Promise<WorkerReply> {
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(abortError());
    if (this.#isClosed) {
      return Promise.reject(new GenerationError('cancelled', 'The engine was closed.'));
    }
    const worker = this.#start();
    if (!worker) {
      return Promise.reject(
        new GenerationError('internal', this.#status.value.message ?? 'The engine did not start.'),
      );
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | null = null;
      const cancel = () => {
        worker.postMessage({ type: 'cancel', id });
        timer = setTimeout(
          () => this.#fail('cancelled', 'The engine did not react to the stop and was restarted.'),
          this.#options.cancelTimeoutMs,
        );
      };
      const dispose = () => {
        signal?.removeEventListener('abort', cancel);
        if (timer !== null) clearTimeout(timer);
      };
      signal?.addEventListener('abort', cancel, { once: true });
      this.#pending.set(id, { resolve, reject, options, dispose });
      worker.postMessage(build(id));
    });
  }

  #receive(message: WorkerMessage): void {
    switch (message.type) {
      case 'ready':
        if (this.#startTimer !== null) clearTimeout(this.#startTimer);
        break;
      case 'start-failed':
        this.#fail('internal', `The engine could not be started (${message.error.message}).`);
        break;
      case 'status':
        this.#status.set(message.status);
        break;
      case 'relay-status':
        this.#relay.set(message.status);
        break;
      case 'catalog':
        this.#catalog.set(message.catalog);
        break;
      case 'progress':
        this.#pending.get(message.id)?.options.onProgress?.(message.progress);
        break;
      case 'image':
        this.#pending.get(message.id)?.options.onImage?.(message.image);
        break;
      case 'preview':
        this.#pending.get(message.id)?.options.onPreview?.(message.bytes);
        break;
      case 'reply':
        this.#take(message.id)?.resolve(message);
        break;
      case 'failure': {
        const pending = this.#take(message.id);
        const wasAborted = message.error.code === 'cancelled' && pending?.options.signal?.aborted;
        pending?.reject(wasAborted ? abortError() : parseError(message.error));
        break;
      }
    }
  }

  #clearTimers(): void {
    if (this.#restartTimer !== null) clearTimeout(this.#restartTimer);
    if (this.#startTimer !== null) clearTimeout(this.#startTimer);
    this.#restartTimer = null;
    this.#startTimer = null;
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.dispose();
    return pending;
  }

  #rejectAll(error: GenerationError): void {
    for (const id of [...this.#pending.keys()]) {
      const pending = this.#take(id);
      pending?.reject(pending.options.signal?.aborted ? abortError() : error);
    }
  }

  #fail(code: 'internal' | 'cancelled', message: string): void {
    const worker = this.#worker;
    this.#worker = null;
    worker?.terminate();
    this.#clearTimers();
    this.#status.set({ ...STARTING, state: 'blocked', message });
    if (this.#config.relay) {
      this.#relay.set({ state: 'connecting', message: 'The engine restarts.' });
      this.#scheduleRestart();
    }
    this.#rejectAll(new GenerationError(code, `${message} Try again: it starts afresh.`));
  }

  /** A tab that serves a bridge may have nobody in front of it: it comes back by itself. */
  #scheduleRestart(): void {
    if (Date.now() - this.#startedAt > STABLE_MS) {
      this.#restartDelayMs = this.#options.restartDelayMs;
    }
    this.#restartTimer = setTimeout(() => this.#start(), this.#restartDelayMs);
    this.#restartDelayMs = Math.min(this.#restartDelayMs * 2, MAX_RESTART_DELAY_MS);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Starts the engine worker and returns its page side; see `EngineClient` for what is promised. */
export function createEngineClient(
  config: EngineConfig,
  {
    createWorker = createEngineWorker,
    cancelTimeoutMs = 30_000,
    restartDelayMs = 1_000,
    startTimeoutMs = 60_000,
  }: EngineClientOptions = {},
): Engine {
  return new EngineClient(config, {
    createWorker,
    cancelTimeoutMs,
    restartDelayMs,
    startTimeoutMs,
  });
}
