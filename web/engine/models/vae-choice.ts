import type { ModelListing } from '../../../protocol/catalog.ts';

/** The VAE of a job: a listing, or null for the checkpoint's own, and what the user should know of it. */
export interface VaeChoice {
  readonly listing: ModelListing | null;
  readonly note: string | null;
}

const AUTOMATIC = 'automatic';
const NONE = 'none';

/**
 * A1111's rule for `sd_vae`: a name chooses a VAE, `None` the checkpoint's own, and `Automatic` one that
 * is called as the checkpoint is (`model.vae.safetensors`), else the checkpoint's own. A name that is not
 * there is as `None`, and said.
 */
export function chooseVae(
  wanted: string,
  checkpoint: Pick<ModelListing, 'name'>,
  listings: readonly ModelListing[],
): VaeChoice {
  const vaes = listings.filter(({ kind }) => kind === 'vae');
  const name = wanted.trim().toLowerCase();
  if (name === NONE) return { listing: null, note: null };
  if (name === '' || name === AUTOMATIC) {
    const prefix = `${checkpoint.name.toLowerCase()}.`;
    const beside = vaes.find((vae) => fileName(vae).toLowerCase().startsWith(prefix));
    return { listing: beside ?? null, note: null };
  }
  const found =
    vaes.find((vae) => vae.name === wanted) ??
    vaes.find((vae) => vae.name.toLowerCase() === name) ??
    vaes.find((vae) => fileName(vae).toLowerCase() === name);
  if (found) return { listing: found, note: null };
  const note = `There is no VAE "${wanted.slice(0, 200)}"; the checkpoint's own was used.`;
  return { listing: null, note };
}

/** The file's own name with its ending, as infotexts tell it. */
export function fileName({ filename, name }: ModelListing): string {
  return filename.split(/[\\/]/).at(-1) || name;
}
