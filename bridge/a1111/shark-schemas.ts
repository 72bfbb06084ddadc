import { z } from 'zod';
import { GENERATION_LIMITS as LIMITS } from '../../protocol/generation.ts';
import * as field from './lenient.ts';
import { MAX_IMAGE_CHARACTERS } from './schemas.ts';

/** Bodies of the routes that SHARK had and A1111 has not, with SHARK's defaults; sizes have Easel's limits, not SHARK's. */
const side = { min: LIMITS.minSide, max: LIMITS.maxSide };
const image = { maxLength: MAX_IMAGE_CHARACTERS };
const prompt = { maxLength: LIMITS.maxPromptCharacters };

const commonFields = {
  prompt: field.text('', prompt),
  negative_prompt: field.text('', prompt),
  hf_model_id: field.nameOrNull(),
  override_settings: field.recordOrNull(),
  height: field.integer(512, side),
  width: field.integer(512, side),
  sampler_name: field.nameOrNull(),
  cfg_scale: field.float(7.5, { min: 1, max: 100 }),
  steps: field.integer(50, { min: 1, max: LIMITS.maxSteps }),
  seed: field.seed(),
  n_iter: field.integer(1, { min: 1, max: LIMITS.maxBatchCount }),
} as const;

/** Read and not used, as in SHARK. */
const unusedFields = {
  denoising_strength: field.floatOrNull({ min: 0, max: 1 }),
  use_stencil: field.nameOrNull(),
} as const;

const initImages = { maxItems: 2, maxLength: MAX_IMAGE_CHARACTERS };

/** `POST /sdapi/v1/inpaint`. */
export const sharkInpaintRequest = z
  .object({
    ...commonFields,
    ...unusedFields,
    image: field.requiredText(image),
    mask: field.requiredText(image),
    is_full_res: field.boolean(false),
    full_res_padding: field.integer(32, { min: 0, max: 256 }),
  })
  .meta({ id: 'SharkInpaintRequest' });
export type SharkInpaintRequest = z.output<typeof sharkInpaintRequest>;

/** `POST /sdapi/v1/outpaint`. */
export const sharkOutpaintRequest = z
  .object({
    ...commonFields,
    ...unusedFields,
    init_images: field.textListOrNull(initImages),
    pixels: field.integer(128, { min: 8, max: 1024 }),
    mask_blur: field.integer(8, { min: 0, max: 64 }),
    directions: field.textListOrNull({ maxItems: 8, maxLength: 20 }),
    noise_q: field.float(1, { min: 0, max: 4 }),
    color_variation: field.float(0.05, { min: 0, max: 1 }),
  })
  .meta({ id: 'SharkOutpaintRequest' });
export type SharkOutpaintRequest = z.output<typeof sharkOutpaintRequest>;

/** `POST /sdapi/v1/upscaler`. */
export const sharkUpscalerRequest = z
  .object({
    ...commonFields,
    ...unusedFields,
    init_images: field.textListOrNull(initImages),
    noise_level: field.integer(20, { min: 0, max: 1000 }),
  })
  .meta({ id: 'SharkUpscalerRequest' });
export type SharkUpscalerRequest = z.output<typeof sharkUpscalerRequest>;
