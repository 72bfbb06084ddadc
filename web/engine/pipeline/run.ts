import type { ControlParams } from '../../../protocol/control.ts';
import type { GenerationParams } from '../../../protocol/generation.ts';
import type { BatchControl, TextContext } from '../diffusion-model.ts';
import type { InitLatents } from '../init-latents.ts';
import type { JobPlan, PixelSize } from '../job-plan.ts';
import type { ProgressReporter } from '../progress.ts';
import type { UncondPadding } from '../prompt/conditioning.ts';
import { readsOtherNetworks } from '../prompt/pass-networks.ts';
import type { ConditioningPlan } from '../prompt/plan.ts';
import type { SkipReason } from '../sampling/denoiser.ts';
import { latentShape } from '../sampling/latents.ts';
import type { LatentShape } from '../sampling/rng/image-rng.ts';
import type {
  ByproductPixels,
  PassCheckpoint,
  PassName,
  PassOfPrompts,
  PipelineJob,
  StageSeconds,
} from './job.ts';

/** What all batches of a job share. */
export interface Run {
  readonly job: PipelineJob;
  readonly plan: JobPlan;
  readonly prompts: ConditioningPlan;
  readonly contexts: readonly (readonly TextContext[])[];
  readonly init: InitLatents | null;
  /** What an inpainting UNet sees beside the latents; null for others. */
  readonly channels: Float32Array | null;
  readonly controls: RunControls;
  readonly checkpoints: Checkpoints;
  /** Why negative prompts were left out so far. */
  readonly skipped: Set<SkipReason>;
  /** How prompts and negative prompts of unlike lengths were brought together so far. */
  readonly padded: Set<UncondPadding>;
  readonly progress: ProgressReporter;
  readonly clock: StageClock;
}

/** A unit in one pass. */
export interface PassControl extends BatchControl {
  readonly unit: ControlParams;
}

/** The ControlNets of each pass, their pictures at its size. */
export interface RunControls {
  readonly first: readonly PassControl[];
  readonly second: readonly PassControl[];
  /** Their control pictures as byproducts, which the job's first picture takes along. */
  readonly maps: ByproductPixels[];
}

/** The checkpoints of a job on its way. */
export interface Checkpoints {
  /** The one in memory. */
  current: PassName;
  /** As infotexts name them, once they were loaded. */
  readonly titles: Map<PassName, string>;
  /** Short hashes of the LoRAs that were used, by name: a second pass's follow the first's. */
  readonly loras: Map<string, string>;
}

/** Loads another checkpoint of the job, or the same with the networks of another pass's prompt. */
export async function loadPass(
  run: Run,
  pass: PassName,
  prompts: PassOfPrompts,
): Promise<PassCheckpoint> {
  const { job, checkpoints } = run;
  if (!job.loadPass) throw new TypeError('a job with one checkpoint');
  const loaded = await job.loadPass(pass, prompts);
  checkpoints.current = pass;
  checkpoints.titles.set(pass, loaded.title);
  for (const { name, shortHash } of loaded.loras ?? []) checkpoints.loras.set(name, shortHash);
  return loaded;
}

/** Whether the second pass loads for itself: it has a checkpoint of its own, or its prompt other LoRAs. */
export function loadsForSecond({ hires, prompt, usesNetworks }: GenerationParams): boolean {
  if (!hires) return false;
  if (hires.checkpoint !== null) return true;
  return usesNetworks && readsOtherNetworks(prompt, hires.prompt ?? prompt);
}

/** The run with the checkpoint that it began with in memory again. */
export async function withFirstCheckpoint(run: Run): Promise<Run> {
  if (run.checkpoints.current === 'first') return run;
  const { model, controlnets } = await loadPass(run, 'first', 'first');
  return { ...run, job: { ...run.job, model, controlnets } };
}

/** Pictures that are sampled together. */
export interface Batch {
  readonly index: number;
  readonly seeds: readonly number[];
  readonly subseeds: readonly number[];
}

/** Runs a task and books its time. */
export type StageClock = <T>(stage: keyof StageSeconds, task: () => Promise<T>) => Promise<T>;

export function createStageClock(seconds: StageSeconds): StageClock {
  return async (stage, task) => {
    const startedAt = performance.now();
    try {
      return await task();
    } finally {
      seconds[stage] += (performance.now() - startedAt) / 1000;
    }
  };
}

/** Shape of one picture's latents. */
export function shapeOf(
  { model }: Pick<PipelineJob, 'model'>,
  { height, width }: PixelSize,
): LatentShape {
  const { latentChannels: channels, vaeFactor } = model.description;
  return latentShape({ height, width, channels, vaeFactor });
}

/** Seeds of pictures `first` and on; with a subseed in play the seed stays and the subseed counts. */
export function batchSeeds(
  params: GenerationParams,
  first: number,
  count: number,
): Pick<Batch, 'seeds' | 'subseeds'> {
  const { seed, subseed, subseedStrength } = params;
  const places = Array.from({ length: count }, (_, place) => first + place);
  return {
    seeds: places.map((place) => (subseedStrength === 0 ? seed + place : seed)),
    subseeds: places.map((place) => subseed + place),
  };
}
