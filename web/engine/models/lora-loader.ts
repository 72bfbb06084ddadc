import type { ModelListing } from '../../../protocol/catalog.ts';
import type { EngineActivity } from '../../../protocol/device.ts';
import { openCheckpoint } from '../../compiler/checkpoint.ts';
import { compileCheckpoint } from '../../compiler/compile.ts';
import { activationDtype } from '../../compiler/component.ts';
import { type LoraFile, openLora } from '../../compiler/lora/lora-file.ts';
import { type MergedCheckpoint, mergeLoras } from '../../compiler/lora/merge.ts';
import type { CompiledComponent, CompiledModel } from '../../compiler/model.ts';
import { scalesName } from '../../compiler/weights.ts';
import { createEta } from './eta.ts';
import { withLock } from './locks.ts';
import type { ChosenLora } from './lora-choice.ts';
import type { Manifest } from './manifest.ts';
import { type ModelStore, writeLock } from './model-store.ts';
import { createSha256, sha256Text } from './sha256.ts';
import { type ModelSources, sourceIdentity } from './sources.ts';

export interface LoraLoadOptions {
  readonly sources: ModelSources;
  readonly store: ModelStore;
  readonly onActivity: (activity: EngineActivity) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A LoRA as infotexts name it. */
export interface UsedLora {
  readonly name: string;
  /** The first twelve digits of A1111's hash. */
  readonly shortHash: string;
}

/** LoRAs over a compiled checkpoint. */
export interface LoadedLoras {
  /** The weights that the LoRAs change, compiled; null where their strengths are 0. */
  readonly manifest: Manifest | null;
  readonly used: readonly UsedLora[];
}

/** Sets of LoRAs kept for each checkpoint: those unused for longest leave first. */
const MAX_VARIANTS = 6;
const HASH_BYTES = 8 * 2 ** 20;

/**
 * The weights of a compiled checkpoint that LoRAs change, compiled now where the store does not have
 * them for these files and strengths. Only they are read, made and stored; the rest stays the base's.
 */
export async function loadLoras(
  listing: ModelListing,
  base: Manifest,
  loras: readonly ChosenLora[],
  options: LoraLoadOptions,
): Promise<LoadedLoras> {
  const { store, sources, signal } = options;
  const opened: { use: ChosenLora; lora: LoraFile; sha256: string }[] = [];
  const used: UsedLora[] = [];
  for (const use of loras) {
    const lora = await openLora(sources.open(use.listing), { signal });
    const hashes = await hashLora(use.listing, lora, options);
    opened.push({ use, lora, sha256: hashes.file });
    const shown = lora.metadata.sshs_model_hash ?? hashes.data;
    used.push({ name: use.name, shortHash: shown.slice(0, 12) });
  }
  const effective = opened.filter(
    ({ use }) => use.textEncoderStrength !== 0 || use.unetStrength !== 0,
  );
  if (effective.length === 0) return { manifest: null, used };
  const key = await variantKey(
    base.key,
    effective.map(({ use, sha256 }) => ({ ...use, sha256 })),
  );
  const find = async () => {
    const stored = await store.read(key);
    return stored && (await store.verify(stored, { signal })) ? stored : null;
  };
  const stored = await find();
  if (stored) {
    await store.touch(key);
    return { manifest: stored, used };
  }
  const make = () => compileVariant(listing, base, key, effective, options);
  const manifest = await withLock(
    writeLock(key),
    async () => (await store.read(key)) ?? make(),
    signal ? { signal } : {},
  );
  await store.keepVariants(base.key, MAX_VARIANTS, key);
  return { manifest, used };
}

/** Equal files at equal strengths give one key, in whatever order the prompt names them. */
function variantKey(
  base: string,
  loras: readonly { sha256: string; textEncoderStrength: number; unetStrength: number }[],
): Promise<string> {
  const parts = loras.map((lora) =>
    JSON.stringify([lora.sha256, lora.textEncoderStrength, lora.unetStrength]),
  );
  return sha256Text(JSON.stringify({ base, loras: parts.sort() }));
}

async function compileVariant(
  listing: ModelListing,
  base: Manifest,
  key: string,
  opened: readonly { use: ChosenLora; lora: LoraFile }[],
  { store, sources, onActivity, signal }: LoraLoadOptions,
): Promise<Manifest> {
  const checkpoint = await openCheckpoint(sources.open(listing), signal ? { signal } : {});
  const { touched, ...merged } = mergeLoras(
    checkpoint,
    opened.map(({ use, lora }) => ({ ...use, lora })),
  );
  const unet = base.model.components.find(({ name }) => name === 'unet');
  const names = opened.map(({ use }) => use.name).join(', ');
  await store.makeRoom(`${base.name} with ${names}`, storedBytes(base, touched));
  const writer = store.write(key);
  const eta = createEta();
  try {
    const model = await compileCheckpoint(merged, {
      precision: unet?.precision ?? 'fp32',
      activations: unet ? activationDtype(unet) : 'float32',
      sink: writer.sink,
      components: [...touched.keys()],
      wants: (component, weight) => touched.get(component)?.has(weight) ?? false,
      onProgress({ component, doneBytes, totalBytes }) {
        const done = totalBytes > 0 ? doneBytes / totalBytes : 1;
        const what = `${component} of ${base.name} with ${names}`;
        onActivity({ kind: 'compile', what, done, etaSeconds: eta(done) });
      },
      ...(signal ? { signal } : {}),
    });
    const about = { name: `${base.name} with ${names}`, sha256: base.sha256, baseKey: base.key };
    return await writer.finish(model, about);
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

/** What the touched weights take: as much as the base's. */
function storedBytes({ model }: Manifest, touched: MergedCheckpoint['touched']): number {
  let sum = 0;
  for (const { name, weights } of model.components) {
    for (const weight of touched.get(name) ?? []) {
      sum += (weights[weight]?.sizeBytes ?? 0) + (weights[scalesName(weight)]?.sizeBytes ?? 0);
    }
  }
  return sum;
}

/** A component's weights with those of a LoRA set in their places: the set's shards follow the base's. */
export function overlaid(base: CompiledComponent, over: CompiledComponent): CompiledComponent {
  const first = base.shardSizes.length;
  const changed = Object.entries(over.weights).map(
    ([name, entry]) => [name, { ...entry, shard: first + entry.shard }] as const,
  );
  return {
    ...base,
    shardSizes: [...base.shardSizes, ...over.shardSizes],
    weights: { ...base.weights, ...Object.fromEntries(changed) },
  };
}

/** A checkpoint with a LoRA set's weights in their places. */
export function withLoras(base: CompiledModel, over: CompiledModel): CompiledModel {
  const components = base.components.map((component) => {
    const changed = over.components.find(({ name }) => name === component.name);
    return changed ? overlaid(component, changed) : component;
  });
  return { ...base, components };
}

interface LoraHashes {
  /** SHA-256 of the whole file: what the compiled weights depend on. */
  readonly file: string;
  /** SHA-256 of what follows the header: A1111's hash, which renaming and comments leave as it is. */
  readonly data: string;
}

const DATA = 'data';

async function hashLora(
  listing: ModelListing,
  { file }: LoraFile,
  { store, onActivity, signal }: LoraLoadOptions,
): Promise<LoraHashes> {
  const identity = sourceIdentity(listing);
  const known = (await store.readFingerprint(identity))?.files;
  const [whole, data] = [known?.[0], known?.[1]];
  if (whole && data?.path === DATA) return { file: whole.sha256, data: data.sha256 };
  const [ofFile, ofData] = await Promise.all([createSha256(), createSha256()]);
  const options = signal ? { signal } : {};
  const length = await file.read(0, 8, options);
  const eta = createEta();
  const start = 8 + Number(new DataView(length.buffer, length.byteOffset).getBigUint64(0, true));
  for (let at = 0; at < file.sizeBytes; at += HASH_BYTES) {
    signal?.throwIfAborted();
    const bytes = await file.read(at, Math.min(HASH_BYTES, file.sizeBytes - at), options);
    ofFile.update(bytes);
    ofData.update(bytes.subarray(Math.min(bytes.length, Math.max(0, start - at))));
    const done = Math.min(1, (at + HASH_BYTES) / file.sizeBytes);
    onActivity({ kind: 'load', what: `checking ${listing.name}`, done, etaSeconds: eta(done) });
  }
  const hashes = { file: ofFile.digest(), data: ofData.digest() };
  await store.writeFingerprint(identity, {
    files: [
      { path: file.path, sha256: hashes.file },
      { path: DATA, sha256: hashes.data },
    ],
  });
  return hashes;
}
