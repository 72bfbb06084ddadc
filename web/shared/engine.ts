import type { ByproductKind } from '../../protocol/byproducts.ts';
import type { Catalog, ModelListing } from '../../protocol/catalog.ts';
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
  readonly byproducts?: readonly GeneratedByproduct[];
}

/** A picture that came about on the way; `module` is the preprocessor of a control map. */
export interface GeneratedByproduct {
  readonly kind: ByproductKind;
  readonly module: string;
  readonly format: GeneratedImage['format'];
  readonly bytes: Uint8Array<ArrayBuffer>;
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

/** A model of the user's own disk that was added to the lists. */
export type AddedModel = Pick<ModelListing, 'kind' | 'name'>;

/** An added model whose files can be read once a person allows it again. */
export interface LockedModel extends AddedModel {
  readonly handles: readonly FileSystemFileHandle[];
}

/** A compiled model as one file; its bytes stay on the disk until they are read. */
export interface ExportedModel {
  readonly fileName: string;
  readonly file: Blob;
}

/** A compiled model that was taken out of a file. */
export interface ImportedModel extends AddedModel {
  /** What a user should know of it, as sentences. */
  readonly notes: readonly string[];
}

/** What a prompt box shows: tokens used, and how many the chunks of 75 begun would hold. */
export interface TokenCount {
  readonly tokens: number;
  readonly room: number;
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
  /** Whether it can be made one file; what lies over another model (LoRAs) cannot. */
  readonly isExportable: boolean;
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
   * Adds models of the user's own disk, of whatever kind, to the catalogue and says what they are; rejects
   * with what is wrong with the files. They stay listed after a reload; once compiled, their files are not
   * needed.
   */
  addFiles(files: readonly LocalFile[]): Promise<readonly AddedModel[]>;
  /** Takes an added model off its list. */
  forgetFiles(name: string, kind?: AddedModel['kind']): Promise<void>;
  /** Added models whose files wait for a permission; only the page may ask for it. */
  lockedFiles(): Promise<readonly LockedModel[]>;
  /** What is compiled and kept, the last used first. */
  listCompiled(): Promise<readonly CompiledInfo[]>;
  /** Deletes a compiled model, unloading it first; rejects with `busy` while another tab uses it. */
  deleteCompiled(key: string): Promise<void>;
  /** One compiled model as one file; rejects with `not-found`, or `invalid-model` where it is damaged. */
  exportCompiled(key: string): Promise<ExportedModel>;
  /**
   * Keeps the compiled model that a file of `exportCompiled` holds and lists it. Rejects, and leaves
   * nothing behind, with `invalid-model` for another or a damaged file, `unsupported` for one of another
   * version, and `storage-full`.
   */
  importCompiled(file: Blob, options?: { signal?: AbortSignal }): Promise<ImportedModel>;
  /** Deletes all that no other tab uses. */
  deleteAllCompiled(): Promise<void>;
  /** Null where the browser does not say. */
  storageEstimate(): Promise<StorageInfo | null>;
  /**
   * Tokens of each prompt by the vocabulary of the checkpoint in memory; null for a prompt that cannot be read
   * yet, and for all where no checkpoint is in memory here.
   */
  countTokens(prompts: readonly string[]): Promise<readonly (TokenCount | null)[]>;
  /** Runs one job; rejects with `GenerationError` or `AbortError`. */
  generate(params: GenerationParams, options?: GenerateOptions): Promise<GenerationSummary>;
  /** Drops the picture being made and goes on with the next of the job. */
  skip(): void;
  /** Ends the running job after the present step; its `generate` resolves with what exists. */
  interrupt(): void;
  /** Makes this tab the engine where another tab of the browser is; a job asked for does so too. */
  takeOver(): void;
  /** Releases sessions, socket and store; safe to call twice. */
  close(): Promise<void>;
}
