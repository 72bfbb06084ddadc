import type { GenerationParams } from '../../../protocol/generation.ts';
import { type SamplerName, type SchedulerName, samplerInfo } from '../../../protocol/samplers.ts';
import { type Img2imgSteps, img2imgSigmas, img2imgSteps } from './img2img-steps.ts';
import { at } from './indexing.ts';
import type { InfotextExtras } from './infotext-extras.ts';
import type { StartMix } from './latents.ts';
import type { NoiseSchedule } from './noise-schedule.ts';
import {
  isTimestepSampler,
  type SigmaRunOptions,
  type SigmaSamplerName,
  type TimestepRunOptions,
  type TimestepSamplerName,
} from './samplers/run-sampler.ts';
import type { UniPcOptions } from './samplers/timestep-sampler.ts';
import {
  computeSigmas,
  computeTimesteps,
  type SchedulerSettings,
} from './schedulers/compute-sigmas.ts';
import { assertSteps } from './schedulers/curves.ts';

/** A1111's settings that have a say in sampling. */
export interface SamplingSettings extends SchedulerSettings {
  /** Start noise times sqrt(1 + sigma^2) instead of sigma. */
  readonly sgmNoiseMultiplier: boolean;
  readonly img2imgFixSteps: boolean;
  /** Noise added to img2img's start on top of the schedule's. */
  readonly img2imgExtraNoise: number;
  readonly etaAncestral: number;
  readonly etaDdim: number;
  readonly sChurn: number;
  readonly sTmin: number;
  /** 0 means no limit. */
  readonly sTmax: number;
  readonly sNoise: number;
  readonly uniPc: Partial<UniPcOptions>;
}

/** What a job says about its sampling; the fields are those of `GenerationParams`. */
export interface SamplingRequest {
  readonly sampler: SamplerName;
  readonly scheduler: SchedulerName;
  readonly steps: number;
  readonly mode: GenerationParams['mode'];
  readonly denoisingStrength?: number;
  /** The hires second pass names its steps, which are then made in full. */
  readonly givenSteps?: number | null;
  /** null is the setting's value, which is 1 for ancestral samplers and 0 for DDIM. */
  readonly eta?: number | null;
  readonly sChurn?: number;
  readonly sTmin?: number;
  readonly sTmax?: number;
  readonly sNoise?: number;
  /** img2img: scales the start noise; null or 1 leaves it. */
  readonly initialNoiseMultiplier?: number | null;
  readonly isSdxl?: boolean;
  readonly settings?: Partial<SamplingSettings>;
}

interface PlanBase {
  /** How the start latents are mixed. */
  readonly start: StartMix;
  /** Steps that progress counts; DPM adaptive may make another number. */
  readonly steps: number;
  /** Model calls as A1111 counts them for "Skip early CFG": twice the steps for second-order samplers. */
  readonly totalCalls: number;
  /** What the choice adds to the infotext, in A1111's order. */
  readonly infotext: InfotextExtras;
}

/** A run over sigmas. */
export interface SigmaPlan extends PlanBase {
  readonly kind: 'sigma';
  readonly sampler: SigmaSamplerName;
  readonly sigmas: number[];
  /** Ends of the whole schedule, between which the Brownian tree spans; `min` is above 0. */
  readonly sigmaRange: { readonly min: number; readonly max: number };
  readonly options: SigmaRunOptions;
}

/** A run over timesteps. */
export interface TimestepPlan extends PlanBase {
  readonly kind: 'timestep';
  readonly sampler: TimestepSamplerName;
  /** Rising. */
  readonly timesteps: number[];
  readonly options: TimestepRunOptions;
}

export type SamplingPlan = SigmaPlan | TimestepPlan;

/**
 * Settles what a job's sampling does, as A1111's samplers settle it before they start.
 *
 * @throws GenerationError `invalid-request` where steps or strength make no schedule
 */
export function createSamplingPlan(
  request: SamplingRequest,
  schedule: NoiseSchedule,
): SamplingPlan {
  assertSteps(request.steps, { min: 1 });
  return isTimestepSampler(request.sampler)
    ? createTimestepPlan(request.sampler, request, schedule)
    : createSigmaPlan(request.sampler, request, schedule);
}

