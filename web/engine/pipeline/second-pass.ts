import { activeControls } from '../control/control-units.ts';
import type { LatentSpace } from '../diffusion-model.ts';
import { cropLatents, latentMode } from '../hires.ts';
import { toPixels } from '../images/pixels.ts';
import { encodeWholeLatents } from '../init-latents.ts';
import type { HiresPlan } from '../job-plan.ts';
import { resizeLatents } from '../latent-resize.ts';
import { enlargeTo } from '../upscaling/enlarge.ts';
import { finishBatch } from './finish.ts';
import { latentsRequest, passOf, previews } from './pass.ts';
import { channelsOf } from './prepare.ts';
import { type Batch, type Run, shapeOf } from './run.ts';
import { samplePass } from './sample-pass.ts';

/** Hires fix: samples a batch's enlarged latents again and finishes the pictures. */
export async function secondPass(
  run: Run,
  batch: Batch,
  hires: HiresPlan,
  enlarged: Float32Array,
): Promise<void> {
  const { job, plan, clock, progress } = run;
  const channels = run.channels
    ? await clock('encode', () => channelsOf(job, plan, null, hires))
    : null;
  const { second } = run.controls;
  const units = second.map(({ unit }) => unit);
  await job.model.withLatents(latentsRequest(run, hires, channels, second), async (space) => {
    const conditioning = run.prompts.hiresPass ?? run.prompts.firstPass;
    const latents = await clock('sample', () =>
      samplePass({
        ...passOf(run, batch, hires, hires.sampling, conditioning),
        space,
        init: enlarged,
        blend: null,
        controlsAt: (reached) => activeControls(units, reached, true),
        onStep: (done) => progress.stepDone(plan.sampling.steps + done),
        onDenoised: previews(job, hires, space),
      }),
    );
    if (job.control.isSkipped()) return;
    await clock('decode', () => finishBatch(run, batch, space, latents, hires));
  });
}

/** The first pass's latents at the second pass's size: resized themselves, or through enlarged pictures. */
export async function enlargeLatents<T>(
  run: Run,
  { target }: HiresPlan,
  space: LatentSpace<T>,
  latents: T,
): Promise<Float32Array> {
  const { job, plan } = run;
  const { params, model, control } = job;
  const [channels, height, width] = shapeOf(job, plan);
  const upscaler = params.hires?.upscaler ?? null;
  const mode = latentMode(upscaler);
  const parts: Float32Array[] = [];
  const all = mode === null ? null : await space.math.toArray(latents);
  const size = channels * height * width;
  for (let place = 0; place < plan.pictures; place++) {
    control.signal?.throwIfAborted();
    if (all && mode !== null) {
      const own = all.subarray(place * size, (place + 1) * size);
      parts.push(resizeLatents(own, { channels, height, width }, target.latent, mode));
      continue;
    }
    const pixels = toPixels(await space.decode(latents, place), plan.height, plan.width);
    const large = await enlargeTo(pixels, target, upscaler ?? 'None', {
      find: job.findUpscaler,
      signal: control.signal,
    });
    parts.push(await encodeWholeLatents(model, large));
  }
  const cropped = parts.map((part) => cropLatents(part, channels, target));
  const one = cropped[0]?.length ?? 0;
  const out = new Float32Array(one * cropped.length);
  for (const [place, part] of cropped.entries()) out.set(part, place * one);
  return out;
}
