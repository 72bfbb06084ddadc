import { GenerationError } from '../../../protocol/errors.ts';
import type { RefinerParams } from '../../../protocol/generation.ts';
import type { LatentSpace } from '../diffusion-model.ts';
import { isInpaintingModel } from '../inpaint-channels.ts';
import { type PixelSize, planJob } from '../job-plan.ts';
import type { NoiseSchedule } from '../sampling/noise-schedule.ts';
import type { SamplingPlan } from '../sampling/sampling-plan.ts';
import { latentsRequest } from './pass.ts';
import { channelsOf, encodeTexts, planPrompts } from './prepare.ts';
import { loadPass, type PassControl, type Run } from './run.ts';
import type { PassSide, RefinerTurn } from './sample-pass.ts';

/** The refiner's turn in a pass; null where it has none. */
export function refinerTurn(
  run: Run,
  size: PixelSize,
  sampling: SamplingPlan,
  controls: readonly PassControl[],
  pass: 'first' | 'second',
): RefinerTurn | null {
  const { refiner, hires } = run.job.params;
  if (!refiner || (hires && refiner.passes !== 'both' && refiner.passes !== pass)) return null;
  const { schedule } = run.plan;
  return {
    isDue: (level, call) =>
      reached(refiner, { level, call, sampling, schedule }) >= refiner.switchAt,
    open: <T>() => openRefiner<T>(run, size, controls, pass),
  };
}

/**
 * How far a call is on its way, 0 to 1: by the time of its noise level, as A1111 has it since 1.10, or by the calls
 * that were made.
 */
function reached(
  { isBySteps }: RefinerParams,
  at: { level: number; call: number; sampling: SamplingPlan; schedule: NoiseSchedule },
): number {
  const { level, call, sampling, schedule } = at;
  if (isBySteps) return call / sampling.totalCalls;
  const last = schedule.sigmas.length - 1;
  const time = sampling.kind === 'sigma' ? nearest(schedule.sigmas, level) : Math.trunc(level);
  return (last - time) / (last + 1);
}

function nearest(sigmas: Float32Array, sigma: number): number {
  let best = 0;
  for (const [index, each] of sigmas.entries()) {
    if (Math.abs(each - sigma) < Math.abs((sigmas[best] as number) - sigma)) best = index;
  }
  return best;
}

/** Loads the refiner in the checkpoint's place; it reads texts and control pictures anew and stays to the pass's end. */
async function openRefiner<T>(
  run: Run,
  size: PixelSize,
  controls: readonly PassControl[],
  pass: 'first' | 'second',
): Promise<PassSide<T> & { close(): Promise<void> }> {
  const before = run.job.model.description;
  const { model, controlnets, title } = await loadPass(run, 'refiner', pass);
  const { description } = model;
  if (
    description.latentChannels !== before.latentChannels ||
    description.vaeFactor !== before.vaeFactor
  ) {
    throw new GenerationError(
      'invalid-request',
      `The refiner ${title} has latents of another shape than the checkpoint. Choose one of the same family.`,
    );
  }
  const job = { ...run.job, model, controlnets };
  const plan = planJob(job.params, description);
  const prompts = planPrompts(job);
  const contexts = await encodeTexts(job, prompts);
  const nets = controls.map((control) => ({
    ...control,
    net: controlnets.find(({ unit }) => unit.unit === control.unit.unit)?.net ?? control.net,
  }));
  const channels = isInpaintingModel(description)
    ? await channelsOf(job, plan, pass === 'first' ? run.init : null, size)
    : null;
  const request = latentsRequest({ ...run, job, contexts }, size, channels, nets);
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let closed: Promise<void> = Promise.resolve();
  const space = await new Promise<LatentSpace<T>>((resolve, reject) => {
    closed = model.withLatents(request, async (opened) => {
      // Latents of one runtime are of one kind, whatever the checkpoint.
      resolve(opened as unknown as LatentSpace<T>);
      await ended;
    });
    closed.catch(reject);
  });
  const second = pass === 'second' ? prompts.hiresPass : null;
  return {
    ...{ space, description, schedule: plan.schedule, contexts },
    conditioning: second ?? prompts.firstPass,
    async close() {
      end();
      await closed;
    },
  };
}
