import type { EngineActivity } from '../../protocol/device.ts';
import { type ErrorCode, GenerationError } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary } from '../../protocol/job.ts';
import type {
  GeneratedByproduct,
  GeneratedImage,
  GenerateOptions,
  GenerationProgress,
} from '../shared/engine.ts';
import type { EngineAccess } from './browser-access.ts';
import type { LoadedCheckpoint } from './checkpoint-keeper.ts';
import type { ControlnetUse } from './control/controlnets.ts';
import { runPreprocessJob } from './control/preprocess-job.ts';
import { assertFits } from './device-limits.ts';
import { runGridJob } from './images/grid.ts';
import { withOutpainting } from './images/outpaint.ts';
import { isInpaintingModel } from './inpaint-channels.ts';
import { extraInfotextParams, type InfotextCheckpoint, jobInfotext } from './job-infotext.ts';
import { largestSize, realSize } from './job-plan.ts';
import type { LoadedEmbedding } from './models/embedding-loader.ts';
import type { UsedLora } from './models/lora-loader.ts';
import { generate } from './pipeline/generate.ts';
import type { FinishedPicture, PipelineJob, VaeStandIns } from './pipeline/job.ts';
import type { Runtime } from './runtime/runtime.ts';
import type { TaesdWish } from './taesd-use.ts';
import { runUpscaleJob } from './upscaling/upscale-job.ts';
import type { Upscalers } from './upscaling/upscalers.ts';

/** The job at hand, as `skip` and `interrupt` reach it. */
export interface JobFlags {
  isInterrupted: boolean;
  isSkipped: boolean;
}

/** What a job needs of the engine around it. */
export interface JobHost {
  readonly access: Pick<EngineAccess, 'decodeImage' | 'encodeImage'>;
  readonly appVersion: string;
  readonly upscalers: Upscalers;
  /** The checkpoint of the job, loaded now if need be. */
  load(
    wanted: Pick<
      GenerationParams,
      | 'checkpoint'
      | 'vae'
      | 'prompt'
      | 'negativePrompt'
      | 'hires'
      | 'controls'
      | 'isTiling'
      | 'usesNetworks'
    > &
      TaesdWish & {
        /** The checkpoint of jobs that name none stays the one before. */
        readonly isForOnePass?: boolean;
      },
    tell: (activity: EngineActivity) => void,
    signal: AbortSignal | undefined,
  ): Promise<{
    loaded: LoadedCheckpoint;
    runtime: Runtime;
    loras: readonly UsedLora[];
    embeddings: readonly LoadedEmbedding[];
    /** What a TAESD does in the VAE's place. */
    standIns: VaeStandIns;
    controlnets: readonly ControlnetUse[];
  }>;
  /** Drops a device that failed, so that the next `load` opens a fresh one. */
  renewDevice(): Promise<void>;
  /**
   * Makes the engine work with less memory from now on; false when the checkpoint could do with no less and
   * left, to be loaded anew by the next job.
   */
  economise(): Promise<boolean>;
}

/** Of one picture's byproducts together: with the largest picture they still go into one message to the bridge. */
const MAX_BYPRODUCT_BYTES = 40 * 1024 ** 2;

const RETRIED = 'The graphics device was lost on the way; the job was made again on a fresh one.';

const ECONOMISED =
  'The device ran out of memory; the job was made again with one part of the model in memory at a time, which is slower, and weights get half as much memory from now on. A smaller picture or precision avoids that.';

