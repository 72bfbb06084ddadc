import type { GenerationParams } from '../../protocol/generation.ts';
import type { InfotextInput } from '../../protocol/infotext-values.ts';
import type { GeneratedImage, GenerationProgress } from '../shared/engine.ts';
import type {
  DiffusionModel,
  LatentSpace,
  LatentsRequest,
  TextContext,
} from './diffusion-model.ts';
import { cropLatents, latentMode } from './hires.ts';
import { applyOverlay } from './images/overlay.ts';
import { type Pixels, toPixels } from './images/pixels.ts';
import {
  type DecodeImage,
  encodeInitImages,
  encodeWholeLatents,
  type InitLatents,
} from './init-latents.ts';
import { inpaintChannels, isInpaintingModel } from './inpaint-channels.ts';
import { type HiresPlan, type JobPlan, type PixelSize, planJob, promptSteps } from './job-plan.ts';
import { resizeLatents } from './latent-resize.ts';
import { createPreviewer } from './previews.ts';
import { createProgressReporter, type ProgressReporter } from './progress.ts';
import { networkHashes, promptInfotextParams, type UsedNetwork } from './prompt/infotext-params.ts';
import type { ConditioningPlan, PassConditioning } from './prompt/plan.ts';
import { type LatentBlend, type SamplePass, samplePass, uncondSkipping } from './sample-pass.ts';
import { type SkipReason, skippingInfotext } from './sampling/denoiser.ts';
import { latentShape, latentSize } from './sampling/latents.ts';
import { createImageRng, type LatentShape } from './sampling/rng/image-rng.ts';
import type { SamplingPlan } from './sampling/sampling-plan.ts';
import { enlargeTo, type FindNetwork } from './upscaling/enlarge.ts';

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
  /** Given a small picture every `previewEverySteps`; the run waits for it. */
  readonly onPreview?: ((pixels: Pixels) => Promise<void>) | undefined;
}

export interface PipelineJob {
  readonly params: GenerationParams;
  readonly model: DiffusionModel;
  /** LoRAs in the model's weights, as infotexts name them. */
  readonly loras?: readonly UsedNetwork[];
  /** Short hash of a textual inversion by its name. */
  readonly embeddingHash?: (name: string) => string;
  readonly control: JobControl;
  readonly decodeImage: DecodeImage;
  /** Networks that enlarge pictures between two passes; the plain filters need none. */
  readonly findUpscaler?: FindNetwork;
  /** The finished file of one picture, infotext inside. */
  readonly finishImage: (picture: FinishedPicture) => Promise<GeneratedImage>;
}

/** One decoded picture and what its infotext says of it. */
export interface FinishedPicture {
  readonly index: number;
  readonly pixels: Pixels;
  readonly seed: number;
  readonly subseed: number;
  /** Infotext keys beyond the fixed ones. */
  readonly extraParams: Readonly<Record<string, InfotextInput>>;
  /** Sentences about what was done otherwise than asked for. */
  readonly notes: readonly string[];
}

export interface PipelineResult {
  readonly width: number;
  readonly height: number;
  readonly interrupted: boolean;
  readonly extraParams: Readonly<Record<string, InfotextInput>>;
  readonly notes: readonly string[];
  readonly seconds: StageSeconds;
}

interface StageSeconds {
  encode: number;
  sample: number;
  decode: number;
}

/** What all batches of a job share. */
interface Run {
  readonly job: PipelineJob;
  readonly plan: JobPlan;
  readonly prompts: ConditioningPlan;
  readonly contexts: readonly (readonly TextContext[])[];
  readonly init: InitLatents | null;
  /** What an inpainting UNet sees beside the latents; null for others. */
  readonly channels: Float32Array | null;
  readonly skipped: Set<SkipReason>;
  readonly progress: ProgressReporter;
  readonly clock: <T>(stage: keyof StageSeconds, task: () => Promise<T>) => Promise<T>;
}

interface Batch {
  readonly index: number;
  readonly seeds: readonly number[];
  readonly subseeds: readonly number[];
}

/**
 * Makes a job's pictures: `batchCount` batches of `batchSize`. Rejects with AbortError when the signal is
 * aborted; an interrupted job resolves with what exists, the picture at hand as far as it came.
 */
