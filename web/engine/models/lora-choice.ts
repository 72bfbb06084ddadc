import type { ModelListing } from '../../../protocol/catalog.ts';
import { parseExtraNetworks, readLoraTag } from '../prompt/extra-networks.ts';

/** A LoRA that a prompt asks for, and where it lies. */
export interface ChosenLora {
  readonly listing: ModelListing;
  /** The name by which the prompt calls it. */
  readonly name: string;
  /** Strength for the text encoders. */
  readonly textEncoderStrength: number;
  readonly unetStrength: number;
}

export interface LoraChoice {
  readonly loras: readonly ChosenLora[];
  /** Names that no file has. */
  readonly missing: readonly string[];
  /** What the user should know beside them, as sentences. */
  readonly notes: readonly string[];
}

/**
 * The LoRAs of a prompt's `<lora:…>` tags: by the file's stem, in any case where none is exact, else by
 * the name that the training gave (`ss_output_name`), as A1111 does. One that is named twice counts with
 * the sum of its strengths. Throws `invalid-request` for a tag whose strength is no number.
 */
export async function chooseLoras(
  prompt: string,
  listings: readonly ModelListing[],
  aliasOf: (listing: ModelListing) => Promise<string | null>,
): Promise<LoraChoice> {
  const available = listings.filter(({ kind }) => kind === 'lora');
  const chosen = new Map<ModelListing, ChosenLora>();
  const missing: string[] = [];
  const notes: string[] = [];
  const { networks } = parseExtraNetworks(prompt);
  for (const { positional } of networks.get('hypernet') ?? []) {
    const name = (positional[0] ?? '').slice(0, 100);
    notes.push(`Hypernetworks are not supported: "${name}" was left out.`);
  }
  for (const tag of networks.get('lora') ?? []) {
    const { name, dynamicRank, ...strengths } = readLoraTag(tag);
    const listing = byName(name, available) ?? (await byAlias(name, available, aliasOf));
    if (!listing) {
      missing.push(name);
      continue;
    }
    if (dynamicRank !== null) {
      notes.push(`The rank of the LoRA "${name}" cannot be chosen here; all of it was used.`);
    }
    const before = chosen.get(listing);
    chosen.set(listing, {
      ...{ listing, name },
      textEncoderStrength: (before?.textEncoderStrength ?? 0) + strengths.textEncoderStrength,
      unetStrength: (before?.unetStrength ?? 0) + strengths.unetStrength,
    });
  }
  return { loras: [...chosen.values()], missing: [...new Set(missing)], notes };
}

function byName(name: string, listings: readonly ModelListing[]): ModelListing | undefined {
  const wanted = name.toLowerCase();
  return (
    listings.find((listing) => listing.name === name) ??
    listings.find((listing) => listing.name.toLowerCase() === wanted)
  );
}

async function byAlias(
  name: string,
  listings: readonly ModelListing[],
  aliasOf: (listing: ModelListing) => Promise<string | null>,
): Promise<ModelListing | undefined> {
  for (const listing of listings) if ((await aliasOf(listing)) === name) return listing;
  return undefined;
}