/** Runs one job to its summary; one that loses its device or its memory is made again, once. */
export async function runJob(
  asked: GenerationParams,
  options: GenerateOptions,
  flags: JobFlags,
  host: JobHost,
): Promise<GenerationSummary> {
  const params = await withOutpainting(asked, host.access);
  const reported = new Set<number>();
  const once: GenerateOptions = {
    ...options,
    onImage(image) {
      // The second try makes the same pictures: those already told are not told again.
      if (reported.has(image.index)) return;
      reported.add(image.index);
      options.onImage?.(image);
    },
  };
  try {
    return await attemptJob(params, once, flags, host);
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'device-lost' && code !== 'out-of-memory') throw error;
    if (code === 'out-of-memory' && !(await host.economise())) throw withoutMemory(error);
    console.error('A job failed and is made again.', error);
    if (code === 'device-lost') await host.renewDevice();
    const summary = await attemptJob(params, once, flags, host).catch(async (again: unknown) => {
      if (codeOf(again) !== 'out-of-memory') throw again;
      await host.economise();
      throw withoutMemory(again);
    });
    const note = code === 'device-lost' ? RETRIED : ECONOMISED;
    return { ...summary, notes: [...summary.notes, note] };
  }
}

function codeOf(error: unknown): ErrorCode | null {
  return error instanceof GenerationError ? error.code : null;
}

/** The same error with what follows from it for the next job. */
function withoutMemory(error: unknown): unknown {
  if (!(error instanceof GenerationError)) return error;
  const message = `${error.message} The next job loads the checkpoint anew, with half as much memory for its weights.`;
  return new GenerationError(error.code, message, { cause: error });
}

async function attemptJob(
  params: GenerationParams,
  options: GenerateOptions,
  flags: JobFlags,
  host: JobHost,
): Promise<GenerationSummary> {
  if (params.mode === 'upscale') {
    return runUpscaleJob(params, options, () => flags.isInterrupted, host);
  }
  if (params.mode === 'grid') return runGridJob(params, options, host);
  if (params.mode === 'preprocess') return runPreprocessJob(params, options, host);
  const startedAt = performance.now();
  const tell = (activity: EngineActivity) =>
    options.onProgress?.(loadProgress(activity, params.batchCount * params.batchSize));
  const { loaded, runtime, loras, embeddings, standIns, controlnets } = await host.load(
    params,
    tell,
    options.signal,
  );
  const loadSeconds = secondsSince(startedAt);
  const before = { ...runtime.counters };
  const { model, manifest, weights } = loaded;
  const size = realSize(params, model.description.vaeFactor);
  const largest = largestSize(params, model.description.vaeFactor);
  assertFits({ ...largest, pictures: params.batchSize }, weights.compiled, runtime.device);

  const checkpoint = {
    ...{ name: loaded.name, hash: manifest.sha256.slice(0, 10) },
    vae: loaded.vae,
  };
  const notes = [
    ...params.notes,
    ...model.description.notes,
    ...loaded.notes.splice(0),
    ...sizeNotes(params, size),
  ];
  const loadPass: PipelineJob['loadPass'] = async (pass, prompts) => {
    const own = {
      first: null,
      second: params.hires?.checkpoint,
      refiner: params.refiner?.checkpoint,
    };
    const name = own[pass] ?? loaded.name;
    const next = await host.load(
      {
        ...params,
        ...(prompts === 'second' ? secondTexts(params) : {}),
        checkpoint: name,
        isForOnePass: true,
      },
      () => {},
      options.signal,
    );
    assertFits(
      { ...largest, pictures: params.batchSize },
      next.loaded.weights.compiled,
      runtime.device,
    );
    loaded.notes.push(...next.loaded.notes.splice(0));
    const title = `${next.loaded.name} [${next.loaded.manifest.sha256.slice(0, 10)}]`;
    const { model, controlnets, loras } = { ...next, model: next.loaded.model };
    return { model, controlnets, loras, title };
  };
  const told = { notes, isInpaintingModel: isInpaintingModel(model.description) };
  // A checkpoint is no refiner of itself.
  const refiner = params.refiner?.checkpoint === loaded.name ? null : params.refiner;
  const result = await generate({
    params: { ...params, refiner },
    model,
    loras,
    embeddingHash: (name) => embeddings.find((known) => known.name === name)?.shortHash ?? '',
    controlnets,
    loadPass,
    vaeStandIns: standIns,
    decodeImage: host.access.decodeImage,
    findUpscaler: host.upscalers.find,
    finishImage: (picture) =>
      finishImage(
        params,
        { ...picture, ...told, notes: [...notes, ...picture.notes] },
        checkpoint,
        host,
      ),
    control: {
      signal: options.signal,
      onProgress: options.onProgress,
      onImage: options.onImage,
      onPreview: async (pixels) =>
        options.onPreview?.(await host.access.encodeImage(pixels, 'png', '')),
      isInterrupted: () => flags.isInterrupted,
      isSkipped: () => flags.isSkipped,
      beginBatch() {
        flags.isSkipped = false;
      },
    },
  });
  return {
    interrupted: result.interrupted,
    width: result.width,
    height: result.height,
    checkpoint: checkpoint.name,
    checkpointHash: checkpoint.hash,
    vae: checkpoint.vae,
    clipSkip: params.clipSkip,
    extraParams: extraInfotextParams(result.extraParams, [...notes, ...result.notes]),
    notes: [...notes, ...result.notes, ...loaded.notes.splice(0)],
    timings: {
      totalSeconds: secondsSince(startedAt),
      loadSeconds,
      encodeSeconds: result.seconds.encode,
      sampleSeconds: result.seconds.sample,
      decodeSeconds: result.seconds.decode,
      runSeconds: runtime.counters.runSeconds - before.runSeconds,
      readBacks: runtime.counters.readBacks - before.readBacks,
      uploads: runtime.counters.uploads - before.uploads,
      uploadedBytes: runtime.counters.uploadedBytes - before.uploadedBytes,
    },
  };
}