export async function generate(job: PipelineJob): Promise<PipelineResult> {
  const { params, model, control } = job;
  const isInpainting = isInpaintingModel(model.description);
  const plan = planJob(params, model.description);
  const progress = createProgressReporter({
    batches: params.batchCount,
    pictures: plan.pictures,
    steps: plan.sampling.steps + (plan.hires?.sampling.steps ?? 0),
    report: control.onProgress,
  });
  const seconds: StageSeconds = { encode: 0, sample: 0, decode: 0 };
  const clock: Run['clock'] = async (stage, task) => {
    const startedAt = performance.now();
    try {
      return await task();
    } finally {
      seconds[stage] += (performance.now() - startedAt) / 1000;
    }
  };

  progress.encoding();
  const prompts = planPrompts(job);
  const contexts = await clock('encode', () => encodeTexts(job, prompts));
  const init = await clock('encode', () => encodeInit(job, plan));
  const channels = isInpainting
    ? await clock('encode', () => channelsOf(job, plan, init, plan))
    : null;
  const skipped = new Set<SkipReason>();
  const run: Run = { job, plan, prompts, contexts, init, channels, skipped, progress, clock };
  for (let index = 0; index < params.batchCount && !control.isInterrupted(); index++) {
    control.signal?.throwIfAborted();
    control.beginBatch();
    progress.beginBatch(index);
    const batch = { index, ...batchSeeds(params, index * plan.pictures, plan.pictures) };
    await makeBatch(run, batch);
  }
  const { width, height } = plan.hires ?? plan;
  return {
    width,
    height,
    interrupted: control.isInterrupted(),
    // A1111's own have null for texts that could differ from picture to picture.
    extraParams: { ...infotextOf(run), ...sharedHiresTexts(plan) },
    notes: init?.notes ?? [],
    seconds,
  };
}

