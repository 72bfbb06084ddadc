import type { ModelListing } from '../../../protocol/catalog.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import { openTextualInversion, type TextualInversion } from '../../compiler/embedding.ts';
import type { ModelDescription } from '../../compiler/model.ts';
import { createSha256 } from './sha256.ts';
import { type ModelSources, sourceIdentity } from './sources.ts';

/** A textual inversion that a prompt may use. */
export interface LoadedEmbedding extends TextualInversion {
  /** The file's stem: the word in prompts. */
  readonly name: string;
  /** Changes with the file. */
  readonly identity: string;
  /** First twelve digits of the file's SHA-256. */
  readonly shortHash: string;
}

/** Textual inversions are kilobytes; a file beyond this is something else. */
const MAX_BYTES = 16 * 2 ** 20;

/**
 * The textual inversions whose names stand in these texts. One that does not fit the checkpoint is left
 * out and told to `onNote`: its name is then read as ordinary words, as in A1111.
 */
export async function loadEmbeddings(
  texts: readonly string[],
  sources: ModelSources,
  description: ModelDescription,
  { onNote, signal }: { onNote: (note: string) => void; signal?: AbortSignal | undefined },
): Promise<LoadedEmbedding[]> {
  const all = texts.join('\n').toLowerCase();
  const named = sources.listings.filter(
    ({ kind, name }) => kind === 'embedding' && all.includes(name.toLowerCase()),
  );
  const loaded: LoadedEmbedding[] = [];
  for (const listing of named) {
    try {
      const files = sources.open(listing);
      const inversion = await openTextualInversion(files, description, { signal });
      const shortHash = await shortHashOf(listing, sources, signal);
      loaded.push({
        ...{ ...inversion, name: listing.name, identity: sourceIdentity(listing), shortHash },
      });
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof GenerationError)) throw error;
      onNote(`The textual inversion "${listing.name}" was left out. ${error.message}`);
    }
  }
  return loaded;
}

async function shortHashOf(
  listing: ModelListing,
  sources: ModelSources,
  signal: AbortSignal | undefined,
): Promise<string> {
  const file = sources.open(listing).files.find(({ path }) => /\.safetensors$/i.test(path));
  if (!file || file.sizeBytes > MAX_BYTES) return '';
  const hash = await createSha256();
  hash.update(await file.read(0, file.sizeBytes, signal ? { signal } : {}));
  return hash.digest().slice(0, 12);
}
