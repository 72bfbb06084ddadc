import {
  type SamplerName,
  SCHEDULERS,
  type SchedulerName,
  samplerInfo,
  schedulerLabel,
} from '../../../../protocol/samplers.ts';
import type { InfotextExtras } from '../infotext-extras.ts';
import { createLcmSchedule } from '../lcm-schedule.ts';
import type { NoiseSchedule } from '../noise-schedule.ts';
import {
  alignYourStepsSigmas,
  assertSteps,
  exponentialSigmas,
  karrasSigmas,
  klOptimalSigmas,
  polyexponentialSigmas,
} from './curves.ts';
import {
  betaSigmas,
  ddimSigmas,
  normalSigmas,
  sgmUniformSigmas,
  simpleSigmas,
  uniformSigmas,
} from './trained-times.ts';

/** A1111's settings that change schedules; 0 means "the schedule's own". */
export interface SchedulerSettings {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  readonly rho: number;
  readonly useOldKarrasSigmas: boolean;
  readonly alwaysDiscardNextToLastSigma: boolean;
  readonly betaDistAlpha: number;
  readonly betaDistBeta: number;
}

const SCHEDULER_DEFAULTS: SchedulerSettings = {
  sigmaMin: 0,
  sigmaMax: 0,
  rho: 0,
  useOldKarrasSigmas: false,
  alwaysDiscardNextToLastSigma: false,
  betaDistAlpha: 0.6,
  betaDistBeta: 0.6,
};

export interface ComputedSigmas {
  /** Noise levels, falling; one more than the steps. */
  readonly sigmas: number[];
  readonly infotext: InfotextExtras;
}

/** The schedule that a sampler's `automatic` stands for. */
function resolveScheduler(sampler: SamplerName, scheduler: SchedulerName): SchedulerName {
  return scheduler === 'automatic'
    ? (samplerInfo(sampler).defaultScheduler ?? 'automatic')
    : scheduler;
}

/**
 * The sigmas of a job, as A1111's `get_sigmas` makes them.
 *
 * @param schedule the checkpoint's; the LCM sampler's sparser one is derived here
 * @param steps number of steps; 0 gives the end alone
 * @param isSdxl Align Your Steps has a table of its own for SDXL
 * @throws GenerationError `invalid-request` where steps are no whole number from 0
 */
export function computeSigmas({
  schedule: fullSchedule,
  sampler,
  scheduler,
  steps: givenSteps,
  isSdxl = false,
  settings = {},
}: {
  schedule: NoiseSchedule;
  sampler: SamplerName;
  scheduler: SchedulerName;
  steps: number;
  isSdxl?: boolean;
  settings?: Partial<SchedulerSettings>;
}): ComputedSigmas {
  assertSteps(givenSteps);
  const all = { ...SCHEDULER_DEFAULTS, ...settings };
  const infotext: InfotextExtras = {};
  const { discardsNextToLastSigma } = samplerInfo(sampler);
  if (all.alwaysDiscardNextToLastSigma && !discardsNextToLastSigma) {
    infotext['Discard penultimate sigma'] = true;
  }
  const isDiscarding = discardsNextToLastSigma || all.alwaysDiscardNextToLastSigma;
  const steps = givenSteps + (isDiscarding ? 1 : 0);
  const schedule = sampler === 'LCM' ? createLcmSchedule(fullSchedule) : fullSchedule;
  const resolved = resolveScheduler(sampler, scheduler);
  if (givenSteps === 0) return { sigmas: [0], infotext };
  const sigmas =
    resolved === 'automatic'
      ? uniformSigmas(steps, schedule)
      : namedSigmas(resolved, { schedule, steps, isSdxl, settings: all, infotext });
  if (isDiscarding) sigmas.splice(-2, 1);
  return { sigmas, infotext };
}

function namedSigmas(
  scheduler: Exclude<SchedulerName, 'automatic'>,
  {
    schedule,
    steps,
    isSdxl,
    settings,
    infotext,
  }: {
    schedule: NoiseSchedule;
    steps: number;
    isSdxl: boolean;
    settings: SchedulerSettings;
    infotext: InfotextExtras;
  },
): number[] {
  infotext['Schedule type'] = schedulerLabel(scheduler);
  let [sigmaMin, sigmaMax] = settings.useOldKarrasSigmas
    ? [0.1, 10]
    : [schedule.sigmaMin, schedule.sigmaMax];
  if (settings.sigmaMin !== 0 && settings.sigmaMin !== schedule.sigmaMin) {
    sigmaMin = settings.sigmaMin;
    infotext['Schedule min sigma'] = sigmaMin;
  }
  if (settings.sigmaMax !== 0 && settings.sigmaMax !== schedule.sigmaMax) {
    sigmaMax = settings.sigmaMax;
    infotext['Schedule max sigma'] = sigmaMax;
  }
  const defaultRho = SCHEDULERS.find((entry) => entry.name === scheduler)?.defaultRho ?? -1;
  let rho = defaultRho;
  if (defaultRho !== -1 && settings.rho !== 0 && settings.rho !== defaultRho) {
    rho = settings.rho;
    infotext['Schedule rho'] = rho;
  }
  switch (scheduler) {
    case 'uniform':
      return uniformSigmas(steps, schedule);
    case 'karras':
      return karrasSigmas(steps, sigmaMin, sigmaMax, rho);
    case 'exponential':
      return exponentialSigmas(steps, sigmaMin, sigmaMax);
    case 'polyexponential':
      return polyexponentialSigmas(steps, sigmaMin, sigmaMax, rho);
    case 'sgm_uniform':
      return sgmUniformSigmas(steps, schedule, sigmaMin, sigmaMax);
    case 'kl_optimal':
      return klOptimalSigmas(steps, sigmaMin, sigmaMax);
    case 'align_your_steps':
      return alignYourStepsSigmas(steps, isSdxl);
    case 'simple':
      return simpleSigmas(steps, schedule);
    case 'normal':
      return normalSigmas(steps, schedule, sigmaMin, sigmaMax);
    case 'ddim':
      return ddimSigmas(steps, schedule);
    case 'beta':
      infotext['Beta schedule alpha'] = settings.betaDistAlpha;
      infotext['Beta schedule beta'] = settings.betaDistBeta;
      return betaSigmas(steps, sigmaMin, sigmaMax, settings.betaDistAlpha, settings.betaDistBeta);
  }
}

/**
 * The timesteps of the timestep samplers (DDIM, PLMS, UniPC), rising: 1, 1 + floor(1000 / steps) and so on.
 * 20 steps give 20 timesteps, so 19 moves between them.
 */
export function computeTimesteps({
  trainSteps,
  steps: givenSteps,
  alwaysDiscardNextToLastSigma = false,
}: {
  trainSteps: number;
  steps: number;
  alwaysDiscardNextToLastSigma?: boolean;
}): { timesteps: number[]; infotext: InfotextExtras } {
  assertSteps(givenSteps);
  const steps = givenSteps + (alwaysDiscardNextToLastSigma ? 1 : 0);
  const stride = Math.max(Math.floor(trainSteps / steps), 1);
  const timesteps: number[] = [];
  for (let t = 0; t < trainSteps && givenSteps > 0; t += stride)
    timesteps.push(Math.min(t + 1, trainSteps - 1));
  const infotext: InfotextExtras = alwaysDiscardNextToLastSigma
    ? { 'Discard penultimate sigma': true }
    : {};
  return { timesteps, infotext };
}
