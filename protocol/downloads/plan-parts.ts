import { z } from 'zod';
import { modelListing } from '../catalog.ts';
import { GenerationError } from '../errors.ts';
import type { StopSignal } from '../web-platform.ts';
import type { DownloadKind } from './file-kind.ts';
import type { AccessTokens, HttpGet } from './http-client.ts';
import { isPlainSegment } from './model-reference.ts';

export const plannedFile = z.object({
  url: z.string().max(4000),
  /** Below the model's folder; for a single file its own name. */
  path: z.string().min(1).max(1000),
  sizeBytes: z.int().min(0).nullable(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
});
export type PlannedFile = z.infer<typeof plannedFile>;

/** Everything that is known before the first byte of a model is fetched. */
export const downloadPlan = z.object({
  title: z.string().max(500),
  /** The model's page for people, where its licence stands; or null. */
  page: z.string().max(4000).nullable(),
  kind: modelListing.shape.kind,
  /** The name under which it will be listed; no path, no ending. */
  name: z.string().min(1).max(200).refine(isPlainSegment),
  /** Whether the files go into a folder of their own; else there is one. */
  isFolder: z.boolean(),
  files: z.array(plannedFile).min(1).max(500),
  note: z.string().max(1000).nullable(),
});
export type DownloadPlan = z.infer<typeof downloadPlan>;

export interface PlanOptions {
  readonly get: HttpGet;
  readonly hubEndpoint: string;
  readonly tokens: AccessTokens;
  readonly signal: StopSignal;
  /** Where the person or the catalogue says what it is; else the files tell. */
  readonly kind?: DownloadKind | null;
  readonly retryDelaysMs?: readonly number[];
}

/** A safetensors file's name as it may be written. Throws for pickles and for others. */
export function checkedFileName(given: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the point
  const name = given.replace(/[\u0000-\u001f\u007f<>:"/\\|?*]+/g, '_').replace(/^\.+/, '');
  if (/\.(ckpt|pt|pth|bin|zip)$/i.test(name)) {
    throw new GenerationError(
      'unsupported',
      `${name} is a pickled file, which can run code when it is read. Look for a .safetensors file of this model.`,
    );
  }
  const stem = name
    .replace(/\.safetensors$/i, '')
    .slice(0, 180)
    .replace(/[. ]+$/, '');
  if (!isPlainSegment(stem)) {
    throw new GenerationError('unsupported', `"${name.slice(0, 200)}" is no name for a file.`);
  }
  return `${stem}.safetensors`;
}

export function unknownKind(what: string): GenerationError {
  return new GenerationError(
    'unsupported',
    `${what} is nothing that Easel knows: neither a checkpoint, a LoRA, a VAE, a textual inversion, an upscaler nor a ControlNet. Say what it is if you know it.`,
  );
}
