/** One key of A1111's options as Easel serves it. */
export interface OptionEntry {
  readonly key: string;
  readonly default: string | number | boolean | readonly string[];
  /** `works`: as in A1111; `no effect`: kept and served, nothing reads it; `read only`: served, never written. */
  readonly status: 'works' | 'no effect' | 'read only';
  /** What it does here, or why not; a table cell of docs/a1111-compatibility.md. */
  readonly about: string;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
}

const works = (
  key: string,
  fallback: OptionEntry['default'],
  about: string,
  limits: Pick<OptionEntry, 'choices' | 'min' | 'max'> = {},
): OptionEntry => ({ key, default: fallback, status: 'works', about, ...limits });

const inert = (key: string, fallback: OptionEntry['default'], about: string): OptionEntry => ({
  key,
  default: fallback,
  status: 'no effect',
  about,
});

const readOnly = (key: string, fallback: OptionEntry['default'], about: string): OptionEntry => ({
  key,
  default: fallback,
  status: 'read only',
  about,
});

const NO_PATHS = 'the API writes no path; use the command line';
const NO_MERGING =
  'a picture is made of all its tokens: merging changes a compiled graph’s shapes, and the picture with them';
const TAB_DECIDES = 'the tab decides';

/**
 * The options that clients read or write, with A1111's defaults. `sd_model_checkpoint` and `sd_checkpoint_hash` are
 * worked out on reading. `forge_preset` must never be here: its presence makes clients speak Forge.
 */
