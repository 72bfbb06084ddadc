import type { SamplerName } from '../../../../protocol/samplers.ts';
import type { Denoiser, LatentMath } from '../latent-math.ts';
import { sampleDdim, sampleDdimCfgPlusPlus } from './ddim.ts';
import { sampleDpmAdaptive, sampleDpmFast } from './dpm-solver.ts';
import { sampleDpm2, sampleDpm2Ancestral } from './dpm2.ts';
import { sampleDpmpp2m } from './dpmpp-2m.ts';
import { sampleDpmpp2sAncestral } from './dpmpp-2s.ts';
import {
  sampleDpmpp2mSde,
  sampleDpmpp2mSdeHeun,
  sampleDpmpp3mSde,
  sampleDpmppSde,
} from './dpmpp-sde.ts';
import { sampleEuler, sampleEulerAncestral } from './euler.ts';
import { sampleHeun } from './heun.ts';
import { sampleLcm } from './lcm.ts';
import { sampleLms } from './lms.ts';
import { samplePlms } from './plms.ts';
import { sampleRestart } from './restart.ts';
import type { SamplerRun, SamplerStep, SigmaSampler, StepNoise } from './sampler.ts';
import type {
  NoisePredictor,
  TimestepRun,
  TimestepSampler,
  UniPcOptions,
} from './timestep-sampler.ts';
import { sampleUniPc } from './uni-pc.ts';

/** Samplers over timesteps, whose model is asked for noise; all others go over sigmas and ask for clean latents. */
export type TimestepSamplerName = 'DDIM' | 'DDIM CFG++' | 'PLMS' | 'UniPC';
export type SigmaSamplerName = Exclude<SamplerName, TimestepSamplerName>;

const SIGMA_SAMPLERS: Readonly<Record<SigmaSamplerName, SigmaSampler>> = {
  'DPM++ 2M': sampleDpmpp2m,
  'DPM++ SDE': sampleDpmppSde,
  'DPM++ 2M SDE': sampleDpmpp2mSde,
  'DPM++ 2M SDE Heun': sampleDpmpp2mSdeHeun,
  'DPM++ 2S a': sampleDpmpp2sAncestral,
  'DPM++ 3M SDE': sampleDpmpp3mSde,
  'Euler a': sampleEulerAncestral,
  Euler: sampleEuler,
  LMS: sampleLms,
  Heun: sampleHeun,
  DPM2: sampleDpm2,
  'DPM2 a': sampleDpm2Ancestral,
  'DPM fast': sampleDpmFast,
  'DPM adaptive': sampleDpmAdaptive,
  Restart: sampleRestart,
  LCM: sampleLcm,
};

const TIMESTEP_SAMPLERS: Readonly<Record<TimestepSamplerName, TimestepSampler>> = {
  DDIM: sampleDdim,
  'DDIM CFG++': sampleDdimCfgPlusPlus,
  PLMS: samplePlms,
  UniPC: sampleUniPc,
};

/** Whether a sampler goes over timesteps and predicts noise. */
export function isTimestepSampler(name: SamplerName): name is TimestepSamplerName {
  return Object.hasOwn(TIMESTEP_SAMPLERS, name);
}

/** What every run can be told, whichever the sampler. */
export interface RunControls<T> {
  readonly math: LatentMath<T>;
  readonly noise: StepNoise;
  /**
   * Called once a step, before the latents of the step are released; the run waits for it. Read what outlives the
   * call.
   */
  readonly onStep?: ((step: SamplerStep<T>) => void | Promise<void>) | undefined;
  /** Asked once a step; true ends the run early with the estimate so far, as A1111's interrupt does. */
  readonly shouldStop?: (() => boolean) | undefined;
  /** Aborted: the run ends with the signal's reason (an AbortError) at the next step. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of the sigma samplers; each takes those it knows. */
export type SigmaRunOptions = Partial<
  Pick<SamplerRun<unknown>, 'eta' | 'sChurn' | 'sTmin' | 'sTmax' | 'sNoise' | 'modelCalls'>
>;

/** Options of the timestep samplers. */
export interface TimestepRunOptions {
  readonly eta?: number;
  readonly uniPc?: Partial<UniPcOptions>;
  readonly isImg2img?: boolean;
}

const UNI_PC_DEFAULTS: UniPcOptions = {
  variant: 'bh1',
  skipType: 'time_uniform',
  order: 3,
  isLowerOrderFinal: true,
};

/** Carries the estimate out of a sampler that was asked to stop. */
class SamplingStopped<T> extends Error {
  readonly estimate: T;

  constructor(estimate: T) {
    super('sampling was stopped');
    this.estimate = estimate;
  }
}

function createReport<T>({
  onStep,
  shouldStop,
  signal,
}: RunControls<T>): (step: SamplerStep<T>) => Promise<void> {
  return async (step) => {
    signal?.throwIfAborted();
    await onStep?.(step);
    signal?.throwIfAborted();
    if (shouldStop?.()) throw new SamplingStopped(step.denoised ?? step.x);
  };
}

async function untilStopped<T>(sampling: Promise<T>): Promise<T> {
  try {
    return await sampling;
  } catch (error) {
    if (error instanceof SamplingStopped) return error.estimate as T;
    throw error;
  }
}

/**
 * Runs a sigma sampler.
 *
 * @param x latents at noise level `sigmas[0]`
 * @param sigmas falling noise levels, one more than the steps
 * @returns latents at the level of the last sigma
 */
export async function runSigmaSampler<T>(
  name: SigmaSamplerName,
  x: T,
  sigmas: readonly number[],
  {
    denoiser,
    options = {},
    ...controls
  }: RunControls<T> & { denoiser: Denoiser<T>; options?: SigmaRunOptions },
): Promise<T> {
  controls.signal?.throwIfAborted();
  if (sigmas.length < 2) return x;
  const run: SamplerRun<T> = {
    math: controls.math,
    noise: controls.noise,
    denoiser,
    eta: options.eta ?? 1,
    sChurn: options.sChurn ?? 0,
    sTmin: options.sTmin ?? 0,
    sTmax: options.sTmax ?? Number.POSITIVE_INFINITY,
    sNoise: options.sNoise ?? 1,
    modelCalls: options.modelCalls ?? sigmas.length - 1,
    report: createReport(controls),
  };
  return untilStopped(SIGMA_SAMPLERS[name](x, sigmas, run));
}

/**
 * Runs a timestep sampler.
 *
 * @param x latents noised for the highest timestep (scale sqrt(alpha) of signal, sqrt(1 - alpha) of noise)
 * @param timesteps rising; the run ends at the first of them
 * @param alphasCumprod of the checkpoint's noise schedule
 */
export async function runTimestepSampler<T>(
  name: TimestepSamplerName,
  x: T,
  timesteps: readonly number[],
  {
    predictNoise,
    alphasCumprod,
    options = {},
    ...controls
  }: RunControls<T> & {
    predictNoise: NoisePredictor<T>;
    alphasCumprod: Float32Array;
    options?: TimestepRunOptions;
  },
): Promise<T> {
  const run: TimestepRun<T> = {
    math: controls.math,
    noise: () => controls.noise(0, 0),
    predictNoise,
    alphasCumprod,
    eta: options.eta ?? 0,
    uniPc: { ...UNI_PC_DEFAULTS, ...options.uniPc },
    isImg2img: options.isImg2img ?? false,
    report: createReport(controls),
  };
  controls.signal?.throwIfAborted();
  return untilStopped(TIMESTEP_SAMPLERS[name](x, timesteps, run));
}
