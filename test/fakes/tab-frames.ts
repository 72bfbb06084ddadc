import type { Catalog } from '../../protocol/catalog.ts';
import type { DeviceInfo, EngineStatus } from '../../protocol/device.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary, JobImage, JobProgress } from '../../protocol/job.ts';
import { PROTOCOL_VERSION, type TabMessage } from '../../protocol/relay.ts';
import { tinyPng } from './tiny-png.ts';

/** One attempt at a job, as frames name it. */
export interface Attempt {
  readonly jobId: string;
  readonly attempt: number;
}

export const FAKE_DEVICE: DeviceInfo = {
  provider: 'webgpu',
  adapter: 'Fake adapter',
  isSoftware: false,
  hasShaderF16: true,
  maxBufferBytes: 2 ** 31,
  maxStorageBindingBytes: 2 ** 31,
  wasmThreads: 0,
  reason: 'a test wanted it',
};

export function fakeStatus(changes: Partial<EngineStatus> = {}): EngineStatus {
  return {
    state: 'idle',
    device: FAKE_DEVICE,
    checkpoint: 'easel-tiny',
    precision: 'fp16',
    activity: null,
    message: null,
    ...changes,
  };
}

export const FAKE_CATALOG: Catalog = {
  checkpoints: [
    {
      name: 'easel-tiny',
      source: 'embedded',
      filename: 'models/easel-tiny',
      sha256: 'ab'.repeat(32),
      sizeBytes: 1_000,
    },
  ],
};

export function helloFrame(
  changes: Partial<Extract<TabMessage, { type: 'hello' }>> = {},
): Extract<TabMessage, { type: 'hello' }> {
  return {
    type: 'hello',
    protocolVersion: PROTOCOL_VERSION,
    appVersion: '0.1.0',
    engineName: 'fake-1',
    status: fakeStatus(),
    catalog: FAKE_CATALOG,
    job: null,
    ...changes,
  };
}

export function heartbeatFrame(job: (Attempt & { step?: number }) | null = null): TabMessage {
  return {
    type: 'heartbeat',
    monotonicMs: performance.now(),
    job: job ? { jobId: job.jobId, attempt: job.attempt, step: job.step ?? 0 } : null,
  };
}

export function progressFrame(
  { jobId, attempt }: Attempt,
  changes: Partial<JobProgress> = {},
): JobProgress {
  return {
    type: 'job-progress',
    jobId,
    attempt,
    stage: 'sampling',
    imageIndex: 0,
    imageCount: 1,
    step: 1,
    steps: 20,
    fraction: 0.05,
    etaSeconds: 2,
    message: '',
    ...changes,
  };
}

export function imageFrame({ jobId, attempt }: Attempt, changes: Partial<JobImage> = {}): JobImage {
  const seed = changes.seed ?? 1;
  const infotext = `a fake\nSteps: 20, Seed: ${seed}`;
  const png = tinyPng({ colour: [seed % 256, 80, 160], infotext });
  return {
    type: 'job-image',
    jobId,
    attempt,
    index: 0,
    format: 'png',
    data: png.toString('base64'),
    infotext,
    prompt: 'a fake',
    negativePrompt: '',
    seed,
    subseed: 0,
    width: 8,
    height: 8,
    ...changes,
  };
}

export function fakeSummary(changes: Partial<GenerationSummary> = {}): GenerationSummary {
  return {
    interrupted: false,
    width: 8,
    height: 8,
    checkpoint: 'easel-tiny',
    checkpointHash: 'abababab00',
    clipSkip: 1,
    extraParams: {},
    notes: [],
    timings: {
      totalSeconds: 1,
      loadSeconds: 0,
      encodeSeconds: 0,
      sampleSeconds: 1,
      decodeSeconds: 0,
      runSeconds: 1,
      readBacks: 1,
      uploads: 20,
      uploadedBytes: 80,
    },
    ...changes,
  };
}

export function finishedFrame(
  { jobId, attempt }: Attempt,
  changes: Partial<GenerationSummary> = {},
): Extract<TabMessage, { type: 'job-finished' }> {
  return { type: 'job-finished', jobId, attempt, summary: fakeSummary(changes) };
}

export function failedFrame(
  { jobId, attempt }: Attempt,
  error: Extract<TabMessage, { type: 'job-failed' }>['error'],
): Extract<TabMessage, { type: 'job-failed' }> {
  return { type: 'job-failed', jobId, attempt, error };
}

/** Pictures that a job asks for, each with its own seed. */
export function imagesOf(params: GenerationParams, lease: Attempt): JobImage[] {
  return Array.from({ length: params.batchSize * params.batchCount }, (_, index) =>
    imageFrame(lease, {
      index,
      seed: params.seed + index,
      prompt: params.prompt,
      negativePrompt: params.negativePrompt,
    }),
  );
}
