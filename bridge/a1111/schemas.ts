import { z } from 'zod';
import { GENERATION_LIMITS as LIMITS } from '../../protocol/generation.ts';
import * as field from './lenient.ts';

/**
 * Request bodies, named as A1111's OpenAPI components. A1111's own defaults live only here. What each field does is
 * written down once, in fields.ts; a test keeps the two lists equal.
 */

/** Base64 of a picture is never longer than the body limit allows anyway. */
export const MAX_IMAGE_CHARACTERS = 90_000_000;
const image = { maxLength: MAX_IMAGE_CHARACTERS };
const prompt = { maxLength: LIMITS.maxPromptCharacters };
const side = { min: LIMITS.minSide, max: LIMITS.maxSide };
const unit = { min: 0, max: 1 };

/** Fields that both generation routes of A1111 v1.10.1 take, in A1111's order. */
const commonFields = {
  prompt: field.text('', prompt),
  negative_prompt: field.text('', prompt),
  styles: field.textListOrNull({ maxItems: 100, maxLength: 1000 }),
  seed: field.seed(),
  subseed: field.seed(),
  subseed_strength: field.float(0, unit),
  seed_resize_from_h: field.integer(-1, { min: -1, max: LIMITS.maxSide }),
  seed_resize_from_w: field.integer(-1, { min: -1, max: LIMITS.maxSide }),
  sampler_name: field.nameOrNull(),
  scheduler: field.nameOrNull(),
  batch_size: field.integer(1, { min: 1, max: LIMITS.maxBatchSize }),
  n_iter: field.integer(1, { min: 1, max: LIMITS.maxBatchCount }),
  steps: field.integer(50, { min: 1, max: LIMITS.maxSteps }),
  cfg_scale: field.float(7, { min: 0, max: 100 }),
  width: field.integer(512, side),
  height: field.integer(512, side),
  restore_faces: field.booleanOrNull(),
  tiling: field.booleanOrNull(),
  do_not_save_samples: field.boolean(false),
  do_not_save_grid: field.boolean(false),
  eta: field.floatOrNull(unit),
  denoising_strength: field.floatOrNull(unit),
  s_min_uncond: field.floatOrNull({ min: 0, max: 15 }),
  s_churn: field.floatOrNull({ min: 0, max: 100 }),
  s_tmax: field.floatOrNull({ min: 0 }),
  s_tmin: field.floatOrNull({ min: 0 }),
  s_noise: field.floatOrNull({ min: 0, max: 2 }),
  override_settings: field.recordOrNull(),
  override_settings_restore_afterwards: field.boolean(true),
  refiner_checkpoint: field.nameOrNull(),
  refiner_switch_at: field.floatOrNull(),
  disable_extra_networks: field.boolean(false),
  firstpass_image: field.textOrNull(image),
  comments: field.recordOrNull(),
} as const;

/** Fields that A1111's API adds to both; `null` is refused where it refuses it. */
const apiFields = {
  sampler_index: field.text('Euler', { isStrict: true }),
  script_name: field.nameOrNull(),
  script_args: field.list({ isStrict: true }),
  send_images: field.boolean(true, { isStrict: true }),
  save_images: field.boolean(false, { isStrict: true }),
  alwayson_scripts: field.record({ isStrict: true }),
  force_task_id: field.textOrNull(),
  infotext: field.textOrNull(prompt),
} as const;

/** Fields that A1111 lacks and its clients send all the same; they are not echoed in `parameters`. */
const foreignFields = {
  clip_skip: field.integerOrNull({ max: 12 }),
  sampler: field.nameOrNull(),
  hf_model_id: field.nameOrNull(),
  use_stencil: field.nameOrNull(),
  controlnet_units: field.list(),
} as const;

export const FOREIGN_FIELDS: readonly string[] = Object.keys(foreignFields);

export const txt2imgRequest = z
  .object({
    ...commonFields,
    enable_hr: field.boolean(false),
    firstphase_width: field.integer(0, { min: 0, max: LIMITS.maxSide }),
    firstphase_height: field.integer(0, { min: 0, max: LIMITS.maxSide }),
    hr_scale: field.float(2, { min: 0, max: 64 }),
    hr_upscaler: field.nameOrNull(),
    hr_second_pass_steps: field.integer(0, { min: 0, max: LIMITS.maxSteps }),
    hr_resize_x: field.integer(0, { min: 0, max: LIMITS.maxSide }),
    hr_resize_y: field.integer(0, { min: 0, max: LIMITS.maxSide }),
    hr_checkpoint_name: field.nameOrNull(),
    hr_sampler_name: field.nameOrNull(),
    hr_scheduler: field.nameOrNull(),
    hr_prompt: field.text('', prompt),
    hr_negative_prompt: field.text('', prompt),
    ...apiFields,
    ...foreignFields,
  })
  .meta({ id: 'StableDiffusionProcessingTxt2Img' });
