import { z } from 'zod';

/** Route of the saved pictures; `/files/PATH` and `/delete` below it. */
export const OUTPUTS_PATH = '/easel/v1/outputs';
/** Most pictures of one page of the list, and of one request to delete. */
export const MAX_OUTPUTS_PER_PAGE = 1_000;

/** One picture below the output folder. */
export const outputEntry = z.object({
  /** Path below the output folder, with `/`. */
  path: z.string().min(1).max(4096),
  /** Milliseconds since the epoch: when the file was last written. */
  savedAt: z.number(),
  sizeBytes: z.int().min(0),
  /** Pixels, where the file's head tells; null in a damaged one. */
  width: z.int().min(0).nullable(),
  height: z.int().min(0).nullable(),
  /** The infotext in the file; empty where it has none or is damaged. */
  infotext: z.string(),
  /** True for a file that is no whole picture by its head. */
  isDamaged: z.boolean(),
});
export type OutputEntry = z.infer<typeof outputEntry>;

/** `GET /easel/v1/outputs?after=NEXT`: pictures, newest first. */
export const outputPage = z.object({
  total: z.int().min(0),
  pictures: z.array(outputEntry).max(MAX_OUTPUTS_PER_PAGE),
  /** What to ask for with `after` to get the next page; null on the last. */
  next: z.string().nullable(),
});
export type OutputPage = z.infer<typeof outputPage>;

/** Body of `POST /easel/v1/outputs/delete`. */
export const outputDeletion = z.object({
  paths: z.array(z.string().min(1).max(4096)).min(1).max(MAX_OUTPUTS_PER_PAGE),
});

/** Its reply: what is gone, and what is still there with the reason. */
export const outputDeleted = z.object({
  deleted: z.array(z.string()),
  failed: z.array(z.object({ path: z.string(), message: z.string() })),
});
export type OutputDeleted = z.infer<typeof outputDeleted>;
