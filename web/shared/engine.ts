import type { Catalog } from '../../protocol/catalog.ts';
import type { EngineStatus } from '../../protocol/device.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary, JobStage } from '../../protocol/job.ts';

/** Where a job stands; the relay adds job id and attempt to make a `job-progress` of it. */
export interface GenerationProgress {
  readonly stage: JobStage;
  readonly imageIndex: number;
  readonly imageCount: number;
  readonly step: number;
  readonly steps: number;
  /** The whole job, 0 to 1. */
  readonly fraction: number;
  readonly etaSeconds: number | null;
  readonly message: string;
}

/** One finished picture: the whole file, infotext inside. */
export interface GeneratedImage {
  readonly index: number;
  readonly format: 'png' | 'jpg' | 'webp';
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly infotext: string;
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly seed: number;
  readonly subseed: number;
  readonly width: number;
  readonly height: number;
}

export interface GenerateOptions {
  /** Aborting ends the job with `AbortError`; pictures already reported stand. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: GenerationProgress) => void;
  readonly onImage?: (image: GeneratedImage) => void;
  /** A small picture of the latents on the way, as JPEG or PNG bytes. */
  readonly onPreview?: (bytes: Uint8Array<ArrayBuffer>) => void;
}

/** A file of the user's own disk. */
export interface LocalFile {
  /** With the folders above it, as far as they were chosen too; with `/`. */
  readonly path: string;
  readonly file: Blob;
  /** Where the browser gives one: the file can be read again after a reload. */
  readonly handle?: FileSystemFileHandle;
}

/** One compiled model in the browser's storage. */
export interface CompiledInfo {
  readonly key: string;
  /** The checkpoint's name when it was compiled. */
  readonly name: string;
  readonly family: 'sd1' | 'sd2' | 'sdxl';
  readonly precision: 'fp32' | 'fp16' | 'q8' | 'q4';
  readonly sizeBytes: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly lastUsedAt: number;
  /** This tab has it in memory. */
  readonly isInUse: boolean;
}

/** The browser's storage of this page: compiled models, pictures, settings. */
export interface StorageInfo {
  readonly usedBytes: number;
  readonly quotaBytes: number;
}

/** Whether the bridge is there, as the engine's relay client sees it. */
export interface RelayStatus {
  readonly state: 'off' | 'connecting' | 'attached' | 'waiting' | 'refused';
  /** A sentence for a person. */
  readonly message: string;
}

/**
 * The engine as the page and the relay see it; implemented by the worker's local engine and by the
 * page's client. One job at a time: a second `generate` waits for the first.
 */
export interface Engine {
  /** Called at once with the present status and at every change; returns the unsubscriber. */
  onStatus(listener: (status: EngineStatus) => void): () => void;
  onRelayStatus(listener: (status: RelayStatus) => void): () => void;
  /** Called at once and whenever checkpoints come or go. */
  onCatalog(listener: (catalog: Catalog) => void): () => void;
  /** Brings a checkpoint into memory, compiling it first where that was never done. */
  loadCheckpoint(name: string, options?: { signal?: AbortSignal }): Promise<void>;
  /** Gives the device's memory back; the next job loads again. */
  unloadCheckpoint(): Promise<void>;
  /** Asks all sources again what they have. */
  refreshModels(): Promise<void>;
  /**
   * Adds checkpoints of the user's own disk to the catalogue and gives their names; rejects with what is
   * wrong with the files. They stay listed after a reload; once compiled, their files are not needed.
   */
  addFiles(files: readonly LocalFile[]): Promise<readonly string[]>;
  /** Takes an added checkpoint off the list. */
  forgetFiles(name: string): Promise<void>;
  /** What is compiled and kept, the last used first. */
  listCompiled(): Promise<readonly CompiledInfo[]>;
  /** Deletes a compiled model, unloading it first; rejects with `busy` while another tab uses it. */
  deleteCompiled(key: string): Promise<void>;
  /** Deletes all that no other tab uses. */
  deleteAllCompiled(): Promise<void>;
  /** Null where the browser does not say. */
  storageEstimate(): Promise<StorageInfo | null>;
  /** Runs one job; rejects with `GenerationError` or `AbortError`. */
  generate(params: GenerationParams, options?: GenerateOptions): Promise<GenerationSummary>;
  /** Drops the picture being made and goes on with the next of the job. */
  skip(): void;
  /** Ends the running job after the present step; its `generate` resolves with what exists. */
  interrupt(): void;
  /** Releases sessions, socket and store; safe to call twice. */
  close(): Promise<void>;
}