export const OPTIONS: readonly OptionEntry[] = [
  works('samples_save', true, 'false: pictures are not saved'),
  works('samples_format', 'png', 'format of the reply and of the saved file', {
    choices: ['png', 'jpg', 'jpeg', 'webp'],
  }),
  works(
    'samples_filename_pattern',
    '',
    'A1111’s placeholders; empty is `HHMMSS_<first words>_<seed>`. Never leads out of the output folder',
  ),
  inert('save_images_add_number', true, 'a number is added where a name is taken'),
  works(
    'grid_save',
    true,
    'scripts’ grids, and one of a request’s pictures where it has `save_images`',
  ),
  works('grid_format', 'png', 'format of grids', {
    choices: ['png', 'jpg', 'jpeg', 'webp'],
  }),
  inert('return_grid', true, 'without a script the first picture is never a grid'),
  works('grid_only_if_multiple', true, 'false: a grid of one picture is saved too'),
  works('grid_prevent_empty_spots', false, 'true: as many rows as leave no spot black'),
  works('n_rows', -1, 'rows of a saved grid: -1 is about square, 0 is batch_size', {
    min: -1,
    max: 16,
  }),
  inert('grid_extended_filename', false, 'always so'),
  inert('grid_save_to_dirs', true, '`save_to_dirs` holds for grids too'),
  works('enable_pnginfo', true, 'false: no infotext in the files'),
  works('save_txt', false, 'true: a text file with the infotext beside each picture'),
  works('jpeg_quality', 80, 'of JPEG and WebP', { min: 1, max: 100 }),
  works('webp_lossless', false, 'WebP without loss, where the tab’s browser can (Chromium’s)'),
  inert('img_max_size_mp', 200, 'pictures are never that large'),
  inert('save_images_before_face_restoration', false, 'no face restoration'),
  works('save_images_before_highres_fix', false, 'beside the picture, with that in its name'),
  works('save_images_before_color_correction', false, 'beside the picture, with that in its name'),
  works('save_mask', false, 'the blurred mask, beside the picture'),
  works('save_mask_composite', false, 'the redrawn part alone, beside the picture'),
  works('return_mask', false, 'the blurred mask, behind its picture in the reply'),
  works('return_mask_composite', false, 'the redrawn part alone, behind its picture in the reply'),
  works('overlay_inpaint', true, 'false: nothing is laid over what was made'),
  works('control_net_no_detectmap', false, 'true: a reply has no ControlNet maps'),
  works('control_net_detectmap_autosaving', false, 'ControlNet maps are saved beside the picture'),
  inert('save_init_img', false, 'the client has them'),
  inert('save_incomplete_images', true, 'always so: nothing that was made is lost'),
  readOnly('outdir_samples', '', NO_PATHS),
  readOnly('outdir_txt2img_samples', '', NO_PATHS),
  readOnly('outdir_img2img_samples', '', NO_PATHS),
  readOnly('outdir_extras_samples', '', NO_PATHS),
  readOnly('outdir_grids', '', NO_PATHS),
  readOnly('outdir_txt2img_grids', '', NO_PATHS),
  readOnly('outdir_img2img_grids', '', NO_PATHS),
  readOnly('outdir_save', '', NO_PATHS),
  works(
    'directories_filename_pattern',
    '',
    'folders below the output folder; empty is the day’s, `YYYYMMDD`',
  ),
  works('directories_max_prompt_words', 8, 'words of `[prompt_words]`', { min: 1, max: 20 }),
  works('save_to_dirs', true, 'false: no folder below the output folder'),
  readOnly('temp_dir', '', NO_PATHS),
  readOnly('clean_temp_dir_at_start', false, NO_PATHS),
  works('sd_model_checkpoint', '', 'the checkpoint of the next jobs; the tab loads it at once'),
  readOnly('sd_checkpoint_hash', '', 'SHA-256 of the checkpoint where it is known'),
  inert('sd_checkpoint_cache', 0, TAB_DECIDES),
  works(
    'sd_vae',
    'Automatic',
    'Automatic, None, or a name that sd-vae lists; one called as the checkpoint is found by Automatic',
  ),
  inert('sd_vae_checkpoint_cache', 0, TAB_DECIDES),
  inert('sd_vae_as_default', true, 'only one VAE is ever loaded'),
  works('sd_vae_encode_method', 'Full', 'TAESD: one of models/VAE-approx, where it is there', {
    choices: ['Full', 'TAESD'],
  }),
  works('sd_vae_decode_method', 'Full', 'TAESD: one of models/VAE-approx, where it is there', {
    choices: ['Full', 'TAESD'],
  }),
  inert('sd_unet', 'Automatic', 'the compiler makes the UNet'),
  works('sd_lora', 'None', 'a LoRA for every prompt that does not name it; None for no such one'),
  works('extra_networks_default_multiplier', 1, 'the strength of sd_lora', { min: -10, max: 10 }),
  inert(
    'sd_hypernetwork',
    'None',
    'hypernetworks are not supported; a prompt’s `<hypernet:…>` is left out, and said so',
  ),
  works('inpainting_mask_weight', 1, 'inpainting checkpoints: 1 hides the masked pixels', {
    min: 0,
    max: 1,
  }),
  works('initial_noise_multiplier', 1, 'img2img’s start noise', { min: 0, max: 1.5 }),
  works('img2img_extra_noise', 0, 'noise on top of the schedule’s', { min: 0, max: 1 }),
  works(
    'img2img_color_correction',
    false,
    'img2img’s pictures get back the colours of what they were made from',
  ),
  works('img2img_fix_steps', false, 'makes as many steps as are asked for'),
  works(
    'img2img_background_color',
    '#ffffff',
    'hex or a basic colour’s name; anything else is white',
  ),
  works('enable_quantization', false, 'rounds the UNet’s times'),
  works('emphasis', 'Original', 'how weights of a prompt count', {
    choices: ['Original', 'No norm', 'Ignore', 'None'],
  }),
  inert('enable_batch_seeds', true, 'always so'),
  works('comma_padding_backtrack', 20, 'tokens that may move with a comma', { min: 0, max: 74 }),
  works('CLIP_stop_at_last_layers', 1, 'clip skip', { min: 1, max: 12 }),
  inert('upcast_attn', false, TAB_DECIDES),
  works('randn_source', 'GPU', 'GPU and NV are the same numbers (Philox); CPU are PyTorch’s', {
    choices: ['GPU', 'CPU', 'NV'],
  }),
  works('tiling', false, 'pictures that continue into themselves, where a request does not say'),
  works('hires_fix_refiner_pass', 'second pass', 'in which pass the refiner takes over', {
    choices: ['first pass', 'second pass', 'both passes'],
  }),
  works('refiner_switch_by_sample_steps', false, 'the refiner takes over by steps, not by times'),
  inert('token_merging_ratio', 0, NO_MERGING),
  inert('token_merging_ratio_img2img', 0, NO_MERGING),
  inert('token_merging_ratio_hr', 0, NO_MERGING),
  works('sdxl_crop_top', 0, 'SDXL: what the UNet is told of the crop', { min: 0, max: 4096 }),
  works('sdxl_crop_left', 0, 'SDXL: what the UNet is told of the crop', { min: 0, max: 4096 }),
  works(
    'sdxl_refiner_low_aesthetic_score',
    2.5,
    'SDXL’s refiner: score under the negative prompt',
    {
      min: 0,
      max: 10,
    },
  ),
  works('sdxl_refiner_high_aesthetic_score', 6, 'SDXL’s refiner: score under the prompt', {
    min: 0,
    max: 10,
  }),
  works(
    'pad_cond_uncond',
    false,
    'fills the shorter of prompt and negative prompt with empty ones',
  ),
  works(
    'pad_cond_uncond_v0',
    false,
    'cuts the negative prompt to the prompt’s length, or repeats its last vector; wins over pad_cond_uncond',
  ),
  inert('batch_cond_uncond', true, TAB_DECIDES),
  works('s_min_uncond', 0, 'skips the negative prompt below this sigma', { min: 0, max: 15 }),
  works(
    'use_old_emphasis_implementation',
    false,
    'SD 1 checkpoints: brackets weigh token by token, and a prompt ends at 75 tokens; others take no notice, where A1111 fails',
  ),
  works('use_old_karras_scheduler_sigmas', false, 'every named schedule runs from 10 to 0.1'),
  inert(
    'no_dpmpp_sde_batch_determinism',
    false,
    'in A1111 a picture’s noise is then drawn at random for each batch, which no seed repeats',
  ),
  works(
    'hires_fix_use_firstpass_conds',
    false,
    'the second pass’s texts are encoded with the first pass’s LoRAs',
  ),
  works('use_old_scheduling', false, 'prompt editing as before 1.6'),
  works(
    'use_old_hires_fix_width_height',
    false,
    'hires fix: `width` and `height` are the second pass’s size',
  ),
  works(
    'dont_fix_second_order_samplers_schedule',
    false,
    'of A1111 before 1.6: prompt editing counts the steps of second order samplers once',
  ),
  works(
    'auto_backcompat',
    true,
    'a request’s `infotext` of an old version switches its old ways on',
  ),
  inert('interrogate_clip_num_beams', 1, 'no captioner'),
  works('add_model_hash_to_info', true, 'where the hash is known'),
  works('add_model_name_to_info', true, ''),
  works('add_vae_hash_to_info', true, 'where a VAE was chosen'),
  works('add_vae_name_to_info', true, 'where a VAE was chosen'),
  inert('add_user_name_to_info', false, 'there are no users'),
  works('add_version_to_infotext', true, ''),
  works('lora_add_hashes_to_infotext', true, ''),
  works('textual_inversion_add_hashes_to_infotext', true, ''),
  inert('show_progressbar', true, 'always'),
  works('live_previews_enable', true, 'false: no pictures in progress replies'),
  inert('live_previews_image_format', 'png', TAB_DECIDES),
  inert('show_progress_grid', true, TAB_DECIDES),
  works(
    'show_progress_every_n_steps',
    10,
    'steps between two live previews; below 1 there are none',
    {
      min: -1,
      max: 1000,
    },
  ),
  works(
    'show_progress_type',
    'Approx NN',
    'TAESD and Approx NN: a TAESD of models/VAE-approx, else Approx cheap; it and Full take a tenth of the time at most, Approx cheap in between',
    { choices: ['Full', 'Approx NN', 'Approx cheap', 'TAESD'] },
  ),
  inert('live_preview_refresh_period', 1000, TAB_DECIDES),
  inert('send_seed', true, 'a matter of A1111’s own page'),
  inert('send_size', true, 'a matter of A1111’s own page'),
  inert('face_restoration', false, 'no face restoration'),
  inert('face_restoration_model', 'CodeFormer', 'no face restoration'),
  inert('code_former_weight', 0.5, 'no face restoration'),
  inert('ESRGAN_tile', 192, TAB_DECIDES),
  inert('ESRGAN_tile_overlap', 8, TAB_DECIDES),
  works(
    'upscaler_for_img2img',
    'None',
    'enlarges init images that are too small; an unknown one is Lanczos, and said so',
  ),
  inert('hide_samplers', [], 'every sampler is listed'),
  works('eta_ddim', 0, 'eta of DDIM where a request gives none', { min: 0, max: 1 }),
  works('eta_ancestral', 1, 'eta of the other samplers where a request gives none', {
    min: 0,
    max: 1,
  }),
  inert('ddim_discretize', 'uniform', 'always uniform'),
  works('s_churn', 0, 'wins over the request once it is not the default', { min: 0, max: 100 }),
  works('s_tmin', 0, 'wins over the request once it is not the default', { min: 0, max: 10 }),
  works('s_tmax', 0, 'wins over the request once it is not the default', { min: 0, max: 999 }),
  works('s_noise', 1, 'wins over the request once it is not the default', { min: 0, max: 2 }),
  inert('k_sched_type', 'Automatic', 'the request’s scheduler decides'),
  works('sigma_min', 0, '0 is the checkpoint’s own', { min: 0, max: 1000 }),
  works('sigma_max', 0, '0 is the checkpoint’s own', { min: 0, max: 1000 }),
  works('rho', 0, '0 is the schedule’s own', { min: 0, max: 100 }),
  works('eta_noise_seed_delta', 0, 'ENSD', { min: 0, max: 2 ** 31 }),
  works('always_discard_next_to_last_sigma', false, ''),
  works('sgm_noise_multiplier', false, 'txt2img’s start noise'),
  works('uni_pc_variant', 'bh1', 'UniPC', { choices: ['bh1', 'bh2', 'vary_coeff'] }),
  works('uni_pc_skip_type', 'time_uniform', 'UniPC', {
    choices: ['time_uniform', 'time_quadratic', 'logSNR'],
  }),
  works('uni_pc_order', 3, 'UniPC', { min: 1, max: 50 }),
  works('uni_pc_lower_order_final', true, 'UniPC'),
  works('sd_noise_schedule', 'Default', 'noise schedule of the checkpoint', {
    choices: ['Default', 'Zero Terminal SNR'],
  }),
  works('use_downcasted_alpha_bar', false, 'half precision in the noise schedule'),
  works('beta_dist_alpha', 0.6, 'scheduler Beta', { min: 0.01, max: 1 }),
  works('beta_dist_beta', 0.6, 'scheduler Beta', { min: 0.01, max: 1 }),
  works('skip_early_cond', 0, 'share of the steps that goes without the negative prompt', {
    min: 0,
    max: 1,
  }),
  works('s_min_uncond_all', false, 's_min_uncond on every step'),
];

const BY_KEY = new Map(OPTIONS.map((entry) => [entry.key, entry]));

/** The table's entry for a key, or undefined for a key that Easel does not know. */
export function optionEntry(key: string): OptionEntry | undefined {
  return BY_KEY.get(key);
}