/** Steps of the schedule and the start in it; null in txt2img, which uses all of it. */
function img2imgStepsOf({
  mode,
  steps,
  denoisingStrength = 0.75,
  givenSteps = null,
  settings = {},
}: SamplingRequest): Img2imgSteps | null {
  if (mode === 'txt2img') return null;
  const hasExactSteps = settings.img2imgFixSteps ?? false;
  return img2imgSteps({ steps, denoisingStrength, givenSteps, hasExactSteps });
}

/** How img2img starts: the picture and the noise at the schedule's levels, changed by the noise settings. */
function img2imgStart(
  signal: number,
  noise: number,
  { settings = {}, initialNoiseMultiplier }: SamplingRequest,
  infotext: InfotextExtras,
): StartMix {
  const multiplier = initialNoiseMultiplier ?? 1;
  const extra = settings.img2imgExtraNoise ?? 0;
  if (extra > 0) infotext['Extra noise'] = extra;
  return { signal, noise: (noise + extra * signal) * multiplier };
}

/** A1111 notes the multiplier before it makes the schedule. */
function multiplierInfotext({ mode, initialNoiseMultiplier }: SamplingRequest): InfotextExtras {
  const multiplier = initialNoiseMultiplier ?? 1;
  return mode === 'img2img' && multiplier !== 1 ? { 'Noise multiplier': multiplier } : {};
}

function createSigmaPlan(
  sampler: SigmaSamplerName,
  request: SamplingRequest,
  schedule: NoiseSchedule,
): SigmaPlan {
  const { settings = {}, isSdxl = false, scheduler } = request;
  const img2img = img2imgStepsOf(request);
  const whole = computeSigmas({
    schedule,
    sampler,
    scheduler,
    steps: img2img?.scheduleSteps ?? request.steps,
    isSdxl,
    settings,
  });
  const infotext = { ...multiplierInfotext(request), ...whole.infotext };
  const cut = img2img ? img2imgSigmas(whole.sigmas, img2img) : whole.sigmas;
  const first = at(cut, 0);
  const start = img2img
    ? img2imgStart(1, first, request, infotext)
    : txt2imgStart(first, settings.sgmNoiseMultiplier ?? false, infotext);
  const options = {
    ...sigmaOptions(sampler, request, infotext),
    ...(sampler === 'DPM fast' ? { modelCalls: img2img ? cut.length - 1 : request.steps } : {}),
  };
  const steps = img2img ? img2img.tEnc + 1 : request.steps;
  return {
    kind: 'sigma',
    sampler,
    sigmas: solverEnds(sampler, cut, schedule, img2img !== null) ?? cut,
    sigmaRange: positiveRange(whole.sigmas),
    start,
    steps,
    totalCalls: samplerInfo(sampler).isSecondOrder ? steps * 2 : steps,
    options,
    infotext,
  };
}

function txt2imgStart(
  sigma: number,
  isSgmNoiseMultiplier: boolean,
  infotext: InfotextExtras,
): StartMix {
  if (!isSgmNoiseMultiplier) return { signal: 0, noise: sigma };
  infotext['SGM noise multiplier'] = true;
  return { signal: 0, noise: Math.sqrt(1 + sigma ** 2) };
}

function positiveRange(sigmas: readonly number[]): { min: number; max: number } {
  const positive = sigmas.filter((sigma) => sigma > 0);
  return {
    min: positive.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
    max: positive.reduce((a, b) => Math.max(a, b), 0),
  };
}

/**
 * DPM fast and DPM adaptive go from one level to another and make their own steps between: in txt2img the
 * checkpoint's own ends whatever the schedule, in img2img those of the cut schedule, without its last sigma.
 */
function solverEnds(
  sampler: SigmaSamplerName,
  cut: readonly number[],
  { sigmaMin, sigmaMax }: NoiseSchedule,
  isImg2img: boolean,
): number[] | null {
  if (sampler !== 'DPM fast' && sampler !== 'DPM adaptive') return null;
  if (cut.length < 2) return null;
  return isImg2img ? [at(cut, 0), at(cut, cut.length - 2)] : [sigmaMax, sigmaMin];
}

