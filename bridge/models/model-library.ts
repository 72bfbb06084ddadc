import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CheckpointInfo,
  listingKind,
  type ModelListing,
  modelIndex,
} from '../../protocol/catalog.ts';
import { listingKindOf, modelKindOf } from '../../protocol/model-kind.ts';
import type { Logger } from '../log.ts';
import type { ModelFolders } from '../options/options.ts';
import type { EngineDirectory, ModelLibrary } from '../services.ts';
import type { Hasher } from './hasher.ts';
import { legacyHash } from './legacy-hash.ts';
import { readSafetensorsSummary, type SafetensorsSummary } from './safetensors-summary.ts';
import { asKind, describePath, type FoundModel, scanModels } from './scan.ts';

/** A folder is read again when its list is older than this. */
const FRESH_MS = 1_000;

const KINDS = listingKind.options;

export interface ModelLibraryOptions {
  readonly folders: ModelFolders;
  /** A checkpoint outside the folders, or null. */
  readonly checkpointPath: string | null;
  /** A VAE outside the folders, or null. */
  readonly vaePath?: string | null;
  /** The built page, which carries models of its own. */
  readonly distFolder: string;
  readonly engines: Pick<EngineDirectory, 'list'>;
  readonly hasher: Hasher;
  readonly log: Logger;
  readonly now?: () => number;
}

/** A file of a listed model, found again by name. */
export interface ServedFile {
  readonly path: string;
  /** The listing's version: changes with the files. */
  readonly version: string;
}

/** All models from folders, the page and attached tabs; folders are read when somebody asks. */
export class FolderModelLibrary implements ModelLibrary {
  readonly #options: ModelLibraryOptions;
  readonly #now: () => number;
  readonly #scans = new Map<ModelListing['kind'], { at: number; found: Promise<FoundModel[]> }>();
  #sorted: { at: number; kinds: Promise<ReadonlyMap<ModelListing['kind'], FoundModel[]>> } | null =
    null;
  #embedded: Promise<FoundModel[]> | null = null;
  /** Pickled files that the log has named. */
  readonly #pickled = new Set<string>();
  readonly #summaries = new Map<
    string,
    { version: string; summary: Promise<SafetensorsSummary | null> }
  >();
  readonly #legacyHashes = new Map<string, { version: string; hash: Promise<string | null> }>();
  /** What was found, by listing, so that hashing finds the files of what was listed. */
  readonly #origins = new WeakMap<ModelListing, FoundModel>();

