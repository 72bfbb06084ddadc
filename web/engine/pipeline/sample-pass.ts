import type { GenerationParams } from '../../../protocol/generation.ts';
import { samplerInfo } from '../../../protocol/samplers.ts';
import type { LatentSpace, TextContext } from '../diffusion-model.ts';
import {
  type ActiveControl,
  createGuidedDenoiser,
  createGuidedModel,
  type GuidanceOptions,
} from '../guidance.ts';
import type { PassConditioning } from '../prompt/plan.ts';
import {
  CFG_PLUS_PLUS_GUIDANCE_FACTOR,
  type SkipReason,
  sigmaCoefficients,
  timestepCoefficients,
  type UncondSkipping,
} from '../sampling/denoiser.ts';
import { latentSize, startLatents } from '../sampling/latents.ts';
import { createLcmSchedule } from '../sampling/lcm-schedule.ts';
import type { NoiseSchedule } from '../sampling/noise-schedule.ts';
import { createBrownianNoise } from '../sampling/rng/brownian.ts';
import type { ImageRng, LatentShape } from '../sampling/rng/image-rng.ts';
import { runSigmaSampler, runTimestepSampler } from '../sampling/samplers/run-sampler.ts';
import type { StepNoise } from '../sampling/samplers/sampler.ts';
import type { SamplingPlan } from '../sampling/sampling-plan.ts';
import type { JobControl, PipelineJob } from './job.ts';

/** A mask over a batch's latents; both arrays are of the batch's shape. */
export interface LatentBlend {
  /** 1 where the picture is redrawn. */
  readonly share: Float32Array;
  /** The picture's own latents times what `share` leaves of 1. */
  readonly known: Float32Array;
}

/** One run of a sampler over one batch. */
export interface SamplePass<T> {
  readonly job: Pick<PipelineJob, 'params' | 'model'> & { readonly control: JobControl };
  readonly space: LatentSpace<T>;
  readonly sampling: SamplingPlan;
  readonly schedule: NoiseSchedule;
  readonly conditioning: PassConditioning;
  readonly contexts: readonly (readonly TextContext[])[];
  readonly rng: ImageRng;
  readonly seeds: readonly number[];
  readonly shape: LatentShape;
  /** Latents to start from, of the batch or of one picture for all; null starts from noise alone. */
  readonly init: Float32Array | null;
  readonly blend: LatentBlend | null;
  /** ControlNets at work once this share of the steps is made. */
  readonly controlsAt?: (reached: number) => readonly ActiveControl[];
  /** Told after each step how many are made. */
  readonly onStep: (done: number) => void;
  /** Given the clean latents as far as they are known after a step; the run waits for it. */
  readonly onDenoised?: (done: number, denoised: T) => Promise<void>;
  /** Told why negative prompts were left out. */
  readonly onSkip: (reason: SkipReason) => void;
}

/** When a job leaves the negative prompt out. */
export function uncondSkipping({ sMinUncond, sampling }: GenerationParams): UncondSkipping {
  const { isMinUncondOnAllSteps: isEveryCall, skipEarlyCond: skipEarly } = sampling;
  return { sMinUncond, isEveryCall, skipEarly };
}

/** From noise to the latents of one batch. */
export async function samplePass<T>(pass: SamplePass<T>): Promise<T> {
  const { job, space, sampling, schedule, rng } = pass;
  const { control, params } = job;
  const { predictionType } = job.model.description;
  const x = space.math.fromArray(startLatents(sampling.start, rng.first(), pass.init));
  const blend = pass.blend && space.createBlend(pass.blend.share, pass.blend.known);
  // As A1111 counts: the step that was told last, which is the one before within a step's first call.
  let lastStep = 0;
  const controls = {
    math: space.math,
    noise: stepNoise(pass),
    signal: control.signal,
    shouldStop: () => control.isInterrupted() || control.isSkipped(),
    onStep: async ({ step, denoised }: { step: number; denoised: T | null }) => {
      lastStep = step;
      await space.pace();
      pass.onStep(step + 1);
      if (denoised !== null) await pass.onDenoised?.(step + 1, denoised);
    },
  };
  const guidance = (isCfgPlusPlus: boolean): Omit<GuidanceOptions<T>, 'coefficientsAt'> => ({
    space,
    conditioning: pass.conditioning,
    contextOf: ({ group, row }) => contextAt(pass.contexts, group, row),
    guidanceScale: guidanceScaleOf(job) * (isCfgPlusPlus ? CFG_PLUS_PLUS_GUIDANCE_FACTOR : 1),
    skipping: uncondSkipping(params),
    totalCalls: sampling.totalCalls,
    controlsNow: () => pass.controlsAt?.(lastStep / sampling.steps) ?? [],
    onSkip: pass.onSkip,
    needsUncond: isCfgPlusPlus,
    blend,
    isBlendedBefore: sampling.kind === 'timestep',
  });
  let latents: T;
  if (sampling.kind === 'sigma') {
    const coefficientsAt =
      sampling.sampler === 'LCM'
        ? sigmaCoefficients(
            predictionType === 'v_prediction' ? 'lcm_v_prediction' : 'lcm',
            createLcmSchedule(schedule),
          )
        : sigmaCoefficients(predictionType, schedule, params.sampling.isQuantized);
    latents = await runSigmaSampler(sampling.sampler, x, sampling.sigmas, {
      ...controls,
      denoiser: createGuidedDenoiser({ ...guidance(false), coefficientsAt }),
      options: sampling.options,
    });
  } else {
    const coefficientsAt = timestepCoefficients(predictionType, schedule);
    latents = await runTimestepSampler(sampling.sampler, x, sampling.timesteps, {
      ...controls,
      predictNoise: createGuidedModel({
        ...guidance(sampling.sampler === 'DDIM CFG++'),
        coefficientsAt,
      }),
      alphasCumprod: schedule.alphasCumprod,
      options: sampling.options,
    });
  }
  return blend ? await blend(latents) : latents;
}

/** A UNet that was told the scale has guided itself already. */
function guidanceScaleOf({ params, model }: Pick<PipelineJob, 'params' | 'model'>): number {
  return model.description.unetInputs.timestepCond === null ? params.guidanceScale : 1;
}

function contextAt(
  contexts: readonly (readonly TextContext[])[],
  group: number,
  row: number,
): TextContext {
  const context = contexts[group]?.[row];
  if (context) return context;
  throw new RangeError(`no text ${row} in group ${group}`);
}

/** Noise of the steps: from a Brownian tree for the SDE samplers, else the generator's next. */
function stepNoise<T>({ job, sampling, rng, seeds, shape }: SamplePass<T>): StepNoise {
  if (sampling.kind !== 'sigma' || !samplerInfo(sampling.sampler).usesBrownianNoise) {
    return rng.next;
  }
  return createBrownianNoise({
    seeds,
    size: latentSize(shape),
    sigmaMin: sampling.sigmaRange.min,
    sigmaMax: sampling.sigmaRange.max,
    source: job.params.randnSource,
  });
}
