import type { LatentSpace, LatentsRequest } from '../diffusion-model.ts';
import type { PixelSize } from '../job-plan.ts';
import { createPreviewer } from '../previews.ts';
import type { PassConditioning } from '../prompt/plan.ts';
import { createImageRng } from '../sampling/rng/image-rng.ts';
import type { SamplingPlan } from '../sampling/sampling-plan.ts';
import type { PipelineJob } from './job.ts';
import { type Batch, type PassControl, type Run, shapeOf } from './run.ts';
import type { SamplePass } from './sample-pass.ts';

/** What a pass at this size needs of the model. */
export function latentsRequest(
  run: Run,
  size: PixelSize,
  inpaint: Float32Array | null,
  controls: readonly PassControl[],
): LatentsRequest {
  const [channels, height, width] = shapeOf(run.job, size);
  return {
    ...{ pictures: run.plan.pictures, channels, height, width },
    contexts: run.contexts.flat(),
    guidanceScale: run.job.params.guidanceScale,
    crop: { top: run.job.params.cropTop, left: run.job.params.cropLeft },
    aestheticScores: run.job.params.aestheticScores,
    inpaintChannels: inpaint,
    controls,
  };
}

/** What a first and a second pass say alike. */
export function passOf(
  { job, plan, contexts, skipped, padded }: Run,
  { seeds, subseeds }: Batch,
  size: PixelSize,
  sampling: SamplingPlan,
  conditioning: PassConditioning,
): Omit<SamplePass<never>, 'space' | 'init' | 'blend' | 'onStep' | 'onDenoised'> {
  const shape = shapeOf(job, size);
  const { params, model } = job;
  const { vaeFactor } = model.description;
  const source = params.randnSource;
  return {
    ...{ job, sampling, conditioning, contexts, seeds, shape },
    schedule: plan.schedule,
    rng: createImageRng({ ...params, seeds, subseeds, shape, source, vaeFactor }),
    onPad: () => padded.add(params.uncondPadding),
    onSkip: (reason) => skipped.add(reason),
  };
}

/** Shows the first picture of a batch on its way, as often as the job asks. */
export function previews<T>(
  { params, model, control }: PipelineJob,
  size: PixelSize,
  space: LatentSpace<T>,
): (done: number, denoised: T) => Promise<void> {
  const { previewEverySteps: every, previewMethod: method } = params;
  const previewer = createPreviewer(model.description, { size, method });
  return async (done, denoised) => {
    if (!control.onPreview || every === 0 || done % every !== 0) return;
    const pixels = await previewer.make(space, denoised);
    if (pixels) await control.onPreview(pixels);
  };
}
