import type { GenerationParams } from '../../../protocol/generation.ts';
import { samplerInfo } from '../../../protocol/samplers.ts';
import type { ModelDescription } from '../../compiler/model.ts';
import type { LatentSpace, TextContext } from '../diffusion-model.ts';
import { type ActiveControl, createGuidedModel } from '../guidance.ts';
import type { PassConditioning } from '../prompt/plan.ts';
import {
  CFG_PLUS_PLUS_GUIDANCE_FACTOR,
  type CoefficientsAt,
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
import type { NoisePredictor } from '../sampling/samplers/timestep-sampler.ts';
import type { SamplingPlan } from '../sampling/sampling-plan.ts';
import type { JobControl, PipelineJob } from './job.ts';

/** A mask over a batch's latents; both arrays are of the batch's shape. */
export interface LatentBlend {
  /** 1 where the picture is redrawn. */
  readonly share: Float32Array;
  /** The picture's own latents times what `share` leaves of 1. */
  readonly known: Float32Array;
}

/** A checkpoint at work in a pass. */
export interface PassSide<T> {
  readonly space: LatentSpace<T>;
  readonly description: ModelDescription;
  readonly schedule: NoiseSchedule;
  readonly conditioning: PassConditioning;
  readonly contexts: readonly (readonly TextContext[])[];
}

/** When another checkpoint takes over, and how it gets there. */
export interface RefinerTurn {
  /** Whether it makes the call of this number, at this noise level (a sigma, or a timestep). */
  isDue(level: number, call: number): boolean;
  open<T>(): Promise<PassSide<T> & { close(): Promise<void> }>;
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
  readonly refiner?: RefinerTurn | null;
  /** Told after each step how many are made. */
  readonly onStep: (done: number) => void;
  /** Given the clean latents as far as they are known after a step; the run waits for it. */
  readonly onDenoised?: (done: number, denoised: T) => Promise<void>;
  /** Told that prompt and negative prompt were brought to one length. */
  readonly onPad: () => void;
  /** Told why negative prompts were left out. */
  readonly onSkip: (reason: SkipReason) => void;
}

/** Latents as they left the sampler. */
export interface Sampled<T> {
  readonly latents: T;
  /** Of the checkpoint that came last, whose VAE decodes. */
  readonly space: LatentSpace<T>;
  /** Gives back what a refiner holds; after that its space is of no use. */
  close(): Promise<void>;
}

/** When a job leaves the negative prompt out. */
export function uncondSkipping({ sMinUncond, sampling }: GenerationParams): UncondSkipping {
  const { isMinUncondOnAllSteps: isEveryCall, skipEarlyCond: skipEarly } = sampling;
  return { sMinUncond, isEveryCall, skipEarly };
}

/** From noise to the latents of one batch. */
export async function samplePass<T>(pass: SamplePass<T>): Promise<Sampled<T>> {
  const { job, space, schedule, conditioning, contexts } = pass;
  const { description } = job.model;
  const guided = createTurns(pass, { space, description, schedule, conditioning, contexts });
  try {
    const latents = await runSampler(pass, guided);
    return { latents, space: guided.lastSpace(), close: guided.close };
  } catch (error) {
    await guided.close();
    throw error;
  }
}

/** The guided model over a pass, whichever checkpoint's turn it is. */
interface Turns<T> {
  readonly predict: NoisePredictor<T>;
  readonly blend: ((x: T) => Promise<T>) | null;
  /** Told which step was made last. */
  stepMade(step: number): void;
  lastSpace(): LatentSpace<T>;
  close(): Promise<void>;
}

function createTurns<T>(pass: SamplePass<T>, first: PassSide<T>): Turns<T> {
  const { job, sampling, refiner = null } = pass;
  const blend = pass.blend && pass.space.createBlend(pass.blend.share, pass.blend.known);
  // As A1111 counts: the step that was told last, which is the one before within a step's first call.
  let lastStep = 0;
  let calls = 0;
  let refined: (PassSide<T> & { close(): Promise<void> }) | null = null;
  const isCfgPlusPlus = sampling.kind === 'timestep' && sampling.sampler === 'DDIM CFG++';

  const modelOf = (side: PassSide<T>, firstCall: number): NoisePredictor<T> =>
    createGuidedModel({
      ...{ space: side.space, conditioning: side.conditioning, firstCall, blend },
      coefficientsAt: coefficientsOf(pass, side),
      contextOf: ({ group, row }) => contextAt(side.contexts, group, row),
      guidanceScale:
        guidanceScaleOf(job.params, side.description) *
        (isCfgPlusPlus ? CFG_PLUS_PLUS_GUIDANCE_FACTOR : 1),
      skipping: uncondSkipping(job.params),
      totalCalls: sampling.totalCalls,
      controlsNow: () => pass.controlsAt?.(lastStep / sampling.steps) ?? [],
      padding: job.params.uncondPadding,
      onPad: pass.onPad,
      onSkip: pass.onSkip,
      needsUncond: isCfgPlusPlus,
      isBlendedBefore: sampling.kind === 'timestep',
    });

  let current = modelOf(first, 0);
  return {
    blend,
    async predict(x, level) {
      if (refiner && !refined && refiner.isDue(level, calls)) {
        refined = await refiner.open<T>();
        current = modelOf(refined, calls);
      }
      calls += 1;
      return current(x, level);
    },
    stepMade(step) {
      lastStep = step;
    },
    lastSpace: () => refined?.space ?? first.space,
    close: async () => refined?.close(),
  };
}

async function runSampler<T>(pass: SamplePass<T>, { predict, blend, stepMade }: Turns<T>) {
  const { job, space, sampling, schedule, rng } = pass;
  const { control } = job;
  const x = space.math.fromArray(startLatents(sampling.start, rng.first(), pass.init));
  const controls = {
    math: space.math,
    noise: stepNoise(pass),
    signal: control.signal,
    shouldStop: () => control.isInterrupted() || control.isSkipped(),
    onStep: async ({ step, denoised }: { step: number; denoised: T | null }) => {
      stepMade(step);
      await space.pace();
      pass.onStep(step + 1);
      if (denoised !== null) await pass.onDenoised?.(step + 1, denoised);
    },
  };
  const latents =
    sampling.kind === 'sigma'
      ? await runSigmaSampler(sampling.sampler, x, sampling.sigmas, {
          ...controls,
          denoiser: async (given, sigma) => (await predict(given, sigma)).guided,
          options: sampling.options,
        })
      : await runTimestepSampler(sampling.sampler, x, sampling.timesteps, {
          ...controls,
          predictNoise: predict,
          alphasCumprod: schedule.alphasCumprod,
          options: sampling.options,
        });
  return blend ? await blend(latents) : latents;
}

/** What a checkpoint's answers are worth at a noise level. */
function coefficientsOf<T>(
  { sampling, job }: SamplePass<T>,
  { description, schedule }: PassSide<T>,
): CoefficientsAt {
  const { predictionType } = description;
  if (sampling.kind === 'timestep') return timestepCoefficients(predictionType, schedule);
  if (sampling.sampler !== 'LCM') {
    return sigmaCoefficients(predictionType, schedule, job.params.sampling.isQuantized);
  }
  const prediction = predictionType === 'v_prediction' ? 'lcm_v_prediction' : 'lcm';
  return sigmaCoefficients(prediction, createLcmSchedule(schedule));
}

/** A UNet that was told the scale has guided itself already. */
function guidanceScaleOf(params: GenerationParams, { unetInputs }: ModelDescription): number {
  return unetInputs.timestepCond === null ? params.guidanceScale : 1;
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
