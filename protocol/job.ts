import { z } from 'zod';
import { byproducts } from './byproducts.ts';
import { serializedError } from './errors.ts';

/** A job's id: letters, digits and dashes, made by whoever accepts the job. */
export const jobId = z.string().regex(/^[A-Za-z0-9-]{1,64}$/);

/** What the engine is doing for a job, in the order in which it happens. */
export const JOB_STAGES = [
  'waiting',
  'loading',
  'compiling',
  'encoding',
  'sampling',
  'decoding',
] as const;
export type JobStage = (typeof JOB_STAGES)[number];

/** Seconds and counts of one finished job; `runSeconds` is the time spent inside the runtime's `run`. */
export const generationTimings = z.object({
  totalSeconds: z.number().min(0),
  loadSeconds: z.number().min(0),
  encodeSeconds: z.number().min(0),
  sampleSeconds: z.number().min(0),
  decodeSeconds: z.number().min(0),
  runSeconds: z.number().min(0),
  /** What crossed between JavaScript and the GPU: tensors read back, values brought over. */
  readBacks: z.int().min(0).default(0),
  uploads: z.int().min(0).default(0),
  uploadedBytes: z.int().min(0).default(0),
});

/** What is known of a whole job once its pictures are made; becomes `info` of the A1111 reply. */
export const generationSummary = z.object({
  /** True when the job was interrupted and holds only the pictures finished until then. */
  interrupted: z.boolean(),
  /** The pictures' real size in pixels, after rounding down to the VAE factor. */
  width: z.int().min(1),
  height: z.int().min(1),
  checkpoint: z.string(),
  /** First ten hex digits of the checkpoint's SHA-256, or null where it is not known. */
  checkpointHash: z.string().nullable(),
  /** The VAE in the place of the checkpoint's own: file name, and the first ten digits of its SHA-256. */
  vae: z.object({ name: z.string(), hash: z.string() }).nullish(),
  clipSkip: z.int().min(1),
  /** Infotext keys beyond the fixed ones, in order. */
  extraParams: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  /** Sentences a user should read: every substitution and fallback. */
  notes: z.array(z.string()),
  timings: generationTimings,
});
export type GenerationSummary = z.infer<typeof generationSummary>;

const attempt = z.int().min(1);
const base = { jobId, attempt };

export const jobProgress = z.object({
  type: z.literal('job-progress'),
  ...base,
  stage: z.enum(JOB_STAGES),
  /** Which of the `imageCount` pictures is being made, from 0. */
  imageIndex: z.int().min(0),
  imageCount: z.int().min(1),
  /** Sampling steps done and to do in this pass. */
  step: z.int().min(0),
  steps: z.int().min(0),
  /** The whole job, 0 to 1. */
  fraction: z.number().min(0).max(1),
  etaSeconds: z.number().min(0).nullable(),
  /** A sentence for a person, e.g. "Compiling unet, 42 %". */
  message: z.string().max(500),
});
export type JobProgress = z.infer<typeof jobProgress>;

export const jobPreview = z.object({
  type: z.literal('job-preview'),
  ...base,
  /** Base64 of a small JPEG or PNG. */
  data: z.string(),
});

export const jobImage = z.object({
  type: z.literal('job-image'),
  ...base,
  /** Place in the job, from 0. */
  index: z.int().min(0),
  format: z.enum(['png', 'jpg', 'webp']),
  /** Base64 of the whole file, infotext inside. */
  data: z.string().min(1),
  infotext: z.string(),
  prompt: z.string(),
  negativePrompt: z.string(),
  seed: z.int().min(0),
  subseed: z.int().min(0),
  width: z.int().min(1),
  height: z.int().min(1),
  /** What the job's `byproducts` ask for and this picture has; a job's control maps come with its first picture. */
  byproducts: byproducts.optional(),
});
export type JobImage = z.infer<typeof jobImage>;

export const jobFinished = z.object({
  type: z.literal('job-finished'),
  ...base,
  summary: generationSummary,
});

export const jobFailed = z.object({
  type: z.literal('job-failed'),
  ...base,
  error: serializedError,
});

/** Everything an engine says about a job it was given. */
export const jobEvent = z.discriminatedUnion('type', [
  jobProgress,
  jobPreview,
  jobImage,
  jobFinished,
  jobFailed,
]);
export type JobEvent = z.infer<typeof jobEvent>;

/** True for the last event of an attempt. */
export function isTerminal(event: JobEvent): boolean {
  return event.type === 'job-finished' || event.type === 'job-failed';
}
