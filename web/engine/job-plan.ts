import { GenerationError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { InfotextInput } from '../../protocol/infotext-values.ts';
import { samplerInfo } from '../../protocol/samplers.ts';
import type { ModelDescription } from '../compiler/model.ts';
import { type HiresTarget, hiresInfotext, hiresSize, hiresTarget } from './hires.ts';
import type { PassSteps } from './prompt/plan.ts';
import type { InfotextExtras } from './sampling/infotext-extras.ts';
import {
  createNoiseSchedule,
  type NoiseSchedule,
  noiseScheduleInfotext,
} from './sampling/noise-schedule.ts';
import {
  createSamplingPlan,
  type SamplingPlan,
  type SamplingSettings,
} from './sampling/sampling-plan.ts';

export interface PixelSize {
  readonly width: number;
  readonly height: number;
}

/** A second pass. */
export interface HiresPlan extends PixelSize {
  readonly target: HiresTarget;
  readonly sampling: SamplingPlan;
}

/** What a job does, settled before any of it is done. */
export interface JobPlan extends PixelSize {
  readonly schedule: NoiseSchedule;
  readonly sampling: SamplingPlan;
  readonly hires: HiresPlan | null;
  /** Pictures of one batch. */
  readonly pictures: number;
  /** Infotext keys of the second pass. */
  readonly hiresInfotext: Readonly<Record<string, InfotextInput>>;
  /** Infotext keys of schedule and samplers. */
  readonly infotext: InfotextExtras;
}

/** Settles sizes, schedules and samplers. Throws GenerationError for what makes no picture. */
export function planJob(params: GenerationParams, description: ModelDescription): JobPlan {
  const { vaeFactor } = description;
  const size = realSize(params, vaeFactor);
  const { downcastAlphas } = params.sampling;
  const zeroTerminalSnr = params.sampling.zeroTerminalSnr;
  const schedule = createNoiseSchedule({
    ...description,
    downcastAlphas,
    zeroTerminalSnr: zeroTerminalSnr || description.zeroTerminalSnr,
  });
  const request = {
    ...params,
    mode: params.mode === 'img2img' ? ('img2img' as const) : ('txt2img' as const),
    isSdxl: description.family === 'sdxl',
    settings: samplingSettings(params),
  };
  const sampling = createSamplingPlan(request, schedule);
  const { hires: asked } = params;
  const target = asked && params.mode === 'txt2img' ? hiresTarget(asked, size, vaeFactor) : null;
  const hires: HiresPlan | null =
    asked && target
      ? {
          ...checkedSize(hiresSize(target, vaeFactor), vaeFactor),
          target,
          sampling: createSamplingPlan(
            {
              ...request,
              mode: 'img2img',
              initialNoiseMultiplier: 1,
              sampler: asked.sampler ?? params.sampler,
              scheduler: asked.scheduler ?? params.scheduler,
              denoisingStrength: asked.denoisingStrength,
              givenSteps: asked.steps > 0 ? asked.steps : params.steps,
            },
            schedule,
          ),
        }
      : null;
  const scheduleOf = (plan: SamplingPlan | undefined) => plan?.infotext['Schedule type'] ?? null;
  return {
    ...size,
    schedule,
    sampling,
    hires,
    pictures: params.initImages.length > 1 ? params.initImages.length : params.batchSize,
    hiresInfotext: target
      ? hiresInfotext(
          params,
          { first: scheduleOf(sampling), second: scheduleOf(hires?.sampling) },
          target,
        )
      : {},
    infotext: {
      ...noiseScheduleInfotext({ downcastAlphas, zeroTerminalSnr }),
      ...secondary(hires?.sampling.infotext ?? {}),
      ...sampling.infotext,
    },
  };
}

/** The second pass's schedule has a key of its own. */
function secondary({ 'Schedule type': _, ...rest }: InfotextExtras): InfotextExtras {
  return rest;
}

function samplingSettings({ sampling }: GenerationParams): Partial<SamplingSettings> {
  const {
    uniPcVariant: variant,
    uniPcSkipType: skipType,
    uniPcOrder: order,
    ...settings
  } = sampling;
  const isLowerOrderFinal = sampling.isUniPcLowerOrderFinal;
  return { ...settings, uniPc: { variant, skipType, order, isLowerOrderFinal } };
}

/** The steps over which prompts are laid. */
export function promptSteps({
  steps,
  sampler,
  countsSecondOrderOnce,
}: Pick<GenerationParams, 'steps' | 'sampler' | 'countsSecondOrderOnce'>): PassSteps {
  return { steps, isSecondOrder: samplerInfo(sampler).isSecondOrder && !countsSecondOrderOnce };
}

/** The largest pictures that a job holds at once. */
export function largestSize(params: GenerationParams, vaeFactor: number): PixelSize {
  const size = realSize(params, vaeFactor);
  if (!params.hires || params.mode !== 'txt2img') return size;
  const second = hiresTarget(params.hires, size, vaeFactor);
  return second.width * second.height > size.width * size.height
    ? { width: second.latent.width * vaeFactor, height: second.latent.height * vaeFactor }
    : size;
}

/** The size that is really made: sides are rounded down to whole latents. */
export function realSize({ width, height }: PixelSize, vaeFactor: number): PixelSize {
  return checkedSize(
    { width: width - (width % vaeFactor), height: height - (height % vaeFactor) },
    vaeFactor,
    { width, height },
  );
}

function checkedSize(size: PixelSize, vaeFactor: number, asked: PixelSize = size): PixelSize {
  if (size.width > 0 && size.height > 0) return size;
  throw new GenerationError(
    'invalid-request',
    `${asked.width}×${asked.height} is too small for this checkpoint: each side needs at least ${vaeFactor} pixels.`,
  );
}
