import type { GenerationParams } from '../../protocol/generation.ts';
import { formatInfotext } from '../../protocol/infotext.ts';
import type { InfotextInput } from '../../protocol/infotext-values.ts';
import { samplerInfo, schedulerLabel } from '../../protocol/samplers.ts';

/** The checkpoint as infotexts name it. */
export interface InfotextCheckpoint {
  readonly name: string;
  /** First ten hex digits of its SHA-256, null where it is not known. */
  readonly hash: string | null;
  /** A VAE in the place of its own: file name, and the first ten digits of its SHA-256. */
  readonly vae?: { readonly name: string; readonly hash: string } | null;
}

export interface InfotextPicture {
  readonly seed: number;
  readonly subseed: number;
  /** Keys beyond the fixed ones. */
  readonly extraParams: Readonly<Record<string, InfotextInput>>;
  /** Sentences about what was done otherwise than asked for. */
  readonly notes?: readonly string[];
  /** The checkpoint is one made for inpainting, which the mask's weight matters to. */
  readonly isInpaintingModel?: boolean;
}

/** Infotext key of the sentences about substitutions. */
export const NOTES_KEY = 'Easel notes';

const RNG_NAMES = { gpu: 'GPU', cpu: 'CPU', nv: 'NV' } as const;

/** Keys beyond the fixed ones of a job's infotexts, in A1111's order, then the notes. */
export function extraInfotextParams(
  ofJob: Readonly<Record<string, InfotextInput>>,
  notes: readonly string[],
): Record<string, InfotextInput> {
  return notes.length > 0 ? { ...ofJob, [NOTES_KEY]: notes.join(' ') } : { ...ofJob };
}

/** The strength that an infotext names: of img2img, or of a second pass. */
function denoisingStrengthOf(params: GenerationParams): number | null {
  if (params.mode === 'img2img') return params.denoisingStrength;
  return params.hires?.denoisingStrength ?? null;
}

/** A1111's "parameters" text of one picture of a job. */
export function jobInfotext(
  params: GenerationParams,
  picture: InfotextPicture,
  checkpoint: InfotextCheckpoint,
  appVersion: string,
): string {
  const hidden = new Set<string>(params.hiddenInfotextKeys);
  const shown = <T>(key: string, value: T) => (hidden.has(key) ? null : value);
  const usesEnsd = samplerInfo(params.sampler).usesEnsd && params.etaNoiseSeedDelta !== 0;
  return formatInfotext({
    ...params,
    scheduler: schedulerLabel(params.scheduler),
    seed: picture.seed,
    subseed: picture.subseed,
    denoisingStrength: denoisingStrengthOf(params),
    conditionalMaskWeight: picture.isInpaintingModel ? params.inpaintingMaskWeight : null,
    etaNoiseSeedDelta: usesEnsd ? params.etaNoiseSeedDelta : null,
    randnSource: RNG_NAMES[params.randnSource],
    model: shown('Model', checkpoint.name),
    modelHash: shown('Model hash', checkpoint.hash),
    vaeHash: shown('VAE hash', checkpoint.vae?.hash ?? null),
    vae: shown('VAE', checkpoint.vae?.name ?? null),
    extraParams: extraInfotextParams(picture.extraParams, picture.notes ?? []),
    version: shown('Version', `Easel ${appVersion}`),
  });
}
