import type { EngineActivity } from '../../../protocol/device.ts';
import type { CompiledComponent } from '../../compiler/model.ts';
import type { ImportedModel } from '../../shared/engine.ts';
import { checkpointSha256 } from './cache-key.ts';
import { chunkPlace } from './chunked-sink.ts';
import { createEta } from './eta.ts';
import type { LocalModelSources } from './local-sources.ts';
import { withLock } from './locks.ts';
import { chunkSizes, type Manifest, type ModelOrigin } from './manifest.ts';
import { type ArchivedManifest, invalid, type ModelArchive, readArchive } from './model-archive.ts';
import { type ModelStore, writeLock } from './model-store.ts';
import { sourceIdentity } from './sources.ts';

export interface ImportOptions {
  readonly store: ModelStore;
  readonly sources: LocalModelSources;
  readonly runtimeVersion: string;
  /** Why a model made so is not used on this device as it is set up, as a sentence; null where it is. */
  readonly objection: (origin: ModelOrigin) => string | null;
  readonly onActivity: (activity: EngineActivity) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What is read of the file at a time; a chunk is gathered from it. */
const PIECE_BYTES = 8 * 2 ** 20;

/** Of a name that a file gives, with room for a number behind it. */
const MAX_NAME = 400;

/**
 * Keeps the compiled model of a file and lists it: under its own name, or as what is listed already where
 * that has the same content. Every chunk is compared with its hash; the manifest is written last, so that
 * an import that is broken off leaves nothing.
 */
export async function importArchive(file: Blob, options: ImportOptions): Promise<ImportedModel> {
  const { store, runtimeVersion, objection, signal } = options;
  const archive = await readArchive(file, runtimeVersion);
  const { key, name, sizeBytes, origin } = archive.manifest;
  await withLock(
    writeLock(key),
    async () => {
      if (await store.read(key)) return;
      await store.makeRoom(name, sizeBytes);
      await copyChunks(file, archive, options);
    },
    signal ? { signal } : {},
  );
  const listed = await listModel(archive.manifest, options);
  const problem = objection(origin);
  return { ...listed, notes: problem === null ? [] : [problem] };
}

async function copyChunks(
  file: Blob,
  { manifest, dataOffset }: ModelArchive,
  { store, onActivity, signal }: ImportOptions,
): Promise<void> {
  const { key, name, sha256, origin, model, chunkBytes, sizeBytes } = manifest;
  const writer = store.write(key, { chunkBytes });
  const eta = createEta();
  let at = 0;
  try {
    for (const component of model.components) {
      for (const [shard, shardBytes] of component.shardSizes.entries()) {
        await writer.sink.beginShard(component.name, shard);
        for (let left = shardBytes; left > 0; ) {
          signal?.throwIfAborted();
          const length = Math.min(PIECE_BYTES, left);
          const piece = file.slice(dataOffset + at, dataOffset + at + length);
          await writer.sink.write(new Uint8Array(await piece.arrayBuffer()));
          at += length;
          left -= length;
          const done = at / sizeBytes;
          const what = `${name} from its file`;
          onActivity({ kind: 'load', what, done, etaSeconds: eta(done) });
        }
        checkShard(manifest, component, shard, await writer.hashes());
      }
    }
    await writer.finish(model, { name, sha256, origin });
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

/** Throws where a chunk of a shard is not what its hash says, naming the first. */
function checkShard(
  { chunkBytes, chunkSha256 }: Manifest,
  { name, shardSizes }: CompiledComponent,
  shard: number,
  hashes: Readonly<Record<string, string>>,
): void {
  for (const index of chunkSizes(shardSizes[shard] ?? 0, chunkBytes).keys()) {
    const place = chunkPlace(name, shard, index);
    if (hashes[place] === chunkSha256[place]) continue;
    throw invalid(`chunk ${index + 1} of shard ${shard + 1} of ${name} has other bytes`);
  }
}

/** Sees to it that something in the lists leads to the model without its source being read. */
async function listModel(
  { name, origin }: ArchivedManifest,
  { store, sources }: ImportOptions,
): Promise<Pick<ImportedModel, 'kind' | 'name'>> {
  const { kind, weights } = origin;
  const files = origin.files.map(({ path, sha256 }) => ({ path, sha256 }));
  const content = await checkpointSha256(files);
  for (const listing of sources.listings) {
    if (listing.kind !== kind) continue;
    const known = await store.readFingerprint(sourceIdentity(listing));
    if (known && (await checkpointSha256(known.files)) === content)
      return { kind, name: listing.name };
  }
  const listing = await sources.adopt({
    ...{ kind, name: name.slice(0, MAX_NAME) || 'imported', version: `compiled ${content}` },
    files: origin.files.map(({ path, sizeBytes }) => ({ path, sizeBytes })),
  });
  await store.writeFingerprint(sourceIdentity(listing), { files, weights });
  return { kind, name: listing.name };
}
