import { at } from '../indexing.ts';
import type { LatentMath } from '../latent-math.ts';
import type { SamplerStep } from './sampler.ts';

/** The noise in `x` as the model sees it at a timestep: what CFG makes of it, and its unconditional part. */
export interface NoisePrediction<T> {
  readonly guided: T;
  /** Only DDIM CFG++ asks for it; null where the predictor does not keep it apart. */
  readonly uncond: T | null;
}

/** The model as the timestep samplers see it: epsilon of `x` at a timestep, which may be fractional. */
export type NoisePredictor<T> = (x: T, timestep: number) => Promise<NoisePrediction<T>>;

/** What a run of a timestep sampler works with. */
export interface TimestepRun<T> {
  readonly math: LatentMath<T>;
  readonly predictNoise: NoisePredictor<T>;
  /** Cumulative products of the checkpoint's noise schedule. */
  readonly alphasCumprod: Float32Array;
  /** The next noise of the job's generator. */
  readonly noise: () => Float32Array;
  /** 0 is deterministic DDIM, 1 is DDPM. */
  readonly eta: number;
  readonly uniPc: UniPcOptions;
  readonly isImg2img: boolean;
  readonly report: (step: SamplerStep<T>) => Promise<void>;
}

/** A1111's settings of UniPC. */
export interface UniPcOptions {
  readonly variant: 'bh1' | 'bh2' | 'vary_coeff';
  readonly skipType: 'time_uniform' | 'time_quadratic' | 'logSNR';
  readonly order: number;
  readonly isLowerOrderFinal: boolean;
}

/** A solver over timesteps, which rise: `timesteps[0]` is the last one it arrives at. */
export type TimestepSampler = <T>(
  x: T,
  timesteps: readonly number[],
  run: TimestepRun<T>,
) => Promise<T>;

/** The steps from the highest timestep down; `alphaNext` belongs to the timestep that the step arrives at. */
export function* timestepSteps(
  timesteps: readonly number[],
  alphasCumprod: Float32Array,
): Generator<{
  step: number;
  steps: number;
  timestep: number;
  timestepNext: number;
  alpha: number;
  alphaNext: number;
}> {
  const steps = timesteps.length - 1;
  for (let step = 0; step < steps; step++) {
    const timestep = at(timesteps, steps - step);
    const timestepNext = at(timesteps, steps - step - 1);
    const [alpha, alphaNext] = [at(alphasCumprod, timestep), at(alphasCumprod, timestepNext)];
    yield { step, steps, timestep, timestepNext, alpha, alphaNext };
  }
}
