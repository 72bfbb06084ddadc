import type { EngineActivity } from '../../protocol/device.ts';
import { DownloadManager } from '../../protocol/downloads/download-manager.ts';
import type { DownloadRequest, DownloadView } from '../../protocol/downloads/download-view.ts';
import { type AccessTokens, NO_TOKENS } from '../../protocol/downloads/http-client.ts';
import {
  expectedName,
  parseModelReference,
  referenceId,
} from '../../protocol/downloads/model-reference.ts';
import type { DownloadPlan } from '../../protocol/downloads/plan-parts.ts';
import { gigabytes } from '../../protocol/downloads/room.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { findKnownModel } from '../../protocol/known-models.ts';
import type { Logger } from '../log.ts';
import type { ModelFolders } from '../options/options.ts';
import type { EngineDirectory, ModelLibrary } from '../services.ts';
import { FolderStorage } from './folder-storage.ts';
import { createNodeHttpGet } from './node-http-get.ts';

export interface ModelDownloadsOptions {
  readonly folders: ModelFolders;
  /** JSON file of what was downloaded under which name. */
  readonly finishedPath: string;
  readonly hubEndpoint: string;
  readonly tokens: AccessTokens;
  /** `host:port` of addresses that the owner gave himself. */
  readonly ownHosts: readonly string[];
  readonly library: Pick<ModelLibrary, 'list' | 'refresh'>;
  readonly engines: Pick<EngineDirectory, 'control'>;
  readonly log: Logger;
  readonly retryDelaysMs?: readonly number[];
  readonly stallMs?: number;
}

/** The bridge's downloads: into the models folder, shown in health and terminal, new models told to the tabs. */
export class ModelDownloads {
  readonly manager: DownloadManager;
  readonly #options: ModelDownloadsOptions;
  readonly #storage: FolderStorage;
  /** What the log has told of each download. */
  readonly #told = new Map<string, DownloadView['state']>();

  constructor(options: ModelDownloadsOptions) {
    this.#options = options;
    const { folders, finishedPath, hubEndpoint, tokens, log } = options;
    this.#storage = new FolderStorage({ folders, finishedPath, log });
    const { retryDelaysMs, stallMs } = options;
    this.manager = new DownloadManager({
      storage: this.#storage,
      get: createNodeHttpGet({ hubEndpoint, ownHosts: new Set(options.ownHosts) }),
      ...{ hubEndpoint, tokens, sendsIfRange: true },
      onFinished: (plan) => this.#arrived(plan),
      ...(retryDelaysMs === undefined ? {} : { retryDelaysMs }),
      ...(stallMs === undefined ? {} : { stallMs }),
    });
    this.manager.onChange(() => this.#log());
  }

  /** Starts what a page or the command line asks for; ids of the list of known models are understood. */
  start(request: DownloadRequest): DownloadView {
    const known = findKnownModel(request.reference);
    if (!known) return this.manager.start(request);
    return this.manager.start({ ...request, reference: known.source, kind: known.kind });
  }

  /**
   * The name of the checkpoint that a reference means, downloaded first where it is not there. Rejects
   * with `GenerationError` when it cannot be had.
   */
  async checkpoint(reference: string): Promise<string> {
    const known = findKnownModel(reference)?.source ?? reference;
    const parsed = parseModelReference(known, { hubEndpoint: this.#options.hubEndpoint });
    const before = await this.#storage.finishedName(referenceId(parsed), 'checkpoint');
    for (const name of [before, expectedName(parsed)]) {
      if (name !== null && (await this.#isListed(name))) return name;
    }
    const view = this.start({ reference, kind: null, tokens: NO_TOKENS });
    const plan = await this.manager.finished(view.id);
    if (plan.kind === 'checkpoint') return plan.name;
    throw new GenerationError(
      'unsupported',
      `${plan.title} was downloaded, but it is no checkpoint (${plan.kind}), so it cannot be selected as one.`,
    );
  }

  async #isListed(name: string): Promise<boolean> {
    const listings = await this.#options.library.list('checkpoint');
    return listings.some((listing) => listing.name === name);
  }

  /** What is being downloaded, for `/health` and the terminal; of several the first. */
  activity(): EngineActivity | null {
    const view = this.manager
      .views()
      .find(({ state }) => ['looking', 'running', 'verifying'].includes(state));
    if (!view) return null;
    const { totalBytes, doneBytes, etaSeconds, title } = view;
    const done = totalBytes ? Math.min(1, doneBytes / totalBytes) : 0;
    return { kind: 'download', what: title.slice(0, 300), done, etaSeconds };
  }

  /** New models are listed, and every tab looks again. */
  async #arrived({ title, kind, name }: DownloadPlan): Promise<void> {
    const { library, engines, log } = this.#options;
    await library.refresh();
    log.info('A model was downloaded.', { model: title, kind, name });
    await engines.control({ name: 'refresh-models' }).catch((error: unknown) => {
      if (error instanceof GenerationError && error.code === 'no-tab') return;
      log.warn('A tab did not look for the new model.', { error: String(error) });
    });
  }

  #log(): void {
    const { log } = this.#options;
    for (const { id, state, title, totalBytes, note, error } of this.manager.views()) {
      if (this.#told.get(id) === state) continue;
      this.#told.set(id, state);
      const size = totalBytes === null ? 'unknown' : gigabytes(totalBytes);
      if (state === 'running') log.info('A model is being downloaded.', { model: title, size });
      else if (state === 'finished' && note !== null) log.info(note);
      else if (state === 'failed') {
        log.warn('A download failed.', { model: title, reason: error?.message });
      }
    }
  }
}
