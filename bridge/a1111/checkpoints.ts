import { EMBEDDED_CHECKPOINT, type ModelListing } from '../../protocol/catalog.ts';
import { nameOfModelId } from '../../protocol/known-models.ts';
import type { BridgeServices } from '../services.ts';

/** A checkpoint as `/sdapi/v1/sd-models` lists it, with the name that the engine knows it by. */
export interface CheckpointEntry {
  readonly name: string;
  readonly title: string;
  readonly model_name: string;
  readonly hash: string | null;
  readonly sha256: string | null;
  readonly filename: string;
  readonly config: null;
}

/** Titles end up in HTML that clients build by hand: no quotes and no brackets. */
function harmless(text: string): string {
  return text.replace(/[<>"'`&]/g, '_');
}

function describe(listing: ModelListing, sha256: string | null): CheckpointEntry {
  const only = listing.files.length === 1 ? listing.files[0]?.path : undefined;
  const fileName = only?.toLowerCase().endsWith('.safetensors') ? only : listing.name;
  const hash = sha256?.slice(0, 10) ?? null;
  const modelName = harmless(listing.name).replaceAll(/[\\/]/g, '_');
  return {
    name: listing.name,
    title: harmless(hash === null ? fileName : `${fileName} [${hash}]`),
    // KoboldCpp's clients read the word "inactive" as "no model".
    model_name: modelName === 'inactive' ? 'inactive_' : modelName,
    hash,
    sha256,
    filename: listing.filename,
    config: null,
  };
}

const EMBEDDED: CheckpointEntry = {
  name: EMBEDDED_CHECKPOINT,
  title: EMBEDDED_CHECKPOINT,
  model_name: EMBEDDED_CHECKPOINT,
  hash: null,
  sha256: null,
  filename: `models/${EMBEDDED_CHECKPOINT}`,
  config: null,
};

/** Every checkpoint; never empty, because clients take an empty list for "no server". */
export async function listCheckpoints(
  models: BridgeServices['models'],
): Promise<readonly CheckpointEntry[]> {
  const listings = await models.list('checkpoint');
  const entries = listings.map((listing) => describe(listing, models.sha256(listing)));
  return entries.length > 0 ? entries : [EMBEDDED];
}

/** All names by which A1111 knows a checkpoint: title, file name, stem, path, hashes, and "name [hash]". */
function aliases(entry: CheckpointEntry): readonly string[] {
  const fileName = entry.title.replace(/ \[[0-9a-f]{10}\]$/, '');
  const names = [entry.title, fileName, entry.name, entry.model_name, entry.filename];
  if (entry.hash === null || entry.sha256 === null) return names;
  return [
    ...names,
    entry.hash,
    entry.sha256,
    `${entry.name} [${entry.hash}]`,
    `${entry.model_name} [${entry.hash}]`,
  ];
}

/**
 * The checkpoint that a client means, or null. A title that was handed out before its hash was known, or the other
 * way round, still resolves.
 */
export function findCheckpoint(
  entries: readonly CheckpointEntry[],
  wanted: string,
): CheckpointEntry | null {
  const text = wanted.trim();
  if (text === '') return null;
  const exact = entries.find((entry) => aliases(entry).includes(text));
  if (exact) return exact;
  const loose = text.toLowerCase().replace(/ \[[0-9a-f]{8,64}\]$/, '');
  const named = entries.find((entry) =>
    aliases(entry).some((alias) => alias.toLowerCase() === loose),
  );
  if (named) return named;
  // SHARK's clients name models by their Hugging Face ids.
  const downloaded = nameOfModelId(text)?.toLowerCase();
  return entries.find(({ name }) => name.toLowerCase() === downloaded) ?? null;
}

/** The checkpoint that the next job uses unless it says otherwise: the chosen one, the loaded one, the embedded one. */
export function currentCheckpoint(
  entries: readonly CheckpointEntry[],
  { settings, engines }: Pick<BridgeServices, 'settings' | 'engines'>,
): CheckpointEntry {
  const chosen = settings.get().sd_model_checkpoint;
  const loaded = engines.list().map((engine) => engine.status.checkpoint);
  for (const name of [chosen, ...loaded, EMBEDDED_CHECKPOINT]) {
    const found = typeof name === 'string' ? findCheckpoint(entries, name) : null;
    if (found) return found;
  }
  return entries[0] ?? EMBEDDED;
}
