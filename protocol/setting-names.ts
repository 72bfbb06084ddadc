import { parsePythonFloat, parsePythonInt } from './python-text.ts';

/** A setting's value as options have it. */
export type SettingValue = string | number | boolean;

interface LabelledSetting {
  /** Name among A1111's options. */
  readonly setting: string;
  /** A1111's default, which also says the type. */
  readonly default: SettingValue;
  /** True for numbers that are floats, where the default does not show it. */
  readonly isFloat?: boolean;
}

function float(setting: string, value: number): LabelledSetting {
  return { setting, default: value, isFloat: true };
}

/** Infotext label to A1111 option, in A1111's order. */
export const SETTING_NAMES: ReadonlyMap<string, LabelledSetting> = new Map<string, LabelledSetting>(
  [
    ['Face restoration', { setting: 'face_restoration', default: false }],
    ['Model hash', { setting: 'sd_model_checkpoint', default: '' }],
    ['Emphasis', { setting: 'emphasis', default: 'Original' }],
    ['Clip skip', { setting: 'CLIP_stop_at_last_layers', default: 1 }],
    ['RNG', { setting: 'randn_source', default: 'GPU' }],
    ['Tiling', { setting: 'tiling', default: false }],
    ['Hires refiner', { setting: 'hires_fix_refiner_pass', default: 'second pass' }],
    ['VAE', { setting: 'sd_vae', default: 'Automatic' }],
    ['VAE Encoder', { setting: 'sd_vae_encode_method', default: 'Full' }],
    ['VAE Decoder', { setting: 'sd_vae_decode_method', default: 'Full' }],
    ['Conditional mask weight', float('inpainting_mask_weight', 1)],
    ['Noise multiplier', float('initial_noise_multiplier', 1)],
    ['Extra noise', float('img2img_extra_noise', 0)],
    ['NGMS', float('s_min_uncond', 0)],
    ['NGMS all steps', { setting: 's_min_uncond_all', default: false }],
    ['Token merging ratio', float('token_merging_ratio', 0)],
    ['Token merging ratio hr', float('token_merging_ratio_hr', 0)],
    ['Pad conds', { setting: 'pad_cond_uncond', default: false }],
    ['Pad conds v0', { setting: 'pad_cond_uncond_v0', default: false }],
    ['Old prompt editing timelines', { setting: 'use_old_scheduling', default: false }],
    ['Downcast alphas_cumprod', { setting: 'use_downcasted_alpha_bar', default: false }],
    [
      'Refiner switch by sampling steps',
      { setting: 'refiner_switch_by_sample_steps', default: false },
    ],
    ['Eta DDIM', float('eta_ddim', 0)],
    ['Eta', float('eta_ancestral', 1)],
    ['Sigma churn', float('s_churn', 0)],
    ['Sigma tmin', float('s_tmin', 0)],
    ['Sigma tmax', float('s_tmax', 0)],
    ['Sigma noise', float('s_noise', 1)],
    ['Schedule min sigma', float('sigma_min', 0)],
    ['Schedule max sigma', float('sigma_max', 0)],
    ['Schedule rho', float('rho', 0)],
    ['ENSD', { setting: 'eta_noise_seed_delta', default: 0 }],
    ['Discard penultimate sigma', { setting: 'always_discard_next_to_last_sigma', default: false }],
    ['SGM noise multiplier', { setting: 'sgm_noise_multiplier', default: false }],
    ['UniPC variant', { setting: 'uni_pc_variant', default: 'bh1' }],
    ['UniPC skip type', { setting: 'uni_pc_skip_type', default: 'time_uniform' }],
    ['UniPC order', { setting: 'uni_pc_order', default: 3 }],
    ['UniPC lower order final', { setting: 'uni_pc_lower_order_final', default: true }],
    ['Noise Schedule', { setting: 'sd_noise_schedule', default: 'Default' }],
    ['Skip Early CFG', float('skip_early_cond', 0)],
    ['Beta scheduler alpha', float('beta_dist_alpha', 0.6)],
    ['Beta scheduler beta', float('beta_dist_beta', 0.6)],
  ],
);

/** A label's value as its setting's type; null for a number that is none. Any text but "False" is true. */
function castValue(info: LabelledSetting, value: unknown): SettingValue | null {
  if (typeof info.default === 'boolean') return value !== 'False' && Boolean(value);
  if (typeof info.default === 'string') return String(value);
  return info.isFloat ? parsePythonFloat(String(value)) : parsePythonInt(String(value));
}

/** One setting that an infotext asks for. */
export interface SettingOverride {
  readonly label: string;
  readonly setting: string;
  readonly value: SettingValue;
}

/**
 * The settings in which an infotext's values differ from the present ones (A1111's defaults where `current` lacks one).
 * Values that are no number where one is needed are passed over.
 */
export function settingOverrides(
  values: Readonly<Record<string, unknown>>,
  current: Readonly<Record<string, unknown>> = {},
): SettingOverride[] {
  const overrides: SettingOverride[] = [];
  for (const [label, info] of SETTING_NAMES) {
    if (!Object.hasOwn(values, label) || values[label] === null) continue;
    const value = castValue(info, values[label]);
    const present = current[info.setting] ?? info.default;
    if (value !== null && value !== present) {
      overrides.push({ label, setting: info.setting, value });
    }
  }
  return overrides;
}

/** Settings from `Label: value` texts, as A1111's interface lists them; unknown labels are passed over. */
export function parseSettingPairs(pairs: readonly string[]): Record<string, SettingValue> {
  const values = new Map<string, string>();
  for (const pair of pairs) {
    const colon = pair.indexOf(':');
    if (colon >= 0) values.set(pair.slice(0, colon), pair.slice(colon + 1).trim());
  }
  const settings: Record<string, SettingValue> = {};
  for (const [label, info] of SETTING_NAMES) {
    const text = values.get(label);
    const value = text === undefined ? null : castValue(info, text);
    if (value !== null) settings[info.setting] = value;
  }
  return settings;
}
