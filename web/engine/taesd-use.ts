import type { ModelListing } from '../../protocol/catalog.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { ModelDescription } from '../compiler/model.ts';
import type { TaesdUse } from './checkpoint-model.ts';
import type { Companion, CompanionOptions, Companions } from './models/companions.ts';
import { chooseTaesd, type TaesdHalf } from './models/taesd-choice.ts';

/** What a job says of small autoencoders. */
export type TaesdWish = Pick<
  GenerationParams,
  'previewEverySteps' | 'previewMethod' | 'vaeDecoder' | 'vaeEncoder'
>;

export interface TaesdSurroundings extends Omit<CompanionOptions, 'description'> {
  readonly description: ModelDescription;
  readonly listings: readonly ModelListing[];
  readonly companions: Pick<Companions, 'taesd'>;
  /** Told why a wish stays one, as a sentence. */
  readonly onNote: (note: string) => void;
}

/** The halves that a job has a use for, loaded. One that is missing or broken fails no job: the VAE stands in. */
export async function loadTaesd(
  wish: TaesdWish,
  { listings, companions, onNote, ...options }: TaesdSurroundings,
): Promise<TaesdUse> {
  const decodes = wish.vaeDecoder === 'taesd';
  const encodes = wish.vaeEncoder === 'taesd';
  const draws = wish.previewEverySteps > 0 && wish.previewMethod === 'taesd';

  async function load(half: TaesdHalf): Promise<Companion | null> {
    const listing = chooseTaesd(options.description.family, half, listings);
    if (!listing) return null;
    try {
      return await companions.taesd(listing, half, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      const why = error instanceof Error ? error.message : String(error);
      onNote(`The TAESD ${listing.name} could not be used: ${why}`);
      return null;
    }
  }

  const decoder = decodes || draws ? await load('taesd_decoder') : null;
  const encoder = encodes ? await load('taesd_encoder') : null;
  if (decodes && !decoder) {
    onNote('There is no TAESD for this checkpoint in models/VAE-approx; its own VAE decoded.');
  }
  if (encodes && !encoder) {
    onNote('There is no TAESD for this checkpoint in models/VAE-approx; its own VAE encoded.');
  }
  return { decoder, encoder, decodes, encodes };
}
