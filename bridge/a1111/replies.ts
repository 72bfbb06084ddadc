import type { ByproductKind } from '../../protocol/byproducts.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import { formatGenerationInfo, type GenerationInfo } from '../../protocol/generation-info.ts';
import type { InfotextInput } from '../../protocol/infotext-values.ts';
import { samplerInfo, schedulerLabel } from '../../protocol/samplers.ts';
import { EASEL_VERSION } from '../../protocol/version.ts';
import { timeLeft } from '../activity-text.ts';
import type { JobResult, JobView, QueueView } from '../services.ts';
import { shownPictures } from './byproducts.ts';
import { FOREIGN_FIELDS, type Img2imgRequest, type Txt2imgRequest } from './schemas.ts';
import type { Series } from './series.ts';

/** A1111's reply to txt2img and img2img. `info` is JSON in a string, as clients expect it. */
export interface ImagesResponse {
  readonly images: readonly string[];
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly info: string;
}

/** 14 digits of local time, as A1111 stamps its jobs. */
export function jobTimestamp(milliseconds: number): string {
  const date = new Date(milliseconds);
  const parts = [
    date.getMonth() + 1,
    date.getDate(),
    date.getHours(),
    date.getMinutes(),
    date.getSeconds(),
  ];
  return `${date.getFullYear()}${parts.map((part) => String(part).padStart(2, '0')).join('')}`;
}

/** The request as A1111 echoes it: every field with its value; pictures only if they were asked back. */
export function echo(request: Txt2imgRequest | Img2imgRequest): Record<string, unknown> {
  const parameters: Record<string, unknown> = { ...request };
  for (const name of FOREIGN_FIELDS) delete parameters[name];
  if ('init_images' in request && !request.include_init_images) {
    parameters.init_images = null;
    parameters.mask = null;
  }
  return parameters;
}

/** The seed of every picture planned: counting up, unless a subseed varies instead. */
function planSeeds({ seed, subseed, subseedStrength, batchSize, batchCount }: GenerationParams) {
  const indexes = Array.from({ length: batchSize * batchCount }, (_, index) => index);
  return {
    seeds: indexes.map((index) => (subseedStrength === 0 ? seed + index : seed)),
    subseeds: indexes.map((index) => subseed + index),
  };
}

/** Key under which notes appear among the extra parameters. */
const NOTES_KEY = 'Easel notes';

/** What A1111 adds while it samples, then what the engine tells, then what was substituted. */
function extraParams(
  params: GenerationParams,
  { summary }: JobResult,
): Record<string, InfotextInput> {
  const scheduler =
    params.scheduler === 'automatic'
      ? samplerInfo(params.sampler).defaultScheduler
      : params.scheduler;
  const extra: Record<string, InfotextInput> = {
    ...(params.mode === 'img2img' ? { 'Denoising strength': params.denoisingStrength } : {}),
    ...(params.hires ? { 'Denoising strength': params.hires.denoisingStrength } : {}),
    ...(scheduler === null ? {} : { 'Schedule type': schedulerLabel(scheduler) }),
    ...summary.extraParams,
  };
  if (summary.notes.length > 0) extra[NOTES_KEY] ??= summary.notes.join(' ');
  return extra;
}

/** What A1111's `info` says of a job. */
export function describeJob(
  request: Txt2imgRequest | Img2imgRequest,
  params: GenerationParams,
  result: JobResult,
  { timestamp, isSaving }: ReplyContext,
): GenerationInfo {
  const { summary, images, savedAs = [] } = result;
  const hasUnsaved = isSaving && savedAs.includes(null);
  const plan = planSeeds(params);
  const count = plan.seeds.length;
  const prompts = Array.from({ length: count }, (_, i) => images[i]?.prompt ?? params.prompt);
  const negativePrompts = Array.from(
    { length: count },
    (_, i) => images[i]?.negativePrompt ?? params.negativePrompt,
  );
  return {
    prompts,
    negativePrompts,
    seeds: plan.seeds,
    subseeds: plan.subseeds,
    subseedStrength: params.subseedStrength,
    width: params.width,
    height: params.height,
    sampler: params.sampler,
    guidanceScale: params.guidanceScale,
    steps: params.steps,
    batchSize: params.batchSize,
    restoreFaces: false,
    faceRestorationModel: null,
    model: summary.checkpoint,
    modelHash: summary.checkpointHash,
    vae: summary.vae?.name ?? null,
    vaeHash: summary.vae?.hash ?? null,
    seedResizeFromWidth: request.seed_resize_from_w,
    seedResizeFromHeight: request.seed_resize_from_h,
    denoisingStrength:
      params.mode === 'img2img'
        ? params.denoisingStrength
        : (params.hires?.denoisingStrength ?? null),
    extraParams: extraParams(params, result),
    indexOfFirstImage: 0,
    infotexts: images.map((image) => image.infotext),
    styles: request.styles ?? [],
    jobTimestamp: jobTimestamp(timestamp),
    clipSkip: summary.clipSkip,
    isUsingInpaintingConditioning: false,
    version: `Easel ${EASEL_VERSION}`,
    isUnsaved: hasUnsaved,
  };
}

/** What a reply tells beside the job. */
export interface ReplyContext {
  /** When the job was accepted, in milliseconds since the epoch. */
  readonly timestamp: number;
  /** Whether the pictures were to be saved; one that could not be is told by `saved: false` in `info`. */
  readonly isSaving: boolean;
  /** Byproducts that are shown with the pictures. */
  readonly shown?: readonly ByproductKind[];
}

