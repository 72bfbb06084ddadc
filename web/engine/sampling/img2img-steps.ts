/** Steps of an img2img job: how long the schedule is and how much of its end is used. */
export interface Img2imgSteps {
  /** Steps that the schedule is made for. */
  readonly scheduleSteps: number;
  /** Index from the end at which sampling starts; a k-sampler makes one step more than this. */
  readonly tEnc: number;
}

/** Strength 1 would ask for one step more than the schedule has. */
const MAX_STRENGTH = 0.999;

/**
 * A1111's step arithmetic of img2img. With exact steps (its setting `img2img_fix_steps`, or a hires second pass that
 * names its steps) the schedule is stretched so that about `steps` are made; else about strength times steps are.
 */
export function img2imgSteps({
  steps,
  denoisingStrength,
  givenSteps = null,
  hasExactSteps = false,
}: {
  steps: number;
  denoisingStrength: number;
  givenSteps?: number | null;
  hasExactSteps?: boolean;
}): Img2imgSteps {
  const strength = Math.min(denoisingStrength, MAX_STRENGTH);
  if (!hasExactSteps && givenSteps === null) {
    return { scheduleSteps: steps, tEnc: Math.trunc(strength * steps) };
  }
  const requested = givenSteps ?? steps;
  return {
    scheduleSteps: denoisingStrength > 0 ? Math.trunc(requested / strength) : 0,
    tEnc: requested - 1,
  };
}

/** The sigmas that a k-sampler runs in img2img: from the start level to the end of the schedule. */
export function img2imgSigmas(
  sigmas: readonly number[],
  { scheduleSteps, tEnc }: Img2imgSteps,
): number[] {
  return sigmas.slice(scheduleSteps - tEnc - 1);
}
