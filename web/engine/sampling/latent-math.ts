/**
 * The arithmetic that samplers need, without saying where latents live: a Float32Array in Node and on
 * wasm, a GPU buffer on WebGPU. Every sampler is a sum of latents times scalars, so one operation does.
 */
export interface LatentMath<T> {
  /** Sum of coefficient times latents over all terms; at least one term, coefficients are doubles. */
  combine(terms: readonly (readonly [coefficient: number, latents: T])[]): Promise<T>;
  /** Brings values made in JavaScript (noise) to where latents live. */
  fromArray(values: Float32Array): T;
  /** Reads latents back; on a GPU this waits for all work before it. */
  toArray(latents: T): Promise<Float32Array>;
  /**
   * Releases everything that this object made except `live`. A sampler calls it once a step with the
   * latents it still needs, which keeps GPU memory flat without a release after every operation.
   */
  keepOnly(live: readonly T[]): void;
}

/** The model as samplers see it (k-diffusion's `model(x, sigma)`): the estimate of the clean latents. */
export type Denoiser<T> = (x: T, sigma: number) => Promise<T>;
