import type { UniPcOptions } from '../../../web/engine/sampling/samplers/timestep-sampler.ts';
import type { SamplingSettings } from '../../../web/engine/sampling/sampling-plan.ts';

/** A1111's settings as the vectors name them. */
export type VectorOptions = Record<string, number | boolean | string>;

const NAMES: Record<string, keyof SamplingSettings> = {
  sigma_min: 'sigmaMin',
  sigma_max: 'sigmaMax',
  rho: 'rho',
  use_old_karras_scheduler_sigmas: 'useOldKarrasSigmas',
  always_discard_next_to_last_sigma: 'alwaysDiscardNextToLastSigma',
  beta_dist_alpha: 'betaDistAlpha',
  beta_dist_beta: 'betaDistBeta',
  sgm_noise_multiplier: 'sgmNoiseMultiplier',
  img2img_fix_steps: 'img2imgFixSteps',
  img2img_extra_noise: 'img2imgExtraNoise',
  eta_ancestral: 'etaAncestral',
  eta_ddim: 'etaDdim',
  s_churn: 'sChurn',
  s_tmin: 'sTmin',
  s_tmax: 'sTmax',
  s_noise: 'sNoise',
};
const UNI_PC_NAMES: Record<string, keyof UniPcOptions> = {
  uni_pc_variant: 'variant',
  uni_pc_skip_type: 'skipType',
  uni_pc_order: 'order',
  uni_pc_lower_order_final: 'isLowerOrderFinal',
};

export function settingsOf(options: VectorOptions = {}): Partial<SamplingSettings> {
  const settings: Record<string, unknown> = {};
  const uniPc: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    const [name, uniPcName] = [NAMES[key], UNI_PC_NAMES[key]];
    if (name) settings[name] = value;
    else if (uniPcName) uniPc[uniPcName] = value;
    else throw new Error(`the vectors use a setting that is not known here: ${key}`);
  }
  return { ...settings, uniPc };
}
