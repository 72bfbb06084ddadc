import { GenerationError } from '../../../protocol/errors.ts';
import { activeControls } from '../control/control-units.ts';
import { isInpaintingModel } from '../inpaint-channels.ts';
import { type HiresPlan, planJob } from '../job-plan.ts';
import { type Enlarged, startOfSecond } from './enlarge.ts';
import { finishBatch } from './finish.ts';
import { latentsRequest, passOf, previews } from './pass.ts';
import { channelsOf, encodeTexts, planPrompts, prepareControls } from './prepare.ts';
import { refinerTurn } from './refiner.ts';
import { type Batch, loadPass, loadsForSecond, type Run, withFirstCheckpoint } from './run.ts';
import { samplePass } from './sample-pass.ts';

/** Hires fix: samples a batch's enlarged latents again and finishes the pictures. */
export async function secondPass(run: Run, batch: Batch, enlarged: Enlarged): Promise<void> {
  const { clock, progress } = run;
  const { own, hires } = await secondRun(run);
  const { job, plan } = own;
  const init = await clock('encode', () => startOfSecond(own, hires, enlarged));
  const channels = isInpaintingModel(job.model.description)
    ? await clock('encode', () => channelsOf(job, plan, null, hires))
    : null;
  const { second } = own.controls;
  const units = second.map(({ unit }) => unit);
  await job.model.withLatents(latentsRequest(own, hires, channels, second), async (space) => {
    const conditioning = own.prompts.hiresPass ?? own.prompts.firstPass;
    const sampled = await clock('sample', () =>
      samplePass({
        ...passOf(own, batch, hires, hires.sampling, conditioning),
        space,
        init,
        blend: null,
        controlsAt: (reached) => activeControls(units, reached, true),
        refiner: refinerTurn(own, hires, hires.sampling, second, 'second'),
        onStep: (done) => progress.stepDone(plan.sampling.steps + done),
        onDenoised: previews(job, hires, space),
      }),
    );
    try {
      if (job.control.isSkipped()) return;
      const { latents, space: last } = sampled;
      await clock('decode', () => finishBatch(run, batch, last, latents, hires, enlarged.before));
    } finally {
      await sampled.close();
    }
  });
}

/**
 * The run as its second pass has it: with a checkpoint of its own, or with LoRAs in its prompt that the first pass's
 * does not have, it loads for itself and reads the texts anew.
 */
async function secondRun(run: Run): Promise<{ own: Run; hires: HiresPlan }> {
  const { params } = run.job;
  if (!loadsForSecond(params)) {
    return { own: await withFirstCheckpoint(run), hires: hiresOf(run.plan) };
  }
  const before = run.job.model.description;
  const { model, controlnets, title } = await loadPass(run, 'second', 'second');
  const { latentChannels, vaeFactor } = model.description;
  if (latentChannels !== before.latentChannels || vaeFactor !== before.vaeFactor) {
    throw new GenerationError(
      'invalid-request',
      `The checkpoint ${title} has latents of another shape than the first pass's. Choose one of the same family for the second pass.`,
    );
  }
  const job = { ...run.job, model, controlnets };
  const plan = planJob(params, model.description);
  const isSameCheckpoint = params.hires?.checkpoint == null;
  const usesFirstTexts = isSameCheckpoint && params.hires?.usesFirstTexts === true;
  const prompts = usesFirstTexts ? run.prompts : planPrompts(job);
  const contexts = usesFirstTexts
    ? run.contexts
    : await run.clock('encode', () => encodeTexts(job, prompts));
  const controls = await run.clock('encode', () => prepareControls(job, plan, run.init));
  return { own: { ...run, job, plan, prompts, contexts, controls }, hires: hiresOf(plan) };
}

function hiresOf({ hires }: Run['plan']): HiresPlan {
  if (hires) return hires;
  throw new TypeError('a job without a second pass');
}
