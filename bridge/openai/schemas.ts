import { z } from 'zod';
import { GENERATION_LIMITS as LIMITS } from '../../protocol/generation.ts';
import * as field from '../a1111/lenient.ts';

/**
 * Requests of OpenAI's Images API. Beyond its own fields it takes A1111's names for what a local model can do besides;
 * both are read leniently, because multipart fields are all text.
 */
const commonFields = {
  model: field.nameOrNull(),
  n: field.integer(1, { min: 1, max: LIMITS.maxBatchSize }),
  size: field.nameOrNull(),
  quality: field.nameOrNull(),
  response_format: field.nameOrNull(),
  output_format: field.nameOrNull(),
  stream: field.boolean(false),
  user: field.nameOrNull(),
  negative_prompt: field.text('', { maxLength: LIMITS.maxPromptCharacters }),
  seed: field.seed(),
  steps: field.integerOrNull({ min: 1, max: LIMITS.maxSteps }),
  cfg_scale: field.floatOrNull({ min: 0, max: 100 }),
  sampler_name: field.nameOrNull(),
  scheduler: field.nameOrNull(),
} as const;

const prompt = field.requiredText({ maxLength: LIMITS.maxPromptCharacters });

/** `POST /v1/images/generations`. */
export const imageGenerationRequest = z
  .object({ prompt, ...commonFields })
  .meta({ id: 'ImageGenerationRequest' });
export type ImageGenerationRequest = z.output<typeof imageGenerationRequest>;

/** `POST /v1/images/edits`; pictures as base64, whether they came in a form or in JSON. */
export const imageEditRequest = z
  .object({
    prompt,
    ...commonFields,
    image: z.array(z.string().min(1)).min(1).max(LIMITS.maxBatchSize),
    mask: z.string().nullable().default(null),
    denoising_strength: field.floatOrNull({ min: 0, max: 1 }),
  })
  .meta({ id: 'ImageEditRequest' });
export type ImageEditRequest = z.output<typeof imageEditRequest>;
