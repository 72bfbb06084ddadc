import { z } from 'zod';

/** Where a model's files come from: the page's own folder, the bridge's models folder, or the tab's store. */
export const modelSourceKind = z.enum(['embedded', 'bridge', 'browser']);

/** One loadable Stable Diffusion model. */
export const checkpointInfo = z.object({
  /** The file's stem or the folder's name; unique in a catalogue. */
  name: z.string().min(1).max(500),
  source: modelSourceKind,
  /** Path for a person: a real path on the bridge, an address or a file name elsewhere. */
  filename: z.string().max(4096),
  /** SHA-256 of the file in hex, or of the sorted list of the folder's file hashes; null until computed. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  sizeBytes: z.int().min(0).nullable(),
});
export type CheckpointInfo = z.infer<typeof checkpointInfo>;

/** What a model's file is used as. */
export const listingKind = z.enum([
  'checkpoint',
  'lora',
  'vae',
  'embedding',
  'esrgan',
  'controlnet',
  'taesd',
]);

/** A model beside checkpoints: a LoRA, a VAE, a textual inversion … */
export const modelInfo = checkpointInfo.extend({ kind: listingKind.exclude(['checkpoint']) });
export type ModelInfo = z.infer<typeof modelInfo>;

/** What a tab can offer. */
export const catalog = z.object({
  checkpoints: z.array(checkpointInfo).max(10_000),
  /** What is used with checkpoints; absent from tabs of before. */
  models: z.array(modelInfo).max(20_000).optional(),
});
export type Catalog = z.infer<typeof catalog>;

/** The checkpoint that the page carries with it. */
export const EMBEDDED_CHECKPOINT = 'easel-tiny';

/** One file of a model, as the bridge or a static host lists it. */
export const modelFile = z.object({
  /** Path below the model's folder, with `/`; for a single file, the file's own name. */
  path: z.string().min(1).max(1000),
  sizeBytes: z.int().min(0),
});

/** A model's files: `GET /easel/v1/models` on the bridge, `models/index.json` on a static host. */
export const modelListing = z.object({
  kind: listingKind,
  name: z.string().min(1).max(500),
  source: modelSourceKind,
  filename: z.string().max(4096),
  /** Address prefix below which every file's `path` is found; relative to the page. */
  url: z.string().max(4096),
  files: z.array(modelFile).min(1).max(2000),
  /** Changes whenever a file changes (sizes and times); not a content hash. */
  version: z.string().max(200),
});
export type ModelListing = z.infer<typeof modelListing>;

export const modelIndex = z.object({ models: z.array(modelListing).max(20_000) });
export type ModelIndex = z.infer<typeof modelIndex>;
