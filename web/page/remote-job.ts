import { GenerationError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GeneratedImage, GenerateOptions } from '../shared/engine.ts';
import { type BridgeApi, type JobRecord, jobRecord } from './bridge-api.ts';
import { randomId } from './random-id.ts';
import { toA1111Request } from './remote-request.ts';

export interface RemoteJobOptions extends GenerateOptions {
  /** Called at once with the key under which the bridge lists the job. */
  readonly onKey?: (key: string) => void;
  readonly onAccepted?: (jobId: string) => void;
  /** How long a bridge that went away may take to come back with the result. */
  readonly patienceMs?: number;
  /** The same where it went away before it said that it has the job. */
  readonly lostPatienceMs?: number;
  readonly pollMs?: number;
}

const FORMATS = [
  ['png', [0x89, 0x50]],
  ['jpg', [0xff, 0xd8]],
  ['webp', [0x52, 0x49]],
] as const;

function formatOf(bytes: Uint8Array): GeneratedImage['format'] {
  return FORMATS.find(([, start]) => start.every((byte, i) => bytes[i] === byte))?.[0] ?? 'png';
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

const pause = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/**
 * Runs a job on the bridge: progress and previews as they come, then the pictures and the record. A
 * connection that breaks meanwhile does not lose the job: its record is asked for by its key.
 * Rejects with `AbortError` when the signal aborts, else with `GenerationError`.
 */
export async function runRemoteJob(
  api: BridgeApi,
  params: GenerationParams,
  options: RemoteJobOptions = {},
): Promise<JobRecord> {
  const { signal, onKey, onAccepted, patienceMs = 60_000, pollMs = 300 } = options;
  const { lostPatienceMs = 3_000 } = options;
  const key = randomId();
  onKey?.(key);
  const follower = followJob(api, options);
  const ended = new AbortController();
  let jobId: string | null = null;

  const readRecord = () =>
    api.get(`easel/v1/jobs?key=${key}`, jobRecord).then((record) => {
      if (jobId === null) {
        jobId = record.id;
        follower.setJob(jobId);
        onAccepted?.(jobId);
      }
      return record;
    });

  /** The job has no name until the bridge has accepted it. */
  async function learnId(): Promise<void> {
    while (jobId === null && !ended.signal.aborted) {
      await pause(pollMs);
      await readRecord().catch(() => null);
    }
  }

  const onAbort = () => {
    if (jobId) void api.post(`easel/v1/jobs/${jobId}/interrupt`, {}).catch(() => {});
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const { path, body } = requestOf(params);
    const posted = api.post(path, body, {
      headers: { 'x-request-id': key },
      ...(signal ? { signal } : {}),
    });
    void learnId();
    const failure = await posted.then(
      () => null,
      (error: unknown) => error,
    );
    signal?.throwIfAborted();
    // What the bridge is not known to have taken is most likely not there.
    const patience = jobId === null ? Math.min(patienceMs, lostPatienceMs) : patienceMs;
    const record = await settle(readRecord, failure, { patienceMs: patience, pollMs, signal });
    await deliverImages(api, params, record, options.onImage);
    return record;
  } finally {
    ended.abort();
    follower.close();
    signal?.removeEventListener('abort', onAbort);
  }
}

/** A1111's routes where they have words for the job, else the bridge's own. */
function requestOf(params: GenerationParams): { path: string; body: unknown } {
  switch (params.mode) {
    case 'txt2img':
    case 'img2img':
      return { path: `sdapi/v1/${params.mode}`, body: toA1111Request(params) };
    default:
      return { path: 'easel/v1/jobs', body: params };
  }
}

const LOST = new GenerationError('internal', 'The bridge has lost this job. Press Generate again.');

interface SettleOptions {
  readonly patienceMs: number;
  readonly pollMs: number;
  readonly signal: AbortSignal | undefined;
}

/** The record of a job that has ended; the failure of its request where the bridge has no record. */
async function settle(
  readRecord: () => Promise<JobRecord>,
  failure: unknown,
  { patienceMs, pollMs, signal }: SettleOptions,
): Promise<JobRecord> {
  // Only a broken connection is worth waiting for: any other failure is the bridge's own word.
  const isBroken = failure instanceof GenerationError && failure.code === 'tab-disconnected';
  const until = Date.now() + patienceMs;
  for (;;) {
    signal?.throwIfAborted();
    const record = await readRecord().catch(() => null);
    if (record?.state === 'finished' || record?.error) return record;
    if (record?.state === 'failed') throw failure ?? LOST;
    const isOver = isBroken ? record === null && Date.now() > until : record === null;
    if (isOver) throw failure ?? LOST;
    await pause(pollMs);
  }
}

/** Turns the bridge's events about one job into the caller's callbacks. */
function followJob(api: BridgeApi, { onProgress, onPreview }: GenerateOptions) {
  let jobId: string | null = null;
  const close = api.events((event) => {
    if (event.jobId !== jobId) return;
    if (event.type === 'job-progress') onProgress?.(event);
    if (event.type === 'job-preview') onPreview?.(fromBase64(event.data));
  });
  return {
    close,
    setJob(id: string) {
      jobId = id;
    },
  };
}

/** Fetches the pictures of an ended job; the bridge hands them out only then. */
async function deliverImages(
  api: BridgeApi,
  params: GenerationParams,
  record: JobRecord,
  onImage: GenerateOptions['onImage'],
): Promise<void> {
  const { id, infotexts, seeds, summary } = record;
  for (const [index, infotext] of infotexts.entries()) {
    const bytes = await api.bytes(`easel/v1/jobs/${id}/images/${index}`);
    onImage?.({
      index,
      format: formatOf(bytes),
      bytes,
      infotext,
      prompt: params.prompt,
      negativePrompt: params.negativePrompt,
      seed: seeds[index] ?? params.seed + index,
      subseed: params.subseed + index,
      width: summary?.width ?? params.width,
      height: summary?.height ?? params.height,
    });
  }
}
