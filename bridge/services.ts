import type { ByproductKind } from '../protocol/byproducts.ts';
import type { Catalog, ModelListing } from '../protocol/catalog.ts';
import type { EngineStatus } from '../protocol/device.ts';
import type { SerializedError } from '../protocol/errors.ts';
import type { GenerationParams } from '../protocol/generation.ts';
import type { GenerationSummary, JobEvent, JobImage, JobProgress } from '../protocol/job.ts';
import type { BridgeCommand } from '../protocol/relay.ts';
import type { SafetensorsSummary } from './models/safetensors-summary.ts';

/**
 * What the HTTP side (bridge/a1111, the page's own routes) may know of the rest of the bridge. The
 * routes see these shapes only, so they are tested with plain objects and no socket.
 */
export interface BridgeServices {
  readonly jobs: JobService;
  readonly engines: EngineDirectory;
  readonly models: ModelLibrary;
  readonly settings: SettingsStore;
  readonly outputs: OutputStore;
}

/** How a job's pictures are saved, by A1111's options; patterns are theirs, not yet filled in. */
export interface PictureSaving {
  /** Name of a file; empty is the time, the first words and the seed. */
  readonly file: string;
  /** Folder below the output folder; empty is the day's, null none. */
  readonly folder: string | null;
  /** A text file with the infotext beside each. */
  readonly hasText: boolean;
  /** Words of a prompt that `[prompt_words]` takes; A1111's 8 where left out. */
  readonly maxPromptWords?: number | undefined;
  /** Which byproducts lie beside each. */
  readonly byproducts?: readonly ByproductKind[] | undefined;
}

/** A request for pictures as the queue takes it. */
export interface JobRequest {
  readonly params: GenerationParams;
  /** Who asked, for the page's queue: a client's name from its User-Agent or Origin, never an address. */
  readonly client: string;
  /** The client's own key (`X-Request-Id`) by which the result can be fetched again, or null. */
  readonly key: string | null;
  /** Whether finished pictures are written below the output folder. */
  readonly saveImages: boolean;
  /** How, where it is not Easel's own way. */
  readonly saving?: PictureSaving | undefined;
}

/** A finished (or interrupted) job with everything the reply needs. */
export interface JobResult {
  readonly jobId: string;
  readonly images: readonly JobImage[];
  readonly summary: GenerationSummary;
  /** Where each picture was saved; null where that was not wanted or not possible (a full disk). */
  readonly savedAs?: readonly (string | null)[];
}

/** One job as it stands, for progress, the page and `GET /easel/v1/jobs/…`. */
export interface JobView {
  readonly jobId: string;
  readonly client: string;
  readonly key: string | null;
  readonly state: 'waiting' | 'running' | 'finished' | 'failed';
  readonly params: GenerationParams;
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number;
  readonly startedAt: number | null;
  readonly progress: JobProgress | null;
  /** Base64 of the newest preview or finished picture of this job, or null. */
  readonly preview: string | null;
  readonly isInterrupted: boolean;
  readonly isSkipped: boolean;
  readonly error: SerializedError | null;
}

export interface QueueView {
  readonly waiting: number;
  readonly running: number;
  readonly limit: number;
  /** The oldest running job, or null. */
  readonly current: JobView | null;
}

export interface JobService {
  /** Throws what `submit` would reject with at once, so that nothing is spent on a request without a place. */
  assertRoom(client: string): void;
  /**
   * Queues a job and resolves when it is finished. Rejects with `GenerationError`: `busy` (queue full),
   * `no-tab` (no engine within the wait), `cancelled` (`signal` aborted while it waited) or the engine's own error.
   * `onAccepted` is called with the id as soon as the job is durable.
   */
  submit(
    request: JobRequest,
    options?: { signal?: AbortSignal; onAccepted?: (jobId: string) => void },
  ): Promise<JobResult>;
  view(): QueueView;
  /** Waiting and running jobs, oldest first. */
  list(): readonly JobView[];
  /** A job of the last day by id, by the client's key, or the newest finished one. */
  find(by: { jobId: string } | { key: string } | { last: true }): JobView | null;
  /** Pictures and summary of a finished job, or null. */
  result(jobId: string): Promise<JobResult | null>;
  /**
   * Ends the running jobs (or the one named) with what exists; waiting ones are dropped only when named.
   * With `client`, the interrupt that some clients post after they hung up does not hit the next job.
   */
  interrupt(jobId?: string, client?: string): void;
  /** Drops the picture being made. */
  skip(): void;
  /** Events of every job until the returned function is called. */
  onEvent(listener: (event: JobEvent) => void): () => void;
}

/** One attached tab. */
export interface EngineView {
  readonly id: string;
  readonly status: EngineStatus;
  readonly catalog: Catalog;
  /** True while it has a lease on a job of the queue. */
  readonly hasJob?: boolean;
  /** True when it has not been heard of for as long as a lease. */
  readonly isSilent?: boolean;
}

export interface EngineDirectory {
  list(): readonly EngineView[];
  /** Sends a command to every attached engine; rejects with the first failure, `no-tab` when none is attached. */
  control(command: BridgeCommand): Promise<void>;
}

export interface ModelLibrary {
  /** Everything that can be chosen, from folders, the page's own models and attached tabs; names are unique a kind. */
  list(kind: ModelListing['kind']): Promise<readonly ModelListing[]>;
  /** SHA-256 of a listing's content in hex when it is known, else null; never blocks on hashing. */
  sha256(listing: ModelListing): string | null;
  /** What a single file's header tells, read once a version; null where it cannot be read. */
  summary?(listing: ModelListing): Promise<SafetensorsSummary | null>;
  /** A1111's old short hash of a model's weights, by which ControlNets are still called; null where it is not known. */
  legacyHash?(listing: ModelListing): Promise<string | null>;
  /** Reads the folders again. */
  refresh(): Promise<void>;
}

/** The options of `/sdapi/v1/options`, kept across restarts. */
export interface SettingsStore {
  get(): Readonly<Record<string, unknown>>;
  /** Merges and saves; resolves once durable. */
  set(changes: Readonly<Record<string, unknown>>): Promise<void>;
}

export interface OutputStore {
  /** Folder of the dated folders. */
  readonly root: string;
  /** Folder of today's pictures, as a path for a person. */
  readonly folder: string;
  /**
   * Writes a finished picture (and its sidecars); returns its path. With `isRedo` a picture that is
   * already there, byte for byte, is not written again: the bridge was ended while it saved. The picture
   * gets its name once `after` has resolved; its bytes may be written before.
   */
  save(
    image: JobImage,
    params: GenerationParams,
    summary: GenerationSummary,
    options?: { isRedo?: boolean; after?: Promise<unknown>; saving?: PictureSaving | undefined },
  ): Promise<string>;
}