/** The prompt whose networks a second pass has. */
function secondTexts({ prompt, hires }: GenerationParams): Pick<GenerationParams, 'prompt'> {
  return { prompt: hires?.prompt ?? prompt };
}

async function finishImage(
  params: GenerationParams,
  picture: FinishedPicture,
  checkpoint: InfotextCheckpoint,
  { access, appVersion }: JobHost,
): Promise<GeneratedImage> {
  const { index, pixels, seed, subseed } = picture;
  const { outputFormat: format, embedsInfotext, prompt, negativePrompt } = params;
  const infotext = jobInfotext(params, picture, checkpoint, appVersion);
  const bytes = await access.encodeImage(pixels, format, embedsInfotext ? infotext : '', params);
  const { width, height } = pixels;
  const image = { index, format, bytes, infotext, prompt, negativePrompt, seed, subseed };
  if (picture.byproducts.length === 0) return { ...image, width, height };
  return { ...image, width, height, byproducts: await encodeByproducts(picture, params, access) };
}

/** The byproducts of a picture that fit beside it. */
async function encodeByproducts(
  { byproducts }: FinishedPicture,
  params: GenerationParams,
  access: JobHost['access'],
): Promise<GeneratedByproduct[]> {
  const { outputFormat: format } = params;
  const encoded: GeneratedByproduct[] = [];
  let left = MAX_BYPRODUCT_BYTES;
  for (const { kind, module, pixels } of byproducts) {
    const bytes = await access.encodeImage(pixels, format, '', params);
    if (bytes.length > left) {
      console.warn(`A ${kind} of ${bytes.length} bytes is too large to come along.`);
      continue;
    }
    left -= bytes.length;
    encoded.push({ kind, module, format, bytes });
  }
  return encoded;
}

function sizeNotes(params: GenerationParams, size: { width: number; height: number }): string[] {
  if (params.width === size.width && params.height === size.height) return [];
  return [
    `The size ${params.width}×${params.height} was rounded down to ${size.width}×${size.height}, as this checkpoint needs.`,
  ];
}

function loadProgress(activity: EngineActivity, imageCount: number): GenerationProgress {
  const verb = { compile: 'Compiling', download: 'Fetching', load: 'Loading' }[activity.kind];
  return {
    stage: activity.kind === 'compile' ? 'compiling' : 'loading',
    ...{ imageIndex: 0, imageCount, step: 0, steps: 0, fraction: 0 },
    etaSeconds: activity.etaSeconds,
    message: `${verb} ${activity.what}, ${Math.floor(activity.done * 100)} %`,
  };
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1000;
}
