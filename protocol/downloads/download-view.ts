import { z } from 'zod';
import { modelListing } from '../catalog.ts';
import { serializedError } from '../errors.ts';

export const DOWNLOAD_STATES = [
  'waiting',
  'looking',
  'running',
  'verifying',
  'paused',
  'finished',
  'failed',
] as const;

/** One download as the page shows it; the same from the bridge and from this tab. */
export const downloadView = z.object({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  /** What was asked for, without any key. */
  reference: z.string().max(4000),
  title: z.string().max(500),
  state: z.enum(DOWNLOAD_STATES),
  /** Null until the host was asked. */
  kind: modelListing.shape.kind.nullable(),
  /** The name in the list of models. */
  name: z.string().max(200).nullable(),
  page: z.string().max(4000).nullable(),
  doneBytes: z.number().min(0),
  totalBytes: z.number().min(0).nullable(),
  bytesPerSecond: z.number().min(0).nullable(),
  etaSeconds: z.number().min(0).nullable(),
  /** A sentence for the person: what was chosen, what began afresh. */
  note: z.string().max(1000).nullable(),
  error: serializedError.nullable(),
});
export type DownloadView = z.infer<typeof downloadView>;

const token = z
  .string()
  .regex(/^[\x21-\x7e]{1,500}$/)
  .nullable();

/** Body of `POST /easel/v1/downloads`. */
export const downloadRequest = z.object({
  reference: z.string().max(2000),
  /** Where the person knows better than the file. */
  kind: modelListing.shape.kind.nullable().default(null),
  /** Keys for this download; kept in memory until it ends. */
  tokens: z.object({ hub: token, civitai: token }).default({ hub: null, civitai: null }),
});
export type DownloadRequest = z.infer<typeof downloadRequest>;

/** `GET /easel/v1/downloads`. */
export const downloadList = z.object({ downloads: z.array(downloadView) });

export const DOWNLOAD_ACTIONS = ['pause', 'resume', 'cancel'] as const;
export type DownloadAction = (typeof DOWNLOAD_ACTIONS)[number];

/** Route of the bridge's downloads; `/ID/pause`, `/ID/resume` and `/ID/cancel` below it. */
export const DOWNLOADS_PATH = '/easel/v1/downloads';
/** Header of a POST to it that carries the engine token. */
export const ENGINE_TOKEN_HEADER = 'x-easel-token';