export type Txt2imgRequest = z.output<typeof txt2imgRequest>;

export const img2imgRequest = z
  .object({
    ...commonFields,
    init_images: field.textListOrNull({ maxItems: 64, maxLength: MAX_IMAGE_CHARACTERS }),
    resize_mode: field.integer(0, { min: 0, max: 3 }),
    denoising_strength: field.float(0.75, { ...unit, isStrict: true }),
    image_cfg_scale: field.floatOrNull({ min: 0, max: 100 }),
    mask: field.textOrNull(image),
    mask_blur: field.integerOrNull({ min: 0, max: 1024 }),
    mask_blur_x: field.integer(4, { min: 0, max: 1024 }),
    mask_blur_y: field.integer(4, { min: 0, max: 1024 }),
    mask_round: field.boolean(true),
    inpainting_fill: field.integer(0, { min: 0, max: 3 }),
    inpaint_full_res: field.boolean(true),
    inpaint_full_res_padding: field.integer(0, { min: 0, max: LIMITS.maxSide }),
    inpainting_mask_invert: field.integer(0, { min: 0, max: 1 }),
    initial_noise_multiplier: field.floatOrNull({ min: 0, max: 10 }),
    latent_mask: field.textOrNull(image),
    ...apiFields,
    include_init_images: field.boolean(false, { isStrict: true }),
    ...foreignFields,
  })
  .meta({ id: 'StableDiffusionProcessingImg2Img' });
export type Img2imgRequest = z.output<typeof img2imgRequest>;

const extrasFields = {
  resize_mode: field.integer(0, { min: 0, max: 1 }),
  show_extras_results: field.boolean(true),
  gfpgan_visibility: field.float(0, unit),
  codeformer_visibility: field.float(0, unit),
  codeformer_weight: field.float(0, unit),
  upscaling_resize: field.float(2, { above: 0, max: 64 }),
  upscaling_resize_w: field.integer(512, { min: 1, max: 16_384 }),
  upscaling_resize_h: field.integer(512, { min: 1, max: 16_384 }),
  upscaling_crop: field.boolean(true),
  upscaler_1: field.text('None'),
  upscaler_2: field.text('None'),
  extras_upscaler_2_visibility: field.float(0, unit),
  upscale_first: field.boolean(false),
} as const;

export const extrasSingleImageRequest = z
  .object({ ...extrasFields, image: field.text('', image) })
  .meta({ id: 'ExtrasSingleImageRequest' });

export const fileData = z
  .object({ data: field.requiredText(image), name: field.requiredText({ maxLength: 1000 }) })
  .meta({ id: 'FileData' });

export const extrasBatchImagesRequest = z
  .object({ ...extrasFields, imageList: z.array(fileData).max(64) })
  .meta({ id: 'ExtrasBatchImagesRequest' });

export const controlnetDetectRequest = z
  .object({
    controlnet_module: field.text('none'),
    controlnet_input_images: field.textListOrNull({
      maxItems: 64,
      maxLength: MAX_IMAGE_CHARACTERS,
    }),
    // webuiapi's name for them.
    controlnet_images: field.textListOrNull({ maxItems: 64, maxLength: MAX_IMAGE_CHARACTERS }),
    controlnet_processor_res: field.integer(-1, { max: 4096 }),
    controlnet_threshold_a: field.float(-1, { max: 10_000 }),
    controlnet_threshold_b: field.float(-1, { max: 10_000 }),
    controlnet_masks: field.textListOrNull({ maxItems: 64, maxLength: MAX_IMAGE_CHARACTERS }),
    low_vram: field.boolean(false),
  })
  .meta({ id: 'Body_detect_controlnet_detect_post' });

export const pngInfoRequest = z
  .object({ image: field.requiredText(image) })
  .meta({ id: 'PNGInfoRequest' });

export const interrogateRequest = z
  .object({ image: field.text('', image), model: field.text('clip') })
  .meta({ id: 'InterrogateRequest' });

export const optionsRequest = z.record(z.string(), z.unknown()).meta({ id: 'Options' });

/** `POST /internal/progress`, as A1111's own page asks for one task. */
export const internalProgressRequest = z
  .object({
    id_task: field.textOrNull(),
    id_live_preview: field.integer(-1),
    live_preview: field.boolean(true),
  })
  .meta({ id: 'ProgressRequest' });
