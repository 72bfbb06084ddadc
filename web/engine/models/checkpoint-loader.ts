import type { ModelListing } from '../../../protocol/catalog.ts';
import type { EngineActivity } from '../../../protocol/device.ts';
import { type Checkpoint, openCheckpoint } from '../../compiler/checkpoint.ts';
import { COMPILER_VERSION, compileCheckpoint } from '../../compiler/compile.ts';
import type { ByteSource, ModelFiles } from '../../compiler/model.ts';
import { checkpointSha256, compiledKey, type HashedFile } from './cache-key.ts';
import type { PrecisionChoice } from './choose-precision.ts';
import { compiledBytes, largestComponent, type WeightCounts } from './compiled-size.ts';
import { createEta } from './eta.ts';
import { withLock } from './locks.ts';
import type { Manifest, ModelOrigin } from './manifest.ts';
import { type ModelFacts, type ModelStore, writeLock } from './model-store.ts';
import { createSha256 } from './sha256.ts';
import { type ModelSources, sourceIdentity } from './sources.ts';

export interface LoadOptions {
  readonly sources: ModelSources;
  readonly store: ModelStore;
  /** Called once, with the weights of the checkpoint's largest component. */
  readonly choosePrecision: (weights: WeightCounts) => PrecisionChoice;
  readonly runtimeVersion: string;
  readonly onActivity: (activity: EngineActivity) => void;
  /** Told what a user should know of the load beside its outcome, as a sentence. */
  readonly onNote?: (note: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** Reads what is to be compiled; a checkpoint without it. */
  readonly open?: (files: ModelFiles, options: { signal?: AbortSignal }) => Promise<Checkpoint>;
}

/** Bytes hashed at a time: one read of the source. */
const HASH_BYTES = 8 * 2 ** 20;

/**
 * The compiled form of a checkpoint, compiled now if the store does not have it. What the store has
 * under the same sources is used without reading any of them: the listing's version stands for their
 * hashes, which were taken when that version was first seen.
 */
export async function loadCompiled(listing: ModelListing, options: LoadOptions): Promise<Manifest> {
  const { store, sources, runtimeVersion, signal, open: read = openCheckpoint } = options;
  const identity = sourceIdentity(listing);
  let checkpoint: Checkpoint | null = null;
  const open = async () => {
    checkpoint ??= await read(sources.open(listing), signalOption(signal));
    return checkpoint;
  };
  const known = await store.readFingerprint(identity);
  const files = known?.files ?? (await hashSources(await open(), options));
  const weights = known?.weights ?? largestComponent(await open());
  if (!known?.weights) await store.writeFingerprint(identity, { files, weights });

  const choice = options.choosePrecision(weights);
  const { precision, activations } = choice;
  const parts = {
    precision,
    compilerVersion: COMPILER_VERSION,
    runtimeVersion,
    features: activations === 'float16' ? ['shader-f16'] : [],
  };
  const key = await compiledKey({ files, ...parts });
  const stored = await readWhole(key, listing.name, options);
  if (stored) {
    await store.touch(key);
    return stored;
  }
  const sizes = new Map(listing.files.map(({ path, sizeBytes }) => [path, sizeBytes]));
  const origin: ModelOrigin = {
    ...{ ...parts, kind: listing.kind, weights },
    files: files.map((file) => ({ ...file, sizeBytes: sizes.get(file.path) ?? 0 })),
  };
  const about = { name: listing.name, sha256: await checkpointSha256(files), origin };
  return withLock(
    writeLock(key),
    // Another tab may have compiled it while this one waited.
    async () => (await store.read(key)) ?? compile(await open(), key, about, choice, options),
    signalOption(signal),
  );
}

/** A stored model of which every byte is as it was written, or null; a damaged one is deleted. */
async function readWhole(
  key: string,
  name: string,
  { store, onActivity, onNote, signal }: LoadOptions,
): Promise<Manifest | null> {
  const stored = await store.read(key);
  if (!stored) return null;
  const eta = createEta();
  const onProgress = (done: number) =>
    onActivity({ kind: 'load', what: `checking ${name}`, done, etaSeconds: eta(done) });
  if (await store.verify(stored, { onProgress, signal })) return stored;
  onNote?.(`The compiled ${name} was damaged in the browser's storage; it was compiled anew.`);
  return null;
}

async function compile(
  checkpoint: Checkpoint,
  key: string,
  about: ModelFacts,
  { precision, activations }: PrecisionChoice,
  { store, onActivity, signal }: LoadOptions,
): Promise<Manifest> {
  await store.makeRoom(about.name, compiledBytes(checkpoint, { precision, activations }));
  const writer = store.write(key);
  const eta = createEta();
  try {
    const model = await compileCheckpoint(checkpoint, {
      precision,
      activations,
      sink: writer.sink,
      onProgress({ component, doneBytes, totalBytes }) {
        const done = totalBytes > 0 ? doneBytes / totalBytes : 1;
        onActivity({
          kind: 'compile',
          what: `${component} of ${checkpoint.name}`,
          done,
          etaSeconds: eta(done),
        });
      },
      ...signalOption(signal),
    });
    return await writer.finish(model, about);
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

async function hashSources(
  checkpoint: Checkpoint,
  { onActivity, signal }: LoadOptions,
): Promise<HashedFile[]> {
  const files: HashedFile[] = [];
  const total = checkpoint.sources.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const eta = createEta();
  let doneBytes = 0;
  for (const source of checkpoint.sources) {
    const hash = await createSha256();
    for await (const bytes of readPieces(source, signal)) {
      hash.update(bytes);
      signal?.throwIfAborted();
      doneBytes += bytes.length;
      const done = doneBytes / total;
      onActivity({
        kind: 'load',
        what: `checking the files of ${checkpoint.name}`,
        done,
        etaSeconds: eta(done),
      });
    }
    files.push({ path: source.path, sha256: hash.digest() });
  }
  return files;
}

/** A source from its beginning to its end; a piece is on its way while the one before is used. */
async function* readPieces(
  source: ByteSource,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const read = (offset: number): Promise<Uint8Array> | null =>
    offset < source.sizeBytes
      ? source.read(offset, Math.min(HASH_BYTES, source.sizeBytes - offset), signalOption(signal))
      : null;
  let next = read(0);
  try {
    for (let offset = HASH_BYTES; next; offset += HASH_BYTES) {
      const bytes: Uint8Array = await next;
      next = read(offset);
      yield bytes;
    }
  } finally {
    // Where the hashing ended early, nobody else hears of what the read came to.
    next?.catch(() => {});
  }
}

function signalOption(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}
