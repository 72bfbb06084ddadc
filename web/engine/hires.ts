import type { GenerationParams, HiresParams } from '../../protocol/generation.ts';
import { LATENT_UPSCALE_MODES, type LatentUpscaleMode } from '../../protocol/generation.ts';
import type { InfotextInput } from '../../protocol/infotext-values.ts';
import type { LatentPlane } from './latent-resize.ts';

/** Size of a second pass. */
export interface HiresTarget {
  /** Pixels that the first pass is enlarged to. */
  readonly width: number;
  readonly height: number;
  /** The same in latents, before the crop. */
  readonly latent: LatentPlane;
  /** Rows and columns of the latent that are kept. */
  readonly crop: {
    readonly top: number;
    readonly bottom: number;
    readonly left: number;
    readonly right: number;
  };
  readonly infotext: Readonly<Record<string, InfotextInput>>;
}

/** A1111's arithmetic: a target of both sides is covered, then cropped in whole latents. */
export function hiresTarget(
  hires: Pick<HiresParams, 'scale' | 'resizeWidth' | 'resizeHeight'>,
  { width, height }: { readonly width: number; readonly height: number },
  vaeFactor: number,
): HiresTarget {
  const { scale, resizeWidth, resizeHeight } = hires;
  if (resizeWidth === 0 && resizeHeight === 0) {
    const to = { width: Math.trunc(width * scale), height: Math.trunc(height * scale) };
    return target(to, { x: 0, y: 0 }, vaeFactor, { 'Hires upscale': scale });
  }
  const infotext = { 'Hires resize': `${resizeWidth}x${resizeHeight}` };
  const byWidth = { width: resizeWidth, height: Math.floor((resizeWidth * height) / width) };
  const byHeight = { width: Math.floor((resizeHeight * width) / height), height: resizeHeight };
  if (resizeHeight === 0) return target(byWidth, { x: 0, y: 0 }, vaeFactor, infotext);
  if (resizeWidth === 0) return target(byHeight, { x: 0, y: 0 }, vaeFactor, infotext);
  const to = width / height < resizeWidth / resizeHeight ? byWidth : byHeight;
  const excess = {
    x: Math.floor((to.width - resizeWidth) / vaeFactor),
    y: Math.floor((to.height - resizeHeight) / vaeFactor),
  };
  return target(to, excess, vaeFactor, infotext);
}

/** `excess` are latents too many on each axis; the odd one goes at the right and the bottom. */
function target(
  { width, height }: { width: number; height: number },
  excess: { x: number; y: number },
  vaeFactor: number,
  infotext: HiresTarget['infotext'],
): HiresTarget {
  const latent = { width: Math.floor(width / vaeFactor), height: Math.floor(height / vaeFactor) };
  const crop = {
    top: Math.floor(excess.y / 2),
    bottom: latent.height - Math.floor((excess.y + 1) / 2),
    left: Math.floor(excess.x / 2),
    right: latent.width - Math.floor((excess.x + 1) / 2),
  };
  return { width, height, latent, crop, infotext };
}

/** Size in pixels of what a second pass makes. */
export function hiresSize({ crop }: HiresTarget, vaeFactor: number) {
  return {
    width: (crop.right - crop.left) * vaeFactor,
    height: (crop.bottom - crop.top) * vaeFactor,
  };
}

/** The part of one picture's latents, [channels, height, width], that `crop` keeps. */
export function cropLatents(
  latents: Float32Array,
  channels: number,
  { latent, crop }: HiresTarget,
): Float32Array {
  const columns = crop.right - crop.left;
  const rows = crop.bottom - crop.top;
  const out = new Float32Array(channels * rows * columns);
  for (let line = 0; line < channels * rows; line++) {
    const y = Math.floor(line / rows) * latent.height + crop.top + (line % rows);
    const from = y * latent.width + crop.left;
    out.set(latents.subarray(from, from + columns), line * columns);
  }
  return out;
}

/** The latent mode that a second pass's upscaler names; null where it enlarges pictures. */
export function latentMode(upscaler: string | null): LatentUpscaleMode | null {
  if (upscaler === null) return 'Latent';
  return LATENT_UPSCALE_MODES.find((mode) => mode === upscaler) ?? null;
}

/** What a second pass adds to infotexts, in A1111's order. */
export function hiresInfotext(
  { hires, sampler }: Pick<GenerationParams, 'hires' | 'sampler'>,
  schedule: { readonly first: InfotextInput; readonly second: InfotextInput },
  { infotext }: HiresTarget,
): Record<string, InfotextInput> {
  if (!hires) return {};
  const isOtherSchedule = schedule.second !== null && schedule.second !== schedule.first;
  return {
    ...(hires.sampler !== null && hires.sampler !== sampler
      ? { 'Hires sampler': hires.sampler }
      : {}),
    'Hires prompt': hires.prompt,
    'Hires negative prompt': hires.negativePrompt,
    'Hires schedule type': isOtherSchedule ? schedule.second : null,
    ...infotext,
    ...(hires.steps > 0 ? { 'Hires steps': hires.steps } : {}),
    ...(hires.upscaler !== null ? { 'Hires upscaler': hires.upscaler } : {}),
  };
}
