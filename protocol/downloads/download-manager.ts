import { z } from 'zod';
import { GenerationError, serializeError } from '../errors.ts';
import { type StopSignal, webPlatform } from '../web-platform.ts';
import { planDownload } from './download-plan.ts';
import { DownloadRate } from './download-rate.ts';
import type { DownloadAction, DownloadRequest, DownloadView } from './download-view.ts';
import type { AccessTokens, HttpGet } from './http-client.ts';
import {
  type ModelReference,
  parseModelReference,
  referenceId,
  referenceText,
  shownReference,
} from './model-reference.ts';
import { type DownloadPlan, downloadPlan } from './plan-parts.ts';
import { type PartFile, transferFile } from './transfer.ts';

/** A download as it outlives the process. */
export const savedDownload = z.object({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  reference: z.string().max(4000),
  plan: downloadPlan,
  /** True where a person paused it; else it goes on by itself. */
  isPaused: z.boolean(),
});
export type SavedDownload = z.infer<typeof savedDownload>;

/** Where a model's bytes go: the bridge's folders, or the browser's storage. */
export interface DownloadStorage {
  /** What an earlier run left unfinished. */
  saved(): Promise<readonly SavedDownload[]>;
  /** The sentence for a model of this kind and name that is there already, or null. */
  present(plan: DownloadPlan): Promise<string | null>;
  save(download: SavedDownload): Promise<void>;
  /** Rejects with `storage-full` where what is missing of `bytes` does not fit. */
  makeRoom(download: SavedDownload, missingBytes: number): Promise<void>;
  /** Bytes that are here of each file. */
  heldBytes(download: SavedDownload): Promise<readonly number[]>;
  /** Opens a file to go on with; null where it is complete and checked. */
  openPart(download: SavedDownload, index: number): Promise<PartFile | null>;
  /** Notes that a file is complete and checked; its part is closed. */
  completePart(download: SavedDownload, index: number): Promise<void>;
  /** Puts the complete model in its place. */
  finish(download: SavedDownload): Promise<void>;
  /** Deletes everything of it. */
  discard(download: SavedDownload): Promise<void>;
}

export interface DownloadManagerOptions {
  readonly storage: DownloadStorage;
  readonly get: HttpGet;
  readonly hubEndpoint: string;
  readonly tokens: AccessTokens;
  readonly sendsIfRange: boolean;
  /** Runs a task while nobody else has this download's bytes open, unless it was ended elsewhere meanwhile. */
  readonly exclusively?: (id: string, task: () => Promise<void>) => Promise<void>;
  /** Told of each model that has come, after it is in its place. */
  readonly onFinished?: (plan: DownloadPlan) => Promise<void> | void;
  readonly retryDelaysMs?: readonly number[];
  readonly stallMs?: number;
}

/** More at a time would only share the line. */
const MAX_AT_ONCE = 2;

type Stop = 'pause' | 'cancel' | 'close';

interface Entry {
  readonly id: string;
  readonly reference: ModelReference;
  readonly request: DownloadRequest;
  readonly rate: DownloadRate;
  readonly waiters: ((outcome: DownloadPlan | GenerationError) => void)[];
  plan: DownloadPlan | null;
  state: DownloadView['state'];
  held: number[];
  verifiedBytes: number;
  note: string | null;
  error: DownloadView['error'];
  stop: ((why: Stop) => void) | null;
  work: Promise<void>;
}

/** Downloads models: a few at a time, to be paused, gone on with and cancelled; what is here outlives the process. */
export class DownloadManager {
  readonly #options: DownloadManagerOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<() => void>();
  #isClosed = false;

