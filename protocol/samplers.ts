/**
 * Names of samplers and schedulers as A1111 v1.10.1 lists them; no maths.
 * Order is A1111's: clients show it as it comes.
 */

export const SAMPLER_NAMES = [
  'DPM++ 2M',
  'DPM++ SDE',
  'DPM++ 2M SDE',
  'DPM++ 2M SDE Heun',
  'DPM++ 2S a',
  'DPM++ 3M SDE',
  'Euler a',
  'Euler',
  'LMS',
  'Heun',
  'DPM2',
  'DPM2 a',
  'DPM fast',
  'DPM adaptive',
  'Restart',
  'DDIM',
  'DDIM CFG++',
  'PLMS',
  'UniPC',
  'LCM',
] as const;
export type SamplerName = (typeof SAMPLER_NAMES)[number];

export const SCHEDULER_NAMES = [
  'automatic',
  'uniform',
  'karras',
  'exponential',
  'polyexponential',
  'sgm_uniform',
  'kl_optimal',
  'align_your_steps',
  'simple',
  'normal',
  'ddim',
  'beta',
] as const;
export type SchedulerName = (typeof SCHEDULER_NAMES)[number];

/** What A1111's `/sdapi/v1/samplers` tells of a sampler, and what the engine has to know of it. */
export interface SamplerInfo {
  readonly name: SamplerName;
  readonly aliases: readonly string[];
  /** The schedule that `automatic` means for it; null is uniform. */
  readonly defaultScheduler: SchedulerName | null;
  /** Two model calls a step. */
  readonly isSecondOrder: boolean;
  readonly usesEnsd: boolean;
  readonly usesBrownianNoise: boolean;
  readonly discardsNextToLastSigma: boolean;
  readonly solverType: 'heun' | null;
}

function info(
  name: SamplerName,
  aliases: readonly string[],
  options: Partial<Omit<SamplerInfo, 'name' | 'aliases'>> = {},
): SamplerInfo {
  return {
    name,
    aliases,
    defaultScheduler: null,
    isSecondOrder: false,
    usesEnsd: false,
    usesBrownianNoise: false,
    discardsNextToLastSigma: false,
    solverType: null,
    ...options,
  };
}

export const SAMPLERS: readonly SamplerInfo[] = [
  info('DPM++ 2M', ['k_dpmpp_2m'], { defaultScheduler: 'karras' }),
  info('DPM++ SDE', ['k_dpmpp_sde'], {
    defaultScheduler: 'karras',
    isSecondOrder: true,
    usesBrownianNoise: true,
  }),
  info('DPM++ 2M SDE', ['k_dpmpp_2m_sde'], {
    defaultScheduler: 'exponential',
    usesBrownianNoise: true,
  }),
  info('DPM++ 2M SDE Heun', ['k_dpmpp_2m_sde_heun'], {
    defaultScheduler: 'exponential',
    usesBrownianNoise: true,
    solverType: 'heun',
  }),
  info('DPM++ 2S a', ['k_dpmpp_2s_a'], {
    defaultScheduler: 'karras',
    isSecondOrder: true,
    usesEnsd: true,
  }),
  info('DPM++ 3M SDE', ['k_dpmpp_3m_sde'], {
    defaultScheduler: 'exponential',
    usesBrownianNoise: true,
    discardsNextToLastSigma: true,
  }),
  info('Euler a', ['k_euler_a', 'k_euler_ancestral'], { usesEnsd: true }),
  info('Euler', ['k_euler']),
  info('LMS', ['k_lms']),
  info('Heun', ['k_heun'], { isSecondOrder: true }),
  info('DPM2', ['k_dpm_2'], {
    defaultScheduler: 'karras',
    isSecondOrder: true,
    discardsNextToLastSigma: true,
  }),
  info('DPM2 a', ['k_dpm_2_a'], {
    defaultScheduler: 'karras',
    isSecondOrder: true,
    usesEnsd: true,
    discardsNextToLastSigma: true,
  }),
  info('DPM fast', ['k_dpm_fast'], { usesEnsd: true }),
  info('DPM adaptive', ['k_dpm_ad'], { usesEnsd: true }),
  info('Restart', ['restart'], { defaultScheduler: 'karras', isSecondOrder: true }),
  info('DDIM', ['ddim']),
  info('DDIM CFG++', ['ddim_cfgpp']),
  info('PLMS', ['plms']),
  info('UniPC', ['unipc']),
  info('LCM', ['k_lcm']),
];

/** One schedule: how many steps become sigmas. */
export interface SchedulerInfo {
  readonly name: SchedulerName;
  readonly label: string;
  readonly aliases: readonly string[] | null;
  /** -1 where the schedule has none. */
  readonly defaultRho: number;
  readonly needsInnerModel: boolean;
}

function scheduler(
  name: SchedulerName,
  label: string,
  { aliases = null, defaultRho = -1, needsInnerModel = false }: Partial<SchedulerInfo> = {},
): SchedulerInfo {
  return { name, label, aliases, defaultRho, needsInnerModel };
}

export const SCHEDULERS: readonly SchedulerInfo[] = [
  scheduler('automatic', 'Automatic'),
  scheduler('uniform', 'Uniform', { needsInnerModel: true }),
  scheduler('karras', 'Karras', { defaultRho: 7 }),
  scheduler('exponential', 'Exponential'),
  scheduler('polyexponential', 'Polyexponential', { defaultRho: 1 }),
  scheduler('sgm_uniform', 'SGM Uniform', { aliases: ['SGMUniform'], needsInnerModel: true }),
  scheduler('kl_optimal', 'KL Optimal'),
  scheduler('align_your_steps', 'Align Your Steps'),
  scheduler('simple', 'Simple', { needsInnerModel: true }),
  scheduler('normal', 'Normal', { needsInnerModel: true }),
  scheduler('ddim', 'DDIM', { needsInnerModel: true }),
  scheduler('beta', 'Beta', { needsInnerModel: true }),
];

/** The label that infotexts and menus show for a scheduler's name. */
export function schedulerLabel(name: SchedulerName): string {
  return SCHEDULERS.find((entry) => entry.name === name)?.label ?? name;
}

/** Facts of a sampler by its exact name. */
export function samplerInfo(name: SamplerName): SamplerInfo {
  const found = SAMPLERS.find((entry) => entry.name === name);
  if (!found) throw new Error(`no sampler ${name}`);
  return found;
}
