import {
  type CheckpointInfo,
  EMBEDDED_CHECKPOINT,
  type ModelListing,
  modelIndex,
} from '../../../protocol/catalog.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import type { ModelFiles } from '../../compiler/model.ts';
import { createHttpSource } from './http-source.ts';

/** Where this tab finds models: what the page carries, and what the bridge lists. */
export interface ModelSources {
  /** Asks every source anew; of two models of one name the first source's stays. */
  refresh(): Promise<readonly ModelListing[]>;
  /** Listings as the last `refresh` found them. */
  readonly listings: readonly ModelListing[];
  /** A model by name; with or without its file's ending, as clients send either. */
  find(name: string): ModelListing | null;
  /** The model's files, to be read by ranges. */
  open(listing: ModelListing): ModelFiles;
}

export interface SourceOptions {
  /** Root of the page with a trailing slash. */
  readonly baseUrl: string;
  /** True when a bridge serves the page. */
  readonly hasBridge: boolean;
}

const EMBEDDED_INDEX = 'models/index.json';
const BRIDGE_INDEX = 'easel/v1/models';

/** The list at `url`, or none where the host has none: a page without models is a page all the same. */
async function readIndex(url: string): Promise<ModelListing[]> {
  let body: unknown;
  try {
    const response = await fetch(url, { cache: 'no-cache' });
    if (!response.ok) return [];
    body = await response.json();
  } catch (error) {
    console.warn(`No list of models at ${url}.`, error);
    return [];
  }
  const parsed = modelIndex.safeParse(body);
  if (parsed.success) return parsed.data.models;
  const issue = parsed.error.issues[0];
  console.warn(`The list of models at ${url} is malformed at ${issue?.path.join('.')}.`);
  return [];
}

export function createModelSources({ baseUrl, hasBridge }: SourceOptions): ModelSources {
  let listings: readonly ModelListing[] = [];

  return {
    get listings() {
      return listings;
    },
    async refresh() {
      const indexes = await Promise.all(
        [EMBEDDED_INDEX, ...(hasBridge ? [BRIDGE_INDEX] : [])].map((path) =>
          readIndex(new URL(path, baseUrl).href),
        ),
      );
      const byName = new Map<string, ModelListing>();
      for (const listing of indexes.flat()) {
        const id = `${listing.kind}:${listing.name}`;
        if (!byName.has(id)) byName.set(id, listing);
      }
      listings = [...byName.values()];
      return listings;
    },
    find: (name) => findCheckpoint(listings, name),
    open(listing) {
      const root = new URL(listing.url, baseUrl);
      return {
        name: listing.name,
        files: listing.files.map(({ path, sizeBytes }) => {
          const escaped = path.split('/').map(encodeURIComponent).join('/');
          return createHttpSource({ url: new URL(escaped, root).href, path, sizeBytes });
        }),
      };
    },
  };
}

/** The checkpoint of that name, with or without its file's ending, in any case where none is exact. */
export function findCheckpoint(
  listings: readonly ModelListing[],
  name: string,
): ModelListing | null {
  const checkpoints = listings.filter(({ kind }) => kind === 'checkpoint');
  const wanted = name.trim().toLowerCase();
  const stem = wanted.replace(/\.(safetensors|ckpt)$/, '');
  return (
    checkpoints.find((listing) => listing.name === name) ??
    checkpoints.find((listing) => listing.name.toLowerCase() === wanted) ??
    checkpoints.find((listing) => listing.name.toLowerCase() === stem) ??
    null
  );
}

/** The checkpoint that a tab uses when nobody chose one: the embedded one, else the first. */
export function defaultCheckpoint(sources: ModelSources): ModelListing {
  const chosen =
    sources.find(EMBEDDED_CHECKPOINT) ?? sources.listings.find(({ kind }) => kind === 'checkpoint');
  if (chosen) return chosen;
  throw new GenerationError(
    'not-found',
    'There is no checkpoint: put a .safetensors file or a diffusers folder into the models folder and refresh the list.',
  );
}

/** A listing as the catalogue shows it. */
export function toCheckpointInfo(listing: ModelListing, sha256: string | null): CheckpointInfo {
  return {
    name: listing.name,
    source: listing.source,
    filename: listing.filename,
    sha256,
    sizeBytes: listing.files.reduce((sum, file) => sum + file.sizeBytes, 0),
  };
}

/** Identifies a listing's content without reading it: another version, size or place is another identity. */
export function sourceIdentity(listing: ModelListing): string {
  const sizes = listing.files.map(({ path, sizeBytes }) => `${path}=${sizeBytes}`).join(',');
  return `${listing.url}|${listing.version}|${sizes}`;
}