  constructor(options: ModelLibraryOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  #scan(kind: ModelListing['kind']): Promise<FoundModel[]> {
    const before = this.#scans.get(kind);
    if (before && this.#now() - before.at < FRESH_MS) return before.found;
    const found = this.#read(kind);
    this.#scans.set(kind, { at: this.#now(), found });
    return found;
  }

  /** What lies in the folder of a kind. */
  #folder(kind: ModelListing['kind']): Promise<FoundModel[]> {
    return scanModels(kind, this.#options.folders[kind], {
      onPickled: (path) => this.#warnOfPickle(path),
    });
  }

  /**
   * What lies in the checkpoint folder, by what it is: people put VAEs, LoRAs, embeddings and the rest there
   * too, as A1111 lets them. What its tensors do not tell counts as a checkpoint.
   */
  #sortedCheckpoints(): Promise<ReadonlyMap<ModelListing['kind'], FoundModel[]>> {
    const before = this.#sorted;
    if (before && this.#now() - before.at < FRESH_MS) return before.kinds;
    const kinds = this.#sortCheckpoints();
    this.#sorted = { at: this.#now(), kinds };
    return kinds;
  }

  async #sortCheckpoints(): Promise<ReadonlyMap<ModelListing['kind'], FoundModel[]>> {
    const kinds = new Map<ModelListing['kind'], FoundModel[]>();
    for (const model of await this.#folder('checkpoint')) {
      const kind = (await this.#kindOf(model)) ?? 'checkpoint';
      kinds.set(kind, [...(kinds.get(kind) ?? []), model]);
    }
    return kinds;
  }

  /** The list that a model belongs into by its tensors; null where they do not tell. */
  async #kindOf(model: FoundModel): Promise<ModelListing['kind'] | null> {
    const { files, version } = model.listing;
    if (files.some(({ path }) => path === 'model_index.json')) return 'checkpoint';
    const weights = files.find(({ path }) => /\.safetensors$/i.test(path));
    if (!weights) return null;
    const summary = await this.#summaryOf(join(model.root, weights.path), version);
    return summary ? listingKindOf(modelKindOf(summary.shapes.keys()).kind) : null;
  }

  async #found(kind: ModelListing['kind']): Promise<FoundModel[]> {
    const strays = (await this.#sortedCheckpoints()).get(kind) ?? [];
    if (kind === 'checkpoint') return [...strays];
    const found = await this.#folder(kind);
    const taken = new Set(found.map(({ listing }) => listing.name.toLowerCase()));
    for (const stray of strays) {
      const model = asKind(stray, kind, taken);
      taken.add(model.listing.name.toLowerCase());
      found.push(model);
    }
    return found;
  }

  async #read(kind: ModelListing['kind']): Promise<FoundModel[]> {
    const { checkpointPath, vaePath = null } = this.#options;
    const found = await this.#found(kind);
    const givenPath = kind === 'checkpoint' ? checkpointPath : kind === 'vae' ? vaePath : null;
    if (givenPath !== null) {
      const given = await describePath(kind, givenPath);
      if (!given && /\.(ckpt|pt|pth|bin)$/i.test(givenPath)) this.#warnOfPickle(givenPath);
      if (given && !found.some(({ listing }) => listing.filename === given.listing.filename)) {
        // Given by its path, so it is the one that its name means.
        const others = found.filter(({ listing }) => listing.name !== given.listing.name);
        found.splice(0, found.length, given, ...others);
      }
    }
    for (const model of found) this.#origins.set(model.listing, model);
    return found;
  }

  #warnOfPickle(path: string): void {
    if (this.#pickled.has(path)) return;
    this.#pickled.add(path);
    this.#options.log.warn(
      'A model is left out: it is a pickled file, and such files can run code when they are read. Convert it to .safetensors, in AUTOMATIC1111 with the Checkpoint Merger.',
      { path },
    );
  }

  /** Models that the page carries; they change only with the page. */
  async #readEmbedded(): Promise<FoundModel[]> {
    const { distFolder, log } = this.#options;
    try {
      const text = await readFile(join(distFolder, 'models', 'index.json'), 'utf8');
      const { models } = modelIndex.parse(JSON.parse(text));
      const found: FoundModel[] = [];
      for (const listing of models) {
        const root = join(distFolder, listing.url);
        const mtimesMs = await Promise.all(
          listing.files.map(async ({ path }) => (await stat(join(root, path))).mtimeMs),
        );
        const model = { listing, root, mtimesMs };
        this.#origins.set(listing, model);
        found.push(model);
      }
      return found;
    } catch (error) {
      log.warn("The page's own models could not be listed.", { error: String(error) });
      return [];
    }
  }

  /** What attached tabs have of a kind; of what is no checkpoint only what no folder has. */
  #inTabs(kind: ModelListing['kind']): ModelListing[] {
    const catalogs = this.#options.engines.list().map(({ catalog }) => catalog);
    const models =
      kind === 'checkpoint'
        ? catalogs.flatMap(({ checkpoints }) => checkpoints)
        : catalogs
            .flatMap(({ models = [] }) => models)
            .filter((model) => model.kind === kind && model.source === 'browser');
    return models.map(({ name, source, filename, sizeBytes, sha256 }) => ({
      ...{ kind, name, source, url: '' },
      filename: filename || name,
      files: [{ path: name, sizeBytes: sizeBytes ?? 0 }],
      version: sha256 ?? '',
    }));
  }

  async list(kind: ModelListing['kind']): Promise<readonly ModelListing[]> {
    this.#embedded ??= this.#readEmbedded();
    const embedded = (await this.#embedded).filter(({ listing }) => listing.kind === kind);
    const found = [...embedded, ...(await this.#scan(kind))].map(({ listing }) => listing);
    const all = [...found, ...this.#inTabs(kind)];
    const names = new Set<string>();
    return all.filter(({ name }) => {
      const isNew = !names.has(name);
      names.add(name);
      return isNew;
    });
  }

  /** What the bridge's own folders hold, of every kind: `GET /easel/v1/models`. */
  async index(): Promise<ModelListing[]> {
    const found = await Promise.all(KINDS.map((kind) => this.#scan(kind)));
    return found.flat().map(({ listing }) => listing);
  }

  /** A listed file of a listed model, or null; no other file can be named. */
  async file(kind: string, name: string, path: string): Promise<ServedFile | null> {
    const known = KINDS.find((candidate) => candidate === kind);
    if (!known) return null;
    const model = (await this.#scan(known)).find(({ listing }) => listing.name === name);
    const file = model?.listing.files.find((candidate) => candidate.path === path);
    if (!model || !file) return null;
    return { path: join(model.root, file.path), version: model.listing.version };
  }

  #inCatalogs(name: string): CheckpointInfo | undefined {
    const catalogs = this.#options.engines.list().map(({ catalog }) => catalog);
    return catalogs
      .flatMap(({ checkpoints }) => checkpoints)
      .find((checkpoint) => checkpoint.name === name && checkpoint.sha256 !== null);
  }

  sha256(listing: ModelListing): string | null {
    const model = this.#origins.get(listing);
    if (!model) return this.#inCatalogs(listing.name)?.sha256 ?? null;
    // A1111's hash of a single file is of its weights; the .yaml beside them does not count.
    const hashed = listing.files.flatMap(({ path, sizeBytes }, index) =>
      path.endsWith('.yaml') ? [] : [{ path, sizeBytes, mtimeMs: model.mtimesMs[index] ?? 0 }],
    );
    const hashes = hashed.map((file) =>
      this.#options.hasher.get({ ...file, path: join(model.root, file.path) }),
    );
    const known = hashes.filter((hash) => hash !== null);
    if (known.length < hashes.length) return null;
    const [only, ...others] = known;
    if (only !== undefined && others.length === 0) return only;
    return createHash('sha256').update(known.sort().join('\n')).digest('hex');
  }

  summary(listing: ModelListing): Promise<SafetensorsSummary | null> {
    const model = this.#origins.get(listing);
    const [file] = listing.files;
    if (!model || !file) return Promise.resolve(null);
    return this.#summaryOf(join(model.root, file.path), listing.version);
  }

  legacyHash(listing: ModelListing): Promise<string | null> {
    const model = this.#origins.get(listing);
    const weights = listing.files.find(({ path }) => /\.safetensors$/i.test(path));
    if (!model || !weights) return Promise.resolve(null);
    const path = join(model.root, weights.path);
    const known = this.#legacyHashes.get(path);
    if (known?.version === listing.version) return known.hash;
    const hash = legacyHash(path);
    this.#legacyHashes.set(path, { version: listing.version, hash });
    return hash;
  }

  #summaryOf(path: string, version: string): Promise<SafetensorsSummary | null> {
    const known = this.#summaries.get(path);
    if (known?.version === version) return known.summary;
    const summary = readSafetensorsSummary(path);
    this.#summaries.set(path, { version, summary });
    return summary;
  }

  async refresh(): Promise<void> {
    this.#scans.clear();
    this.#sorted = null;
    this.#embedded = null;
    await Promise.all(KINDS.map((kind) => this.#scan(kind)));
  }
}
