import { z } from 'zod';
import { listingKind } from '../../../protocol/catalog.ts';
import type { CompiledModel } from '../../compiler/model.ts';
import { hashedFile } from './cache-key.ts';

/** Largest value in the store: values beyond 1.5 GB kill tabs, and small ones survive a killed write. */
export const CHUNK_BYTES = 64 * 2 ** 20;

const size = z.int().min(0);
const component = z.enum([
  'text_encoder',
  'text_encoder_2',
  'unet',
  'vae_encoder',
  'vae_decoder',
  'taesd_encoder',
  'taesd_decoder',
  'controlnet',
  'upscaler',
]);

const textEncoder = z.object({
  component: z.enum(['text_encoder', 'text_encoder_2']),
  layers: z.int().min(1),
  hiddenSize: z.int().min(1),
  contextLength: z.int().min(1),
  vocabSize: z.int().min(1),
  bosId: z.int(),
  eosId: z.int(),
  padId: z.int(),
  states: z.object({
    clipSkip: z.int().min(1),
    finalNorm: z.boolean(),
    followsClipSkip: z.boolean(),
  }),
  projectionSize: z.int().min(1).nullable(),
  tokenizer: z
    .object({ vocab: z.record(z.string(), z.int()), merges: z.array(z.string()) })
    .nullable(),
});

const description = z.object({
  family: z.enum(['sd1', 'sd2', 'sdxl']),
  predictionType: z.enum(['epsilon', 'v_prediction']),
  isPredictionAssumed: z.boolean(),
  trainSteps: z.int().min(1),
  betaStart: z.number(),
  betaEnd: z.number(),
  betaSchedule: z.enum(['linear', 'scaled_linear']),
  zeroTerminalSnr: z.boolean(),
  latentChannels: z.int().min(1),
  vaeFactor: z.int().min(1),
  scalingFactor: z.number(),
  shiftFactor: z.number(),
  unetInChannels: z.int().min(1),
  unetInputs: z.object({
    textEmbeds: z.int().min(1).nullable(),
    timeIds: z.int().min(1).nullable(),
    timestepCond: z.int().min(1).nullable(),
  }),
  nativeResolution: z.int().min(1),
  textEncoders: z.array(textEncoder).min(1),
  notes: z.array(z.string()),
});

const weight = z.object({
  dtype: z.enum(['float32', 'float16', 'int64', 'int32', 'uint8']),
  shape: z.array(size),
  shard: size,
  offset: size,
  sizeBytes: size,
});

const compiledComponent = z.object({
  name: component,
  config: z.record(z.string(), z.unknown()),
  precision: z.enum(['fp32', 'fp16', 'q8', 'q4']),
  shardSizes: z.array(size),
  weights: z.record(z.string(), weight),
});

const compiledModel: z.ZodType<CompiledModel> = z.object({
  description,
  components: z.array(compiledComponent).min(1),
});

const weightCounts = z.object({
  ...{ linear: z.number().min(0), plain: z.number().min(0), full: z.number().min(0) },
  precision: z.enum(['fp32', 'fp16', 'q8', 'q4']).optional(),
});

/** What a compiled model was made of: all that its key depends on. */
export const modelOrigin = z.object({
  kind: listingKind,
  files: z
    .array(hashedFile.extend({ sizeBytes: size }))
    .min(1)
    .max(2000),
  /** Weights of the largest component, by which a precision is chosen. */
  weights: weightCounts,
  precision: z.enum(['fp32', 'fp16', 'q8', 'q4']),
  compilerVersion: z.int(),
  runtimeVersion: z.string().max(200),
  features: z.array(z.string().max(100)).max(100),
});
export type ModelOrigin = z.infer<typeof modelOrigin>;

/** Raised when manifests of before can no longer be read; such models are compiled anew. */
export const MANIFEST_FORMAT = 2;

/** What the store knows of one compiled model; written last, so that it never points at missing chunks. */
export const manifest = z.object({
  formatVersion: z.literal(MANIFEST_FORMAT),
  key: z.string(),
  /** The checkpoint's name when it was compiled, for people. */
  name: z.string(),
  /** Hash of the checkpoint (`checkpointSha256`). */
  sha256: z.string(),
  /** The compiled model that these weights lie over (LoRAs): without it they are of no use. */
  baseKey: z.string().optional(),
  /** Absent from what lies over another model. */
  origin: modelOrigin.optional(),
  /** Bytes of all shards. */
  sizeBytes: size,
  chunkBytes: z.int().min(1),
  /** SHA-256 of every chunk, by its place (`chunkPlace`). */
  chunkSha256: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)),
  /** Milliseconds since 1970. */
  createdAt: z.number(),
  model: compiledModel,
});
export type Manifest = z.infer<typeof manifest>;

/** Hashes of a checkpoint's files as they were under one version of its listing. */
export const sourceFingerprint = z.object({
  files: z.array(hashedFile).min(1),
  /** Weights of the largest component, by which a precision is chosen. */
  weights: weightCounts.optional(),
});
export type SourceFingerprint = z.infer<typeof sourceFingerprint>;

/** Sizes of the chunks that a shard of `shardBytes` is cut into. */
export function chunkSizes(shardBytes: number, chunkBytes: number): number[] {
  const sizes: number[] = [];
  for (let rest = shardBytes; rest > 0; rest -= chunkBytes) sizes.push(Math.min(rest, chunkBytes));
  return sizes;
}