/** Samplers whose churn, and those whose noise scale, a job may set (A1111's `sampler_extra_params`). */
const CHURNING: readonly SamplerName[] = ['Euler', 'Heun', 'DPM2'];
const NOISE_SCALED: readonly SamplerName[] = [
  ...CHURNING,
  'DPM2 a',
  'DPM fast',
  'DPM++ 2S a',
  'DPM++ SDE',
  'DPM++ 2M SDE',
  'DPM++ 2M SDE Heun',
  'DPM++ 3M SDE',
];
const WITH_ETA: readonly SamplerName[] = [
  'Euler a',
  'DPM2 a',
  'DPM fast',
  'DPM adaptive',
  'DPM++ 2S a',
  'DPM++ SDE',
  'DPM++ 2M SDE',
  'DPM++ 2M SDE Heun',
  'DPM++ 3M SDE',
];

/** Options a sampler runs with. A setting that is not at its default wins over the job and is written down. */
function sigmaOptions(
  sampler: SigmaSamplerName,
  { settings = {}, ...request }: SamplingRequest,
  infotext: InfotextExtras,
): SigmaRunOptions {
  const options: { -readonly [K in keyof SigmaRunOptions]: SigmaRunOptions[K] } = {};
  if (WITH_ETA.includes(sampler)) {
    options.eta = request.eta ?? settings.etaAncestral ?? 1;
    if (options.eta !== 1) infotext.Eta = options.eta;
  }
  const pick = (label: string, setting: number, byDefault: number, fromJob: number) => {
    if (setting === byDefault) return fromJob;
    infotext[label] = setting;
    return setting;
  };
  if (CHURNING.includes(sampler)) {
    options.sChurn = pick('Sigma churn', settings.sChurn ?? 0, 0, request.sChurn ?? 0);
    options.sTmin = pick('Sigma tmin', settings.sTmin ?? 0, 0, request.sTmin ?? 0);
    const sTmax = pick('Sigma tmax', settings.sTmax ?? 0, 0, request.sTmax ?? 0);
    options.sTmax = sTmax === 0 ? Number.POSITIVE_INFINITY : sTmax;
  }
  if (NOISE_SCALED.includes(sampler)) {
    options.sNoise = pick('Sigma noise', settings.sNoise ?? 1, 1, request.sNoise ?? 1);
  }
  return options;
}

function createTimestepPlan(
  sampler: TimestepSamplerName,
  request: SamplingRequest,
  { alphasCumprod }: NoiseSchedule,
): TimestepPlan {
  const { settings = {} } = request;
  const img2img = img2imgStepsOf(request);
  const whole = computeTimesteps({
    trainSteps: alphasCumprod.length,
    steps: img2img?.scheduleSteps ?? request.steps,
    alwaysDiscardNextToLastSigma: settings.alwaysDiscardNextToLastSigma ?? false,
  });
  const infotext = { ...multiplierInfotext(request), ...whole.infotext };
  let start: StartMix = { signal: 0, noise: 1 };
  let { timesteps } = whole;
  if (img2img) {
    const alpha = timesteps.length > 0 ? at(alphasCumprod, at(timesteps, img2img.tEnc)) : 1;
    start = img2imgStart(Math.sqrt(alpha), Math.sqrt(1 - alpha), request, infotext);
    timesteps = timesteps.slice(0, img2img.tEnc);
  }
  const hasEta = sampler === 'DDIM' || sampler === 'DDIM CFG++';
  const eta = hasEta ? (request.eta ?? settings.etaDdim ?? 0) : 0;
  if (eta !== 0) infotext['Eta DDIM'] = eta;
  const steps = img2img ? img2img.tEnc + 1 : request.steps;
  return {
    kind: 'timestep',
    sampler,
    timesteps,
    start,
    steps,
    totalCalls: samplerInfo(sampler).isSecondOrder ? steps * 2 : steps,
    options: { eta, uniPc: settings.uniPc ?? {}, isImg2img: img2img !== null },
    infotext,
  };
}