  constructor(options: DownloadManagerOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier run left; what a person paused stays paused. */
  async restore(): Promise<void> {
    for (const saved of await this.#options.storage.saved()) {
      if (this.#entries.has(saved.id)) continue;
      const entry = this.#entry(saved.id, this.#parse(saved.reference), {
        ...{ reference: saved.reference, kind: null, tokens: { hub: null, civitai: null } },
      });
      entry.plan = saved.plan;
      entry.held = [...(await this.#options.storage.heldBytes(saved))];
      entry.state = saved.isPaused ? 'paused' : 'waiting';
    }
    this.#schedule();
  }

  #parse(text: string): ModelReference {
    return parseModelReference(text, { hubEndpoint: this.#options.hubEndpoint });
  }

  /** Begins a download, or goes on with the same one. Throws `invalid-request` for what names no model. */
  start(request: DownloadRequest): DownloadView {
    const reference = this.#parse(request.reference);
    const id = referenceId(reference);
    const known = this.#entries.get(id);
    const isUnderWay = known && !['finished', 'failed', 'paused'].includes(known.state);
    if (isUnderWay) return this.#view(known);
    const entry = this.#entry(id, reference, request);
    if (known && known.state !== 'finished') {
      entry.plan = known.plan;
      entry.held = known.held;
      entry.waiters.push(...known.waiters.splice(0));
    }
    this.#schedule();
    return this.#view(entry);
  }

  #entry(id: string, reference: ModelReference, request: DownloadRequest): Entry {
    const entry: Entry = {
      ...{ id, reference, request, rate: new DownloadRate(), waiters: [], plan: null },
      ...{ state: 'waiting', held: [], verifiedBytes: 0, note: null, error: null, stop: null },
      work: Promise.resolve(),
    };
    this.#entries.set(id, entry);
    return entry;
  }

  /** Resolves with the plan once the model is in its place; rejects when it failed or was cancelled. */
  finished(id: string): Promise<DownloadPlan> {
    const entry = this.#entries.get(id);
    if (!entry) return Promise.reject(unknownDownload());
    if (entry.state === 'finished' && entry.plan) return Promise.resolve(entry.plan);
    return new Promise((resolve, reject) => {
      entry.waiters.push((outcome) =>
        outcome instanceof GenerationError ? reject(outcome) : resolve(outcome),
      );
    });
  }

  /** Throws `not-found` for an unknown id. Resolves when the change is made. */
  async act(id: string, action: DownloadAction): Promise<void> {
    const entry = this.#entries.get(id);
    if (!entry) throw unknownDownload();
    if (action === 'resume') {
      if (entry.state !== 'paused' && entry.state !== 'failed') return;
      entry.state = 'waiting';
      entry.error = null;
      this.#schedule();
      return;
    }
    entry.stop?.(action);
    await entry.work;
    if (action === 'pause') {
      if (entry.state === 'waiting') entry.state = 'paused';
      if (entry.state === 'paused') await this.#save(entry, true);
    } else {
      await this.#remove(entry);
    }
    this.#schedule();
  }

  async #remove(entry: Entry): Promise<void> {
    this.#entries.delete(entry.id);
    const { plan } = entry;
    if (plan && entry.state !== 'finished')
      await this.#options.storage.discard(toSaved(entry, plan));
    settle(entry, new GenerationError('cancelled', 'The download was cancelled.'));
  }

  async #save(entry: Entry, isPaused: boolean): Promise<void> {
    if (entry.plan) await this.#options.storage.save({ ...toSaved(entry, entry.plan), isPaused });
  }

  views(): DownloadView[] {
    return [...this.#entries.values()].map((entry) => this.#view(entry));
  }

  /** Called when a download's state changes, not for its bytes; returns the unsubscriber. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends all work; what is here stays to be gone on with. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const entry of this.#entries.values()) entry.stop?.('close');
    await Promise.all([...this.#entries.values()].map(({ work }) => work));
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #view(entry: Entry): DownloadView {
    const { plan, state, held, verifiedBytes } = entry;
    const sizes = plan?.files.map(({ sizeBytes }) => sizeBytes) ?? [];
    const total = sizes.reduce<number | null>(
      (sum, size) => (sum === null || size === null ? null : sum + size),
      plan ? 0 : null,
    );
    const here = held.reduce((sum, bytes) => sum + bytes, 0);
    const doneBytes = state === 'verifying' ? verifiedBytes : here;
    const bytesPerSecond = state === 'running' ? entry.rate.perSecond() : null;
    const isMoving = bytesPerSecond !== null && bytesPerSecond > 0 && total !== null;
    return {
      id: entry.id,
      reference: shownReference(entry.reference),
      title: plan?.title ?? shownReference(entry.reference).slice(0, 500),
      state,
      kind: plan?.kind ?? null,
      name: plan?.name ?? null,
      page: plan?.page ?? null,
      doneBytes: state === 'finished' ? (total ?? doneBytes) : doneBytes,
      totalBytes: total,
      bytesPerSecond,
      etaSeconds: isMoving ? Math.max(0, total - doneBytes) / bytesPerSecond : null,
      note: entry.note ?? plan?.note ?? null,
      error: entry.error,
    };
  }

  /** Starts what waits while there is room at the line. */
  #schedule(): void {
    const active = [...this.#entries.values()].filter(({ stop }) => stop !== null).length;
    let free = MAX_AT_ONCE - active;
    for (const entry of this.#entries.values()) {
      if (free <= 0 || this.#isClosed) break;
      if (entry.state !== 'waiting' || entry.stop !== null) continue;
      free -= 1;
      this.#begin(entry);
    }
    this.#changed();
  }

  #begin(entry: Entry): void {
    const abort = new webPlatform.AbortController();
    let reason: Stop | null = null;
    entry.stop = (why) => {
      reason ??= why;
      abort.abort(new GenerationError('cancelled', 'The download was stopped.'));
    };
    entry.work = this.#run(entry, abort.signal)
      .then(
        () => {
          entry.state = 'finished';
          if (entry.plan) settle(entry, entry.plan);
        },
        (error: unknown) => {
          entry.state = reason === null ? 'failed' : 'paused';
          if (reason !== null) return;
          entry.error = serializeError(error);
          settle(entry, new GenerationError(entry.error.code, entry.error.message));
        },
      )
      .finally(() => {
        entry.stop = null;
        entry.rate.reset();
        this.#schedule();
      });
  }

  async #run(entry: Entry, signal: StopSignal): Promise<void> {
    const { storage, get, hubEndpoint, onFinished } = this.#options;
    const tokens = this.#tokens(entry);
    if (!entry.plan) {
      entry.state = 'looking';
      this.#changed();
      const { kind } = entry.request;
      const retry = this.#retry();
      const options = { get, hubEndpoint, tokens, signal, kind, ...retry };
      const plan = await planDownload(entry.reference, options);
      entry.note = await storage.present(plan);
      if (entry.note !== null) {
        entry.plan = plan;
        return;
      }
      entry.plan = await this.#claim(entry, plan);
    }
    const { plan } = entry;
    await this.#save(entry, false);
    const { exclusively = (_id: string, task: () => Promise<void>) => task() } = this.#options;
    await exclusively(entry.id, () => this.#fetchAll(entry, plan, signal));
    await onFinished?.(plan);
  }

  /** Takes the place of what was asked for before under the same name, or refuses. */
  async #claim(entry: Entry, plan: DownloadPlan): Promise<DownloadPlan> {
    for (const other of this.#entries.values()) {
      const isSame = other.plan?.kind === plan.kind && other.plan.name === plan.name;
      if (other === entry || !isSame || other.state === 'finished') continue;
      throw new GenerationError(
        'busy',
        `${plan.name} is being downloaded already, from ${shownReference(other.reference)}. Wait for it, or cancel it first.`,
      );
    }
    return plan;
  }

