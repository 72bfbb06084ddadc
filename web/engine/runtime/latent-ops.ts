import type { LatentMath } from '../sampling/latent-math.ts';
import type { DeviceTensor } from './tensor.ts';

/** Rows of one UNet run per picture: cond and uncond, or cond alone. */
export type Copies = 1 | 2;

/** What surrounds the UNet in a step, done where the latents live. */
export interface LatentOps<T> {
  readonly math: LatentMath<T>;
  /**
   * The UNet's input: `x` times `scale` and, where the batch has them, the inpainting channels behind it, `copies` times
   * along the batch; `isBare` leaves those channels away. The caller disposes it.
   */
  prepare(x: T, scale: number, copies: Copies, isBare?: boolean): Promise<DeviceTensor>;
  /** `coefficients[0]` times `x` plus `coefficients[1 + i]` times copy `i` of the UNet's answer. */
  mix(x: T, answer: DeviceTensor, coefficients: readonly number[], copies: Copies): Promise<T>;
  /**
   * Opens `x` · share + known, value by value; both are [pictures, channels, height, width] and are kept until `dispose`.
   */
  createBlend(share: Float32Array, known: Float32Array): (x: T) => Promise<T>;
  /** One picture of the batch, [1, channels, height, width]. The caller disposes it. */
  picture(latents: T, index: number): Promise<DeviceTensor>;
  /** Releases every tensor that was made here. */
  dispose(): void;
}
