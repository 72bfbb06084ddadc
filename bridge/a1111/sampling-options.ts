import {
  EMPHASIS_MODES,
  type GenerationInput,
  type SamplingOptions,
} from '../../protocol/generation.ts';
import type { Options } from './options.ts';

/** A1111's options by the names that a job has for them. */
const SAMPLING_KEYS: Readonly<Record<string, keyof SamplingOptions>> = {
  sigma_min: 'sigmaMin',
  sigma_max: 'sigmaMax',
  rho: 'rho',
  always_discard_next_to_last_sigma: 'alwaysDiscardNextToLastSigma',
  sgm_noise_multiplier: 'sgmNoiseMultiplier',
  img2img_fix_steps: 'img2imgFixSteps',
  img2img_extra_noise: 'img2imgExtraNoise',
  s_churn: 'sChurn',
  s_tmin: 'sTmin',
  s_tmax: 'sTmax',
  s_noise: 'sNoise',
  uni_pc_variant: 'uniPcVariant',
  uni_pc_skip_type: 'uniPcSkipType',
  uni_pc_order: 'uniPcOrder',
  uni_pc_lower_order_final: 'isUniPcLowerOrderFinal',
  enable_quantization: 'isQuantized',
  s_min_uncond_all: 'isMinUncondOnAllSteps',
  skip_early_cond: 'skipEarlyCond',
  use_downcasted_alpha_bar: 'downcastAlphas',
  use_old_karras_scheduler_sigmas: 'useOldKarrasSigmas',
  beta_dist_alpha: 'betaDistAlpha',
  beta_dist_beta: 'betaDistBeta',
};

/** Of A1111's two ways of padding the older one wins. */
function uncondPadding(options: Options) {
  if (options.pad_cond_uncond_v0 === true) return 'pad-v0';
  return options.pad_cond_uncond === true ? 'pad' : 'separate';
}

function cropSide(value: unknown): number {
  return typeof value === 'number' ? Math.trunc(value) : 0;
}

function score(value: unknown, usual: number): number {
  return typeof value === 'number' ? value : usual;
}

/** What the options say about sampling and prompts, as a job's parameters. Values were checked when they were set. */
export function samplingOptionsOf(options: Options) {
  const sampling: Record<string, unknown> = {
    zeroTerminalSnr: options.sd_noise_schedule === 'Zero Terminal SNR',
  };
  for (const [key, name] of Object.entries(SAMPLING_KEYS)) {
    if (options[key] !== undefined) sampling[name] = options[key];
  }
  if (typeof sampling.uniPcOrder === 'number')
    sampling.uniPcOrder = Math.trunc(sampling.uniPcOrder);
  const comma = options.comma_padding_backtrack;
  return {
    sampling,
    emphasis: EMPHASIS_MODES.find((mode) => mode === options.emphasis) ?? 'Original',
    commaPadding: typeof comma === 'number' ? Math.trunc(comma) : 20,
    useOldScheduling: options.use_old_scheduling === true,
    countsSecondOrderOnce: options.dont_fix_second_order_samplers_schedule === true,
    usesOldEmphasis: options.use_old_emphasis_implementation === true,
    cropTop: cropSide(options.sdxl_crop_top),
    cropLeft: cropSide(options.sdxl_crop_left),
    aestheticScores: {
      positive: score(options.sdxl_refiner_high_aesthetic_score, 6),
      negative: score(options.sdxl_refiner_low_aesthetic_score, 2.5),
    },
    uncondPadding: uncondPadding(options),
    correctsColors: options.img2img_color_correction === true,
  } satisfies GenerationInput;
}
