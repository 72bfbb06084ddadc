import { z } from 'zod';
import { SAMPLER_NAMES, SCHEDULER_NAMES } from './samplers.ts';

/** Limits that hold for every request, whatever the device: beyond them a request is refused. */
export const GENERATION_LIMITS = {
  maxSteps: 1000,
  maxBatchSize: 16,
  maxBatchCount: 100,
  minSide: 64,
  maxSide: 4096,
  maxPromptCharacters: 100_000,
} as const;

/** The largest seed that A1111 draws at random. */
export const MAX_RANDOM_SEED = 4_294_967_293;

const prompt = z.string().max(GENERATION_LIMITS.maxPromptCharacters);
const side = z.int().min(GENERATION_LIMITS.minSide).max(GENERATION_LIMITS.maxSide);
/** A picture as base64 of a whole PNG, JPEG or WebP file, without a `data:` prefix. */
const encodedImage = z.string().min(1);
const seed = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

/**
 * The validated parameters of one job: `batchSize * batchCount` pictures. Seeds are already drawn:
 * -1 does not exist behind the API. Sizes are pixels; the engine rounds them down to the VAE factor.
 */
export const generationParams = z.object({
  mode: z.enum(['txt2img', 'img2img']).default('txt2img'),
  prompt: prompt.default(''),
  negativePrompt: prompt.default(''),
  width: side.default(512),
  height: side.default(512),
  steps: z.int().min(1).max(GENERATION_LIMITS.maxSteps).default(20),
  guidanceScale: z.number().min(0).max(100).default(7),
  sampler: z.enum(SAMPLER_NAMES).default('Euler'),
  scheduler: z.enum(SCHEDULER_NAMES).default('automatic'),
  seed: seed.default(0),
  subseed: seed.default(0),
  /** 0 uses the seed's noise alone, 1 the subseed's. */
  subseedStrength: z.number().min(0).max(1).default(0),
  /** Size in pixels at which the seed's noise is made before it is pasted; 0 is off. */
  seedResizeFromWidth: z.int().min(0).max(GENERATION_LIMITS.maxSide).default(0),
  seedResizeFromHeight: z.int().min(0).max(GENERATION_LIMITS.maxSide).default(0),
  batchSize: z.int().min(1).max(GENERATION_LIMITS.maxBatchSize).default(1),
  batchCount: z.int().min(1).max(GENERATION_LIMITS.maxBatchCount).default(1),
  /** 1 takes the text encoder's last layer, 2 the one before it. */
  clipSkip: z.int().min(1).max(12).default(1),
  /** Ancestral noise; null is the sampler's own default (1 for ancestral samplers, 0 for DDIM). */
  eta: z.number().min(0).max(1).nullable().default(null),
  sChurn: z.number().min(0).max(100).default(0),
  sTmin: z.number().min(0).default(0),
  /** 0 means no upper limit. */
  sTmax: z.number().min(0).default(0),
  sNoise: z.number().min(0).max(2).default(1),
  /** Skips the negative prompt on alternate steps below this sigma; 0 is off. */
  sMinUncond: z.number().min(0).max(15).default(0),
  etaNoiseSeedDelta: z.int().min(0).default(0),
  /** `gpu` and `nv` are Philox, as an NVIDIA card makes it; `cpu` is torch's Mersenne Twister. */
  randnSource: z.enum(['gpu', 'cpu', 'nv']).default('gpu'),
  /** img2img: 0 keeps the picture, 1 ignores it. */
  denoisingStrength: z.number().min(0).max(1).default(0.75),
  initImages: z.array(encodedImage).max(GENERATION_LIMITS.maxBatchSize).default([]),
  /** 0 stretch, 1 crop and fill, 2 letterbox fill, 3 latent resize. */
  resizeMode: z.int().min(0).max(3).default(0),
  /** Name of the checkpoint as the catalogue has it; null is the one in use. */
  checkpoint: z.string().max(1000).nullable().default(null),
  outputFormat: z.enum(['png', 'jpg', 'webp']).default('png'),
  /** Sentences about substitutions already made for this job (an unknown sampler, a reduced size). */
  notes: z.array(z.string().max(500)).max(32).default([]),
});

export type GenerationParams = z.infer<typeof generationParams>;
export type GenerationInput = z.input<typeof generationParams>;

/** What a job is when nothing is asked for. */
export const GENERATION_DEFAULTS: GenerationParams = generationParams.parse({});
