import type { Catalog } from '../../protocol/catalog.ts';
import type { EngineStatus } from '../../protocol/device.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary } from '../../protocol/job.ts';
import type {
  AddedModel,
  CompiledInfo,
  Engine,
  ExportedModel,
  GeneratedImage,
  GenerateOptions,
  ImportedModel,
  LocalFile,
  LockedModel,
  RelayStatus,
  StorageInfo,
  TokenCount,
} from '../../web/shared/engine.ts';

export const IDLE: EngineStatus = {
  state: 'idle',
  device: null,
  checkpoint: 'easel-tiny',
  precision: 'fp32',
  activity: null,
  message: null,
};

export function fakeImage(overrides: Partial<GeneratedImage> = {}): GeneratedImage {
  return {
    index: 0,
    format: 'png',
    bytes: new Uint8Array([137, 80, 78, 71]),
    infotext: 'a red apple\nSteps: 20',
    prompt: 'a red apple',
    negativePrompt: '',
    seed: 7,
    subseed: 1,
    width: 512,
    height: 512,
    ...overrides,
  };
}

export function fakeSummary(overrides: Partial<GenerationSummary> = {}): GenerationSummary {
  return {
    interrupted: false,
    width: 512,
    height: 512,
    checkpoint: 'easel-tiny',
    checkpointHash: null,
    clipSkip: 1,
    extraParams: {},
    notes: [],
    timings: {
      totalSeconds: 2,
      loadSeconds: 0,
      encodeSeconds: 0,
      sampleSeconds: 2,
      decodeSeconds: 0,
      runSeconds: 2,
      readBacks: 0,
      uploads: 0,
      uploadedBytes: 0,
    },
    ...overrides,
  };
}

interface Job {
  readonly params: GenerationParams;
  readonly options: GenerateOptions;
  readonly resolve: (summary: GenerationSummary) => void;
  readonly reject: (error: Error) => void;
}

/** An engine whose jobs the test ends by hand. */
export class FakeEngine implements Engine {
  readonly jobs: Job[] = [];
  readonly calls: string[] = [];
  /** What the next `loadCheckpoint` or `unloadCheckpoint` fails with. */
  failure: Error | null = null;
  tellStatus: (status: EngineStatus) => void = () => {};

  onStatus(listener: (status: EngineStatus) => void): () => void {
    this.tellStatus = listener;
    listener(IDLE);
    return () => this.calls.push('unsubscribe-status');
  }

  onRelayStatus(listener: (status: RelayStatus) => void): () => void {
    listener({ state: 'attached', message: '' });
    return () => this.calls.push('unsubscribe-relay');
  }

  onCatalog(listener: (catalog: Catalog) => void): () => void {
    listener({ checkpoints: [] });
    return () => this.calls.push('unsubscribe-catalog');
  }

  async loadCheckpoint(name: string): Promise<void> {
    this.calls.push(`load ${name}`);
    if (this.failure) throw this.failure;
  }

  async unloadCheckpoint(): Promise<void> {
    this.calls.push('unload');
    if (this.failure) throw this.failure;
  }

  async refreshModels(): Promise<void> {
    this.calls.push('refresh');
  }

  /** What the next `addFiles` gives. */
  added: AddedModel[] = [{ kind: 'checkpoint', name: 'added' }];
  locked: LockedModel[] = [];

  async addFiles(files: readonly LocalFile[]): Promise<readonly AddedModel[]> {
    this.calls.push(`add ${files.map(({ path }) => path).join(' ')}`);
    if (this.failure) throw this.failure;
    return this.added;
  }

  async forgetFiles(name: string, kind = 'checkpoint'): Promise<void> {
    this.calls.push(`forget ${kind} ${name}`);
    if (this.failure) throw this.failure;
  }

  async lockedFiles(): Promise<readonly LockedModel[]> {
    return this.locked;
  }

  async exportCompiled(key: string): Promise<ExportedModel> {
    this.calls.push(`export ${key}`);
    if (this.failure) throw this.failure;
    return { fileName: `${key}.easel`, file: new Blob(['whole', 'file']) };
  }

  async importCompiled(file: Blob): Promise<ImportedModel> {
    this.calls.push(`import ${file.size}`);
    if (this.failure) throw this.failure;
    return { kind: 'checkpoint', name: 'imported', notes: ['a note'] };
  }

  compiled: CompiledInfo[] = [];

  async listCompiled(): Promise<readonly CompiledInfo[]> {
    return this.compiled;
  }

  async deleteCompiled(key: string): Promise<void> {
    this.calls.push(`delete ${key}`);
    if (this.failure) throw this.failure;
    this.compiled = this.compiled.filter((model) => model.key !== key);
  }

  async deleteAllCompiled(): Promise<void> {
    this.calls.push('delete all');
    if (this.failure) throw this.failure;
    this.compiled = [];
  }

  async storageEstimate(): Promise<StorageInfo | null> {
    return { usedBytes: 1e6, quotaBytes: 1e9 };
  }

  /** One token a word. */
  async countTokens(prompts: readonly string[]): Promise<readonly TokenCount[]> {
    return prompts.map((prompt) => {
      const tokens = prompt.split(/\s+/).filter(Boolean).length;
      return { tokens, room: Math.max(1, Math.ceil(tokens / 75)) * 75 };
    });
  }

  generate(params: GenerationParams, options: GenerateOptions = {}): Promise<GenerationSummary> {
    return new Promise((resolve, reject) => {
      this.jobs.push({ params, options, resolve, reject });
    });
  }

  skip(): void {
    this.calls.push('skip');
  }

  interrupt(): void {
    this.calls.push('interrupt');
  }

  takeOver(): void {
    this.calls.push('take over');
  }

  async close(): Promise<void> {
    this.calls.push('close');
  }

  get lastJob(): Job {
    const job = this.jobs.at(-1);
    if (!job) throw new Error('no job was started');
    return job;
  }
}
