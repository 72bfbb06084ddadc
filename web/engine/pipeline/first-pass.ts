import { activeControls } from '../control/control-units.ts';
import { latentSize } from '../sampling/latents.ts';
import { type Enlarged, enlargeGiven, enlargeLatents } from './enlarge.ts';
import { finishBatch } from './finish.ts';
import { latentsRequest, passOf, previews } from './pass.ts';
import { refinerTurn } from './refiner.ts';
import { type Batch, type Run, shapeOf } from './run.ts';
import { type LatentBlend, samplePass } from './sample-pass.ts';

/**
 * Samples a batch from its noise or its picture. Without a second pass its pictures are finished here; else
 * what the second pass starts from is answered, null where there is to be none any more.
 */
export async function firstPass(run: Run, batch: Batch): Promise<Enlarged | null> {
  const { job, plan, init, channels, controls, clock, progress } = run;
  const units = controls.first.map(({ unit }) => unit);
  const { control } = job;
  const { hires } = plan;
  const given = job.params.hires?.firstPassImage ?? null;
  if (hires && given !== null) return clock('encode', () => enlargeGiven(run, hires, given));
  return job.model.withLatents(
    latentsRequest(run, plan, channels, controls.first),
    async (space) => {
      const sampled = await clock('sample', () =>
        samplePass({
          ...passOf(run, batch, plan, plan.sampling, run.prompts.firstPass),
          space,
          init: init?.values ?? null,
          blend: blendOf(run),
          controlsAt: (reached) => activeControls(units, reached, false),
          refiner: refinerTurn(run, plan, plan.sampling, controls.first, 'first'),
          onStep: progress.stepDone,
          onDenoised: previews(job, plan, space),
        }),
      );
      const { latents, space: last } = sampled;
      try {
        if (control.isSkipped()) return null;
        if (hires && !control.isInterrupted())
          return await enlargeLatents(run, hires, last, latents);
        await clock('decode', () => finishBatch(run, batch, last, latents, plan));
        return null;
      } finally {
        await sampled.close();
      }
    },
  );
}

/** The mask over a batch: what is not redrawn is the picture's own. */
function blendOf({ job, plan, init }: Run): LatentBlend | null {
  if (!init?.inpaint) return null;
  const { latentMask } = init.inpaint;
  const size = plan.pictures * latentSize(shapeOf(job, plan));
  const share = Float32Array.from(
    { length: size },
    (_, i) => latentMask[i % latentMask.length] as number,
  );
  const known = share.map(
    (value, i) => (1 - value) * (init.values[i % init.values.length] as number),
  );
  return { share, known };
}
