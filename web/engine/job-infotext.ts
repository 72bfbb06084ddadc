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
  /** Keys that sampling adds. */
  readonly extraParams: Readonly<Record<string, InfotextInput>>;
}

const RNG_NAMES = { gpu: 'GPU', cpu: 'CPU', nv: 'NV' } as const;

/** Keys beyond the fixed ones of a job's infotexts, in A1111's order. */
export function extraInfotextParams(
  params: GenerationParams,
  ofSampling: Readonly<Record<string, InfotextInput>>,
): Record<string, InfotextInput> {
  const { sMinUncond } = params;
  return sMinUncond > 0 ? { ...ofSampling, NGMS: sMinUncond } : { ...ofSampling };
}

/** A1111's "parameters" text of one picture of a job. */
export function jobInfotext(
  params: GenerationParams,
  picture: InfotextPicture,
  checkpoint: InfotextCheckpoint,
  appVersion: string,
): string {
  const usesEnsd = samplerInfo(params.sampler).usesEnsd && params.etaNoiseSeedDelta !== 0;
  return formatInfotext({
    ...params,
    scheduler: schedulerLabel(params.scheduler),
    seed: picture.seed,
    subseed: picture.subseed,
    denoisingStrength: params.mode === 'img2img' ? params.denoisingStrength : null,
    etaNoiseSeedDelta: usesEnsd ? params.etaNoiseSeedDelta : null,
    randnSource: RNG_NAMES[params.randnSource],
    model: checkpoint.name,
    modelHash: checkpoint.hash,
    vaeHash: checkpoint.vae?.hash ?? null,
    vae: checkpoint.vae?.name ?? null,
    extraParams: extraInfotextParams(params, picture.extraParams),
    version: `Easel ${appVersion}`,
  });
}
