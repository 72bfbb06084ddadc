import { GenerationError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import { samplerInfo } from '../../protocol/samplers.ts';
import type { GeneratedImage, GenerationProgress } from '../shared/engine.ts';
import type { DiffusionModel, LatentSpace, TextContext } from './diffusion-model.ts';
import { createGuidedDenoiser, createGuidedModel, type GuidanceOptions } from './guidance.ts';
import { type Pixels, toPixels } from './images/pixels.ts';
import { encodeInitImages, type InitLatents } from './init-latents.ts';
import { createProgressReporter, type ProgressReporter } from './progress.ts';
import type { ConditioningPlan } from './prompt/plan.ts';
import {
  CFG_PLUS_PLUS_GUIDANCE_FACTOR,
  sigmaCoefficients,
  timestepCoefficients,
} from './sampling/denoiser.ts';
import { latentShape, latentSize, startLatents } from './sampling/latents.ts';
import { createLcmSchedule } from './sampling/lcm-schedule.ts';
import { createNoiseSchedule, type NoiseSchedule } from './sampling/noise-schedule.ts';
import { createBrownianNoise } from './sampling/rng/brownian.ts';
import { createImageRng, type ImageRng, type LatentShape } from './sampling/rng/image-rng.ts';
import { runSigmaSampler, runTimestepSampler } from './sampling/samplers/run-sampler.ts';
import type { StepNoise } from './sampling/samplers/sampler.ts';
import { createSamplingPlan, type SamplingPlan } from './sampling/sampling-plan.ts';

/** How a running job is watched and steered from outside. */
export interface JobControl {
  readonly signal?: AbortSignal | undefined;
  /** True once the job is to end with what exists. */
  readonly isInterrupted: () => boolean;
  /** True once the batch being made is to be dropped; `beginBatch` forgets it. */
  readonly isSkipped: () => boolean;
  readonly beginBatch: () => void;
  readonly onProgress?: ((progress: GenerationProgress) => void) | undefined;
  readonly onImage?: ((image: GeneratedImage) => void) | undefined;
}

export interface PipelineJob {
  readonly params: GenerationParams;
  readonly model: DiffusionModel;
  readonly control: JobControl;
  readonly decodeImage: (base64: string, what: string) => Promise<Pixels>;
  /** The finished file of one picture, infotext inside. */
  readonly finishImage: (picture: FinishedPicture) => Promise<GeneratedImage>;
}

/** One decoded picture and what its infotext says of it. */
export interface FinishedPicture {
  readonly index: number;
  readonly pixels: Pixels;
  readonly seed: number;
  readonly subseed: number;
  /** Infotext keys that sampling adds. */
  readonly extraParams: SamplingPlan['infotext'];
}

export interface PipelineResult {
  readonly width: number;
  readonly height: number;
  readonly interrupted: boolean;
  readonly extraParams: SamplingPlan['infotext'];
  readonly seconds: { readonly encode: number; readonly sample: number; readonly decode: number };
}

/**
 * Makes a job's pictures: `batchCount` batches of `batchSize`. Rejects with AbortError when the signal is
 * aborted; an interrupted job resolves with what exists, the picture at hand as far as it came.
 */
export async function generate(job: PipelineJob): Promise<PipelineResult> {
  const { params, model, control } = job;
  const { description } = model;
  if (description.unetInChannels !== description.latentChannels) {
    throw new GenerationError(
      'unsupported',
      'This checkpoint is made for inpainting, which this version of Easel does not do yet. Choose another one.',
    );
  }
  const { width, height } = realSize(params, description.vaeFactor);
  const schedule = createNoiseSchedule(description);
  const sampling = createSamplingPlan(
    { ...params, isSdxl: description.family === 'sdxl' },
    schedule,
  );
  const pictures = params.initImages.length > 1 ? params.initImages.length : params.batchSize;
  const progress = createProgressReporter({
    batches: params.batchCount,
    pictures,
    steps: sampling.steps,
    report: control.onProgress,
  });
  const seconds = { encode: 0, sample: 0, decode: 0 };
  const clock = async <T>(stage: keyof typeof seconds, task: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    try {
      return await task();
    } finally {
      seconds[stage] += (performance.now() - startedAt) / 1000;
    }
  };

  progress.encoding();
  const prompts = model.planPrompts({
    prompts: [params.prompt],
    negativePrompts: [params.negativePrompt],
    steps: params.steps,
    isSecondOrder: samplerInfo(params.sampler).isSecondOrder,
  });
  const contexts = await clock('encode', () => encodeTexts(job, prompts));
  const { decodeImage } = job;
  const init =
    params.mode === 'img2img'
      ? await clock('encode', () =>
          encodeInitImages(params, { model, height, width, decodeImage, signal: control.signal }),
        )
      : null;

  const shape = latentShape({
    height,
    width,
    channels: description.latentChannels,
    vaeFactor: description.vaeFactor,
  });
  const [channels, rows, columns] = shape;
  const request = {
    ...{ pictures, channels, height: rows, width: columns },
    contexts: contexts.flat(),
    guidanceScale: params.guidanceScale,
  };
  const common = { job, sampling, schedule, prompts, contexts, shape, init, progress };
  for (let batch = 0; batch < params.batchCount && !control.isInterrupted(); batch++) {
    control.signal?.throwIfAborted();
    control.beginBatch();
    progress.beginBatch(batch);
    const seeds = batchSeeds(params, batch * pictures, pictures);
    const rng = createImageRng({
      ...params,
      ...seeds,
      shape,
      source: params.randnSource,
      vaeFactor: description.vaeFactor,
    });
    await model.withLatents(request, async (space) => {
      const run = { ...common, space, rng, ...seeds };
      const latents = await clock('sample', () => sample(run));
      if (control.isSkipped()) return;
      await clock('decode', async () => {
        for (let place = 0; place < pictures; place++) {
          control.signal?.throwIfAborted();
          progress.decoding(place);
          const pixels = toPixels(await space.decode(latents, place), height, width);
          const [seed = 0, subseed = 0] = [seeds.seeds[place], seeds.subseeds[place]];
          const index = batch * pictures + place;
          const { infotext: extraParams } = sampling;
          const image = await job.finishImage({ index, pixels, seed, subseed, extraParams });
          control.onImage?.(image);
        }
      });
    });
  }
  return {
    width,
    height,
    interrupted: control.isInterrupted(),
    extraParams: sampling.infotext,
    seconds,
  };
}

/** The size that is really made: sides are rounded down to whole latents. */
export function realSize(
  { width, height }: Pick<GenerationParams, 'width' | 'height'>,
  vaeFactor: number,
): { width: number; height: number } {
  const rounded = {
    width: width - (width % vaeFactor),
    height: height - (height % vaeFactor),
  };
  if (rounded.width > 0 && rounded.height > 0) return rounded;
  throw new GenerationError(
    'invalid-request',
    `${width}×${height} is too small for this checkpoint: each side needs at least ${vaeFactor} pixels.`,
  );
}

/** Seeds of pictures `first` and on; with a subseed in play the seed stays and the subseed counts. */
function batchSeeds(params: GenerationParams, first: number, count: number) {
  const { seed, subseed, subseedStrength } = params;
  const places = Array.from({ length: count }, (_, place) => first + place);
  return {
    seeds: places.map((place) => (subseedStrength === 0 ? seed + place : seed)),
    subseeds: places.map((place) => subseed + place),
  };
}

/** Contexts of every group of the plan. */
async function encodeTexts(
  { params, model, control }: PipelineJob,
  { groups }: ConditioningPlan,
): Promise<(readonly TextContext[])[]> {
  const contexts: (readonly TextContext[])[] = [];
  for (const group of groups) {
    control.signal?.throwIfAborted();
    contexts.push(await model.encodeTexts(group, params.clipSkip));
  }
  return contexts;
}

interface SampleRun<T> {
  readonly job: PipelineJob;
  readonly space: LatentSpace<T>;
  readonly sampling: SamplingPlan;
  readonly schedule: NoiseSchedule;
  readonly prompts: ConditioningPlan;
  readonly contexts: readonly (readonly TextContext[])[];
  readonly rng: ImageRng;
  readonly seeds: readonly number[];
  readonly shape: LatentShape;
  readonly init: InitLatents | null;
  readonly progress: ProgressReporter;
}

/** From noise to the latents of one batch. */
async function sample<T>(run: SampleRun<T>): Promise<T> {
  const { job, space, sampling, schedule, rng, init, progress } = run;
  const { control, params } = job;
  const { predictionType } = job.model.description;
  const x = space.math.fromArray(startLatents(sampling.start, rng.first(), init?.values ?? null));
  const controls = {
    math: space.math,
    noise: stepNoise(run),
    signal: control.signal,
    shouldStop: () => control.isInterrupted() || control.isSkipped(),
    onStep: async ({ step }: { step: number }) => {
      await space.pace();
      progress.stepDone(step + 1);
    },
  };
  const guidance = (isCfgPlusPlus: boolean): Omit<GuidanceOptions<T>, 'coefficientsAt'> => ({
    space,
    conditioning: run.prompts.firstPass,
    contextOf: ({ group, row }) => contextAt(run.contexts, group, row),
    guidanceScale: guidanceScaleOf(job) * (isCfgPlusPlus ? CFG_PLUS_PLUS_GUIDANCE_FACTOR : 1),
    sMinUncond: params.sMinUncond,
    needsUncond: isCfgPlusPlus,
  });
  if (sampling.kind === 'sigma') {
    const coefficientsAt =
      sampling.sampler === 'LCM'
        ? sigmaCoefficients('lcm', createLcmSchedule(schedule))
        : sigmaCoefficients(predictionType, schedule);
    return runSigmaSampler(sampling.sampler, x, sampling.sigmas, {
      ...controls,
      denoiser: createGuidedDenoiser({ ...guidance(false), coefficientsAt }),
      options: sampling.options,
    });
  }
  const coefficientsAt = timestepCoefficients(predictionType, schedule);
  return runTimestepSampler(sampling.sampler, x, sampling.timesteps, {
    ...controls,
    predictNoise: createGuidedModel({
      ...guidance(sampling.sampler === 'DDIM CFG++'),
      coefficientsAt,
    }),
    alphasCumprod: schedule.alphasCumprod,
    options: sampling.options,
  });
}

/** A UNet that was told the scale has guided itself already. */
function guidanceScaleOf({ params, model }: PipelineJob): number {
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
function stepNoise<T>({ job, sampling, rng, seeds, shape }: SampleRun<T>): StepNoise {
  const { sampler, randnSource } = job.params;
  if (sampling.kind !== 'sigma' || !samplerInfo(sampler).usesBrownianNoise) return rng.next;
  return createBrownianNoise({
    seeds,
    size: latentSize(shape),
    sigmaMin: sampling.sigmaRange.min,
    sigmaMax: sampling.sigmaRange.max,
    source: randnSource,
  });
}