function planPrompts({ params, model }: PipelineJob): ConditioningPlan {
  const { hires, steps, sampler, emphasis, commaPadding } = params;
  const second = params.mode === 'txt2img' ? hires : null;
  return model.planPrompts({
    prompts: [params.prompt],
    negativePrompts: [params.negativePrompt],
    ...promptSteps(params),
    ...(second
      ? {
          hires: {
            ...promptSteps({
              steps: second.steps > 0 ? second.steps : steps,
              sampler: second.sampler ?? sampler,
            }),
            ...(second.prompt === null ? {} : { prompts: [second.prompt] }),
            ...(second.negativePrompt === null ? {} : { negativePrompts: [second.negativePrompt] }),
          },
        }
      : {}),
    useOldScheduling: params.useOldScheduling,
    chunkOptions: { emphasis, commaPaddingBacktrack: commaPadding },
  });
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

/** Latents that img2img starts from, masked areas filled with noise or nothing where that was asked for. */
async function encodeInit(job: PipelineJob, plan: JobPlan): Promise<InitLatents | null> {
  const { params, model, decodeImage, control } = job;
  if (params.mode !== 'img2img') return null;
  const { height, width } = plan;
  const options = { model, height, width, decodeImage, signal: control.signal };
  const init = await encodeInitImages(params, options);
  const fill = params.inpaint?.fill ?? 1;
  if (!init.inpaint || fill < 2) return init;
  const shape = shapeOf(job, plan);
  const { seeds } = batchSeeds(params, 0, plan.pictures);
  const noise = fill === 2 ? noiseOf(params, seeds, shape) : null;
  const { latentMask } = init.inpaint;
  const values = new Float32Array(plan.pictures * latentSize(shape));
  for (let i = 0; i < values.length; i++) {
    const share = latentMask[i % latentMask.length] as number;
    const known = init.values[i % init.values.length] as number;
    values[i] = known * (1 - share) + (noise?.[i] ?? 0) * share;
  }
  return { ...init, values };
}

/** The plain noise of the seeds. */
function noiseOf(
  params: GenerationParams,
  seeds: readonly number[],
  shape: LatentShape,
): Float32Array {
  const plain = {
    subseeds: [],
    subseedStrength: 0,
    seedResizeFromWidth: 0,
    seedResizeFromHeight: 0,
  };
  const source = params.randnSource;
  return createImageRng({ shape, seeds, source, etaNoiseSeedDelta: 0, ...plain }).first();
}

function channelsOf(
  { params, model }: PipelineJob,
  { pictures }: JobPlan,
  init: InitLatents | null,
  { width, height }: PixelSize,
): Promise<Float32Array> {
  const shown = {
    images: init?.images ?? [],
    mask: init?.inpaint?.mask ?? null,
    isRounded: params.inpaint?.isRounded ?? true,
    weight: params.inpaintingMaskWeight,
  };
  return inpaintChannels(model, shown, { pictures, width, height });
}

function shapeOf({ model }: PipelineJob, { height, width }: PixelSize): LatentShape {
  const { latentChannels: channels, vaeFactor } = model.description;
  return latentShape({ height, width, channels, vaeFactor });
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

async function makeBatch(run: Run, batch: Batch): Promise<void> {
  const { job, plan, init, channels, clock, progress } = run;
  const { control } = job;
  const { hires } = plan;
  const enlarged = await job.model.withLatents(
    latentsRequest(run, plan, channels),
    async (space) => {
      const latents = await clock('sample', () =>
        samplePass({
          ...passOf(run, batch, plan, plan.sampling, run.prompts.firstPass),
          space,
          init: init?.values ?? null,
          blend: blendOf(run),
          onStep: progress.stepDone,
          onDenoised: previews(job, plan, space),
        }),
      );
      if (control.isSkipped()) return null;
      if (hires && !control.isInterrupted()) return enlarge(run, hires, space, latents);
      await clock('decode', () => finishBatch(run, batch, space, latents, plan));
      return null;
    },
  );
  if (!hires || !enlarged) return;
  control.signal?.throwIfAborted();
  const hiresChannels = channels
    ? await clock('encode', () => channelsOf(job, plan, null, hires))
    : null;
  await job.model.withLatents(latentsRequest(run, hires, hiresChannels), async (space) => {
    const conditioning = run.prompts.hiresPass ?? run.prompts.firstPass;
    const latents = await clock('sample', () =>
      samplePass({
        ...passOf(run, batch, hires, hires.sampling, conditioning),
        space,
        init: enlarged,
        blend: null,
        onStep: (done) => progress.stepDone(plan.sampling.steps + done),
        onDenoised: previews(job, hires, space),
      }),
    );
    if (control.isSkipped()) return;
    await clock('decode', () => finishBatch(run, batch, space, latents, hires));
  });
}

/** Shows the first picture of a batch on its way, as often as the job asks. */
function previews<T>(
  { params, model, control }: PipelineJob,
  size: PixelSize,
  space: LatentSpace<T>,
): (done: number, denoised: T) => Promise<void> {
  const { previewEverySteps: every } = params;
  const previewer = createPreviewer(model.description, size);
  return async (done, denoised) => {
    if (!control.onPreview || every === 0 || done % every !== 0) return;
    const pixels = await previewer.make(space, denoised);
    if (pixels) await control.onPreview(pixels);
  };
}

function latentsRequest(run: Run, size: PixelSize, inpaint: Float32Array | null): LatentsRequest {
  const [channels, height, width] = shapeOf(run.job, size);
  return {
    ...{ pictures: run.plan.pictures, channels, height, width },
    contexts: run.contexts.flat(),
    guidanceScale: run.job.params.guidanceScale,
    inpaintChannels: inpaint,
  };
}

function passOf(
  { job, plan, contexts, skipped }: Run,
  { seeds, subseeds }: Batch,
  size: PixelSize,
  sampling: SamplingPlan,
  conditioning: PassConditioning,
): Omit<SamplePass<never>, 'space' | 'init' | 'blend' | 'onStep' | 'onDenoised'> {
  const shape = shapeOf(job, size);
  const { params, model } = job;
  const { vaeFactor } = model.description;
  const source = params.randnSource;
  return {
    ...{ job, sampling, conditioning, contexts, seeds, shape },
    schedule: plan.schedule,
    rng: createImageRng({ ...params, seeds, subseeds, shape, source, vaeFactor }),
    onSkip: (reason) => skipped.add(reason),
  };
}

/** The mask over a batch: what is not redrawn is the picture's own. */
function blendOf({ job, plan, init }: Run): LatentBlend | null {
  if (!init?.inpaint) return null;
  const { latentMask } = init.inpaint;
  const size = plan.pictures * latentSize(shapeOf(job, plan));
  const share = Float32Array.from(
    { length: size },
    (_, i) => latentMask[i % latentMask.length] as number,
  );
  const known = share.map(
    (value, i) => (1 - value) * (init.values[i % init.values.length] as number),
  );
  return { share, known };
}

/** The first pass's latents at the second pass's size: resized themselves, or through enlarged pictures. */
async function enlarge<T>(
  run: Run,
  { target }: HiresPlan,
  space: LatentSpace<T>,
  latents: T,
): Promise<Float32Array> {
  const { job, plan } = run;
  const { params, model, control } = job;
  const [channels, height, width] = shapeOf(job, plan);
  const upscaler = params.hires?.upscaler ?? null;
  const mode = latentMode(upscaler);
  const parts: Float32Array[] = [];
  const all = mode === null ? null : await space.math.toArray(latents);
  const size = channels * height * width;
  for (let place = 0; place < plan.pictures; place++) {
    control.signal?.throwIfAborted();
    if (all && mode !== null) {
      const own = all.subarray(place * size, (place + 1) * size);
      parts.push(resizeLatents(own, { channels, height, width }, target.latent, mode));
      continue;
    }
    const pixels = toPixels(await space.decode(latents, place), plan.height, plan.width);
    const large = await enlargeTo(pixels, target, upscaler ?? 'None', {
      find: job.findUpscaler,
      signal: control.signal,
    });
    parts.push(await encodeWholeLatents(model, large));
  }
  const cropped = parts.map((part) => cropLatents(part, channels, target));
  const one = cropped[0]?.length ?? 0;
  const out = new Float32Array(one * cropped.length);
  for (const [place, part] of cropped.entries()) out.set(part, place * one);
  return out;
}

/** Decodes a batch and hands its pictures on, each under what its mask keeps. */
async function finishBatch<T>(
  run: Run,
  { index: batch, seeds, subseeds }: Batch,
  space: LatentSpace<T>,
  latents: T,
  { width, height }: PixelSize,
): Promise<void> {
  const { job, plan, init, progress } = run;
  const { control } = job;
  for (let place = 0; place < plan.pictures; place++) {
    control.signal?.throwIfAborted();
    progress.decoding(place);
    const decoded = toPixels(await space.decode(latents, place), height, width);
    const image = await job.finishImage({
      index: batch * plan.pictures + place,
      pixels: underOverlay(decoded, place, init),
      seed: seeds[place] ?? 0,
      subseed: subseeds[place] ?? 0,
      extraParams: infotextOf(run),
      notes: init?.notes ?? [],
    });
    control.onImage?.(image);
  }
}

function underOverlay(pixels: Pixels, picture: number, init: InitLatents | null): Pixels {
  if (!init?.inpaint) return pixels;
  const { overlays, place } = init.inpaint;
  const overlay = overlays[picture % overlays.length];
  return overlay ? applyOverlay(pixels, overlay, place) : pixels;
}

/** Infotext keys beyond the fixed ones, in the order in which A1111 comes to know them. */
function infotextOf({ job, plan, init, prompts, skipped }: Run): FinishedPicture['extraParams'] {
  const { params } = job;
  const skipping = uncondSkipping(params);
  const loraHashes = networkHashes(job.loras ?? []);
  const skips = [...skipped].map((reason) => skippingInfotext(skipping, reason));
  return {
    ...init?.infotext,
    ...plan.hiresInfotext,
    ...(loraHashes === null ? {} : { 'Lora hashes': loraHashes }),
    ...promptInfotextParams(prompts.groups, {
      emphasis: params.emphasis,
      ...(job.embeddingHash ? { embeddingHash: job.embeddingHash } : {}),
    }),
    ...(params.useOldScheduling ? { 'Old prompt editing timelines': true } : {}),
    ...plan.infotext,
    ...Object.assign({}, ...skips),
  };
}

function sharedHiresTexts({ hires }: JobPlan): Record<string, null> {
  return hires ? { 'Hires prompt': null, 'Hires negative prompt': null } : {};
}