  #retry() {
    const { retryDelaysMs } = this.#options;
    return retryDelaysMs === undefined ? {} : { retryDelaysMs };
  }

  #tokens({ request, reference }: Entry): AccessTokens {
    const { hub, civitai } = this.#options.tokens;
    const inAddress = reference.type === 'civitai' ? reference.token : null;
    return {
      hub: request.tokens.hub ?? hub,
      civitai: request.tokens.civitai ?? inAddress ?? civitai,
    };
  }

  async #fetchAll(entry: Entry, plan: DownloadPlan, signal: StopSignal): Promise<void> {
    const { storage } = this.#options;
    const saved = toSaved(entry, plan);
    entry.held = [...(await storage.heldBytes(saved))];
    const total = plan.files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
    const here = entry.held.reduce((sum, bytes) => sum + bytes, 0);
    await storage.makeRoom(saved, Math.max(0, total - here));
    for (const index of plan.files.keys()) {
      signal.throwIfAborted();
      const part = await storage.openPart(saved, index);
      if (!part) continue;
      try {
        await this.#fetchFile(entry, index, part, signal);
      } finally {
        entry.held[index] = part.heldBytes;
        await part.close();
      }
      await storage.completePart(saved, index);
    }
    await storage.finish(saved);
  }

  async #fetchFile(entry: Entry, index: number, part: PartFile, signal: StopSignal): Promise<void> {
    const { get, hubEndpoint, sendsIfRange, stallMs } = this.#options;
    const file = entry.plan?.files[index];
    if (!entry.plan || !file) return;
    const sum = () => entry.held.reduce((total, bytes) => total + bytes, 0);
    const before = entry.held.slice(0, index).reduce((total, bytes) => total + bytes, 0);
    entry.state = 'running';
    entry.held[index] = part.heldBytes;
    entry.rate.add(sum());
    this.#changed();
    await transferFile(file, part, {
      get,
      context: { hubEndpoint, tokens: this.#tokens(entry), page: entry.plan.page },
      signal,
      sendsIfRange,
      onProgress: () => {
        entry.held[index] = part.heldBytes;
        entry.rate.add(sum());
      },
      onVerify: (bytes) => {
        const isNew = entry.state !== 'verifying';
        entry.state = 'verifying';
        entry.verifiedBytes = before + bytes;
        if (isNew) this.#changed();
      },
      onResize: (sizeBytes) => resize(entry, index, sizeBytes),
      onNote: (note) => {
        entry.note = note;
      },
      ...this.#retry(),
      ...(stallMs === undefined ? {} : { stallMs }),
    });
  }
}

function resize(entry: Entry, index: number, sizeBytes: number): void {
  if (!entry.plan) return;
  const files = entry.plan.files.map((file, at) => (at === index ? { ...file, sizeBytes } : file));
  entry.plan = { ...entry.plan, files };
}

function toSaved({ id, reference }: Entry, plan: DownloadPlan): SavedDownload {
  return { id, reference: referenceText(reference), plan, isPaused: false };
}

function settle(entry: Entry, outcome: DownloadPlan | GenerationError): void {
  for (const waiter of entry.waiters.splice(0)) waiter(outcome);
}

function unknownDownload(): GenerationError {
  return new GenerationError('not-found', 'There is no such download any more.');
}
