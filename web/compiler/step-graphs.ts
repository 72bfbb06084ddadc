/** Latents of one call: [pictures, channels, height, width]. */
export type LatentShape = readonly [number, number, number, number];

/** What turns a latent and the UNet's answer into `denoised`. */
export interface GuidanceTerms {
  readonly sigma: number;
  readonly guidanceScale: number;
  readonly predictionType: 'epsilon' | 'v_prediction';
  /** 2: cond and uncond rows; 1: cond rows alone, `guidanceScale` is not used. */
  readonly copies: 1 | 2;
}

/**
 * `out` = Σ coefficients[i] · x_i. Inputs `x0` … of `shape`, `coefficients` f32 [terms]; output `out`
 * of `shape`. Any affine sampler step is one call.
 */
export function buildCombineGraph({
  shape,
  terms,
}: {
  shape: LatentShape;
  terms: number;
}): Uint8Array {
  throw new Error(`not written yet: ${shape} ${terms}`);
}

/**
 * The UNet's input: `sample` = `x` · `scale`, `copies` times along the batch. Inputs `x` f32 of
 * `shape`, `scale` f32 [1] (see `inputScale`); output `sample` f32 [copies · pictures, c, h, w].
 */
export function buildPrepareGraph({
  shape,
  copies,
}: {
  shape: LatentShape;
  copies: 1 | 2;
}): Uint8Array {
  throw new Error(`not written yet: ${shape} ${copies}`);
}

/**
 * Classifier-free guidance and the step from the UNet's answer to `denoised`. Inputs `x` f32 of
 * `shape`, `out_sample` f32 [copies · pictures, c, h, w] (**cond rows first, then uncond rows**),
 * `coefficients` f32 [1 + copies] from `guidanceCoefficients`; output `denoised` f32 of `shape`.
 * Prediction type, sigma and scale are all in the coefficients, so one graph serves every step.
 */
export function buildGuidanceGraph({
  shape,
  copies,
}: {
  shape: LatentShape;
  copies: 1 | 2;
}): Uint8Array {
  throw new Error(`not written yet: ${shape} ${copies}`);
}

/** Scale of the UNet's input at noise level `sigma`: 1 / sqrt(sigma² + 1) (k-diffusion's c_in). */
export function inputScale(sigma: number): number {
  return 1 / Math.sqrt(sigma * sigma + 1);
}

/** Coefficients for `buildGuidanceGraph`: of `x`, of the cond rows and, with two copies, of the uncond rows. */
export function guidanceCoefficients(terms: GuidanceTerms): Float32Array {
  throw new Error(`not written yet: ${terms.sigma}`);
}