/** Makes A1111's reply out of a finished job. */
export function toImagesResponse(
  request: Txt2imgRequest | Img2imgRequest,
  params: GenerationParams,
  result: JobResult,
  context: ReplyContext,
): ImagesResponse {
  return {
    images: request.send_images ? shownPictures(result.images, context.shown ?? []) : [],
    parameters: echo(request),
    info: formatGenerationInfo(describeJob(request, params, result, context)),
  };
}

/** A1111's reply to progress. */
export interface ProgressResponse {
  readonly progress: number;
  readonly eta_relative: number;
  readonly state: {
    readonly skipped: boolean;
    readonly interrupted: boolean;
    readonly stopping_generation: boolean;
    readonly job: string;
    readonly job_count: number;
    readonly job_timestamp: string;
    readonly job_no: number;
    readonly sampling_step: number;
    readonly sampling_steps: number;
  };
  readonly current_image: string | null;
  readonly textinfo: string | null;
}

/** What a job says while its checkpoint is loaded or compiled; null once it makes its pictures. */
function preparation({ progress }: JobView): string | null {
  if (!progress || (progress.stage !== 'loading' && progress.stage !== 'compiling')) return null;
  return progress.message || null;
}

function stateOf(view: JobView, isRunning: boolean): ProgressResponse['state'] {
  const { params, progress } = view;
  // A second pass counts as a batch of its own; where the job is in both is told by its share alone.
  const passes = params.hires ? 2 : 1;
  const count = params.batchCount * passes;
  const batch = Math.floor((progress?.imageIndex ?? 0) / params.batchSize);
  const jobNumber =
    passes === 1 ? batch : Math.min(count - 1, Math.floor((progress?.fraction ?? 0) * count));
  const preparing = preparation(view);
  const job =
    preparing !== null
      ? preparing.replace(/, \d+ %$/, '')
      : params.batchCount > 1
        ? `Batch ${batch + 1} out of ${params.batchCount}`
        : params.mode === 'upscale'
          ? 'extras'
          : `scripts_${params.mode}`;
  return {
    skipped: view.isSkipped,
    interrupted: view.isInterrupted,
    stopping_generation: false,
    job: isRunning ? job : '',
    job_count: isRunning ? count : 0,
    job_timestamp: jobTimestamp(view.startedAt ?? view.acceptedAt),
    job_no: jobNumber,
    sampling_step: progress?.step ?? 0,
    sampling_steps: progress?.steps || params.steps,
  };
}

const NEVER_RAN: ProgressResponse['state'] = {
  skipped: false,
  interrupted: false,
  stopping_generation: false,
  job: '',
  job_count: 0,
  job_timestamp: '0',
  job_no: 0,
  sampling_step: 0,
  sampling_steps: 0,
};

function toIdleProgress(last: JobView | null, text: string | null): ProgressResponse {
  return {
    progress: 0,
    eta_relative: 0,
    state: last ? stateOf(last, false) : NEVER_RAN,
    current_image: null,
    textinfo: text,
  };
}

export interface ProgressOptions {
  readonly now?: number;
  readonly skipsImage?: boolean;
  /** What a tab does outside jobs, as a sentence. */
  readonly activity?: string | null;
  /** The request that the running job is a part of. */
  readonly series?: Series | null;
}

/** A job's progress as a part of its request's. */
function withinSeries(job: ProgressResponse, series: Series, now: number): ProgressResponse {
  const { count, done } = series;
  const { job_count, job_no } = job.state;
  const share = job_count > 0 ? Math.max(0, job.progress - 0.01) * job_count : 0;
  const progress = Math.min(1, 0.01 + (done + share) / count);
  const elapsedSeconds = (now - series.startedAt) / 1000;
  return {
    ...job,
    progress,
    eta_relative: Math.max(0, elapsedSeconds / progress - elapsedSeconds),
    state: {
      ...job.state,
      job: `${Math.min(count, done + job_no + 1)} out of ${count}`,
      job_count: count,
      job_no: job_count > 0 ? done + job_no : done,
    },
  };
}

/**
 * A1111's progress out of the queue's state. Idle is exact zeros and an empty `job`, because clients wait for them;
 * the rest of `state` keeps the last job's values, as there.
 */
export function toProgressResponse(
  queue: QueueView,
  last: JobView | null,
  options: ProgressOptions = {},
): ProgressResponse {
  const { now = Date.now(), series = null } = options;
  const ofJob = jobProgress(queue, last, { ...options, now });
  return series === null ? ofJob : withinSeries(ofJob, series, now);
}

function jobProgress(
  { current, waiting }: QueueView,
  last: JobView | null,
  { now, skipsImage = false, activity = null }: ProgressOptions & { readonly now: number },
): ProgressResponse {
  if (current === null) {
    const waitingText = waiting > 0 ? `Waiting for an engine: ${waiting} in the queue` : null;
    return toIdleProgress(last, activity ?? waitingText);
  }
  const state = stateOf(current, true);
  const isSampling =
    current.progress?.stage === 'sampling' || current.progress?.stage === 'decoding';
  const share =
    isSampling && state.sampling_steps > 0 ? state.sampling_step / state.sampling_steps : 0;
  // With a second pass the step starts anew half-way, so that A1111's formula would go back.
  const done = current.params.hires
    ? (current.progress?.fraction ?? 0)
    : (state.job_no + share) / state.job_count;
  const progress = Math.min(1, 0.01 + done);
  const elapsedSeconds = (now - (current.startedAt ?? current.acceptedAt)) / 1000;
  const eta =
    current.progress?.etaSeconds ?? Math.max(0, elapsedSeconds / progress - elapsedSeconds);
  return {
    progress,
    eta_relative: eta,
    state,
    current_image: skipsImage ? null : current.preview,
    textinfo:
      preparation(current) === null
        ? current.progress?.message || null
        : `${current.progress?.message}${timeLeft(current.progress?.etaSeconds ?? null)}`,
  };
}
