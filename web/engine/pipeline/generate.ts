import { isInpaintingModel } from '../inpaint-channels.ts';
import { type JobPlan, planJob } from '../job-plan.ts';
import { createProgressReporter } from '../progress.ts';
import type { UncondPadding } from '../prompt/conditioning.ts';
import type { SkipReason } from '../sampling/denoiser.ts';
import { infotextOf, sharedHiresTexts } from './finish.ts';
import { firstPass } from './first-pass.ts';
import type { PipelineJob, PipelineResult, StageSeconds } from './job.ts';
import { channelsOf, encodeInit, encodeTexts, planPrompts, prepareControls } from './prepare.ts';
import { type Batch, batchSeeds, createStageClock, type Run, withFirstCheckpoint } from './run.ts';
import { secondPass } from './second-pass.ts';

/**
 * Makes a job's pictures: `batchCount` batches of `batchSize`. Rejects with AbortError when the signal is
 * aborted; an interrupted job resolves with what exists, the picture at hand as far as it came.
 */
export async function generate(job: PipelineJob): Promise<PipelineResult> {
  const { params, model, control } = job;
  const plan = planJob(params, model.description);
  const seconds: StageSeconds = { encode: 0, sample: 0, decode: 0 };
  let run = await prepare(job, plan, seconds);
  for (let index = 0; index < params.batchCount && !control.isInterrupted(); index++) {
    control.signal?.throwIfAborted();
    control.beginBatch();
    run.progress.beginBatch(index);
    run = await withFirstCheckpoint(run);
    await makeBatch(run, { index, ...batchSeeds(params, index * plan.pictures, plan.pictures) });
  }
  const { width, height } = plan.hires ?? plan;
  return {
    width,
    height,
    interrupted: control.isInterrupted(),
    extraParams: { ...infotextOf(run), ...sharedHiresTexts(plan) },
    notes: run.init?.notes ?? [],
    seconds,
  };
}

/** Encodes texts and pictures, once for all batches. */
async function prepare(job: PipelineJob, plan: JobPlan, seconds: StageSeconds): Promise<Run> {
  const isInpainting = isInpaintingModel(job.model.description);
  const clock = createStageClock(seconds);
  const progress = createProgressReporter({
    batches: job.params.batchCount,
    pictures: plan.pictures,
    steps: plan.sampling.steps + (plan.hires?.sampling.steps ?? 0),
    report: job.control.onProgress,
  });
  progress.encoding();
  const prompts = planPrompts(job);
  const contexts = await clock('encode', () => encodeTexts(job, prompts));
  const init = await clock('encode', () => encodeInit(job, plan));
  const channels = isInpainting
    ? await clock('encode', () => channelsOf(job, plan, init, plan))
    : null;
  const controls = await clock('encode', () => prepareControls(job, plan, init));
  const about = {
    init,
    channels,
    controls,
    skipped: new Set<SkipReason>(),
    padded: new Set<UncondPadding>(),
    checkpoints: {
      current: 'first' as const,
      titles: new Map(),
      loras: new Map((job.loras ?? []).map(({ name, shortHash }) => [name, shortHash])),
    },
  };
  return { job, plan, prompts, contexts, ...about, progress, clock };
}

async function makeBatch(run: Run, batch: Batch): Promise<void> {
  const enlarged = await firstPass(run, batch);
  if (!enlarged) return;
  run.job.control.signal?.throwIfAborted();
  await secondPass(run, batch, enlarged);
}
