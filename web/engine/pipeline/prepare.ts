import type { GenerationParams } from '../../../protocol/generation.ts';
import {
  controlTensor,
  fitControlMap,
  makeControlMap,
  type RedrawnPart,
} from '../control/control-picture.ts';
import type { TextContext } from '../diffusion-model.ts';
import { encodeInitImages, type InitLatents } from '../init-latents.ts';
import { inpaintChannels } from '../inpaint-channels.ts';
import { type JobPlan, type PixelSize, promptSteps } from '../job-plan.ts';
import type { ConditioningPlan } from '../prompt/plan.ts';
import { latentSize } from '../sampling/latents.ts';
import { createImageRng, type LatentShape } from '../sampling/rng/image-rng.ts';
import type { ByproductPixels, PipelineJob } from './job.ts';
import { batchSeeds, type PassControl, type RunControls, shapeOf } from './run.ts';

/** Which texts guide which step of which pass. */
export function planPrompts({ params, model }: PipelineJob): ConditioningPlan {
  const { hires, steps, sampler, emphasis, commaPadding } = params;
  const second = params.mode === 'txt2img' ? hires : null;
  return model.planPrompts({
    prompts: [params.prompt],
    negativePrompts: [params.negativePrompt],
    ...promptSteps(params),
    ...(second
      ? {
          hires: {
            ...promptSteps({
              countsSecondOrderOnce: params.countsSecondOrderOnce,
              steps: second.steps > 0 ? second.steps : steps,
              sampler: second.sampler ?? sampler,
            }),
            ...(second.prompt === null ? {} : { prompts: [second.prompt] }),
            ...(second.negativePrompt === null ? {} : { negativePrompts: [second.negativePrompt] }),
          },
        }
      : {}),
    useOldScheduling: params.useOldScheduling,
    needsEmpty: params.uncondPadding === 'pad',
    chunkOptions: {
      emphasis,
      commaPaddingBacktrack: commaPadding,
      usesOldEmphasis: usesOldEmphasis({ params, model }),
    },
  });
}

/** Whether the job's brackets weigh in A1111's first way, which knew no other encoder than SD 1's. */
export function usesOldEmphasis({ params, model }: Pick<PipelineJob, 'params' | 'model'>): boolean {
  return params.usesOldEmphasis && model.description.family === 'sd1';
}

/** Contexts of every group of the plan. */
export async function encodeTexts(
  { params, model, control }: PipelineJob,
  { groups }: ConditioningPlan,
): Promise<(readonly TextContext[])[]> {
  const contexts: (readonly TextContext[])[] = [];
  for (const group of groups) {
    control.signal?.throwIfAborted();
    contexts.push(await model.encodeTexts(group, params.clipSkip));
  }
  return contexts;
}

/** Latents that img2img starts from, masked areas filled with noise or nothing where that was asked for. */
export async function encodeInit(job: PipelineJob, plan: JobPlan): Promise<InitLatents | null> {
  const { params, model, decodeImage, findUpscaler, control } = job;
  if (params.mode !== 'img2img') return null;
  const { height, width } = plan;
  const options = { model, height, width, decodeImage, findUpscaler, signal: control.signal };
  const init = await encodeInitImages(params, options);
  const fill = params.inpaint?.fill ?? 1;
  if (!init.inpaint || fill < 2) return init;
  const shape = shapeOf(job, plan);
  const { seeds } = batchSeeds(params, 0, plan.pictures);
  const noise = fill === 2 ? noiseOf(params, seeds, shape) : null;
  const { latentMask } = init.inpaint;
  const values = new Float32Array(plan.pictures * latentSize(shape));
  for (let i = 0; i < values.length; i++) {
    const share = latentMask[i % latentMask.length] as number;
    const known = init.values[i % init.values.length] as number;
    values[i] = known * (1 - share) + (noise?.[i] ?? 0) * share;
  }
  return { ...init, values };
}

/** The plain noise of the seeds. */
function noiseOf(
  params: GenerationParams,
  seeds: readonly number[],
  shape: LatentShape,
): Float32Array {
  const plain = {
    subseeds: [],
    subseedStrength: 0,
    seedResizeFromWidth: 0,
    seedResizeFromHeight: 0,
  };
  const source = params.randnSource;
  return createImageRng({ shape, seeds, source, etaNoiseSeedDelta: 0, ...plain }).first();
}

/**
 * The control pictures of both passes: each preprocessed once, then fitted to the pass. As in sd-webui-controlnet, a unit
 * shows its map at the sizes of all passes, the second's first, whichever it works in.
 */
export async function prepareControls(
  { params, controlnets = [], decodeImage, control }: PipelineJob,
  plan: JobPlan,
  init: InitLatents | null,
): Promise<RunControls> {
  const first: PassControl[] = [];
  const second: PassControl[] = [];
  const maps: ByproductPixels[] = [];
  const isShown = params.byproducts.includes('control-map');
  const { width, height, hires } = plan;
  const part = redrawnPart(init);
  for (const { unit, net } of controlnets) {
    control.signal?.throwIfAborted();
    const size = { width, height };
    const map = await makeControlMap(unit, { params, size, decodeImage, part });
    const small = fitControlMap(map, size);
    const large = hires && fitControlMap(map, hires);
    if (unit.passes !== 'second' || !large) {
      first.push({ unit, net, picture: controlTensor(small) });
    }
    if (unit.passes !== 'first' && large) {
      second.push({ unit, net, picture: controlTensor(large) });
    }
    if (!isShown || !unit.isMapShown) continue;
    for (const pixels of large ? [large, small] : [small]) {
      maps.push({ kind: 'control-map', module: unit.module, pixels });
    }
  }
  return { first, second, maps };
}

/** "Only masked": control pictures are cut as the init picture is. */
function redrawnPart(init: InitLatents | null): RedrawnPart | null {
  const { place = null, overlays = [] } = init?.inpaint ?? {};
  const [overlay] = overlays;
  if (!place || !overlay) return null;
  const { x: left, y: top, width, height } = place;
  const region = { left, top, right: left + width, bottom: top + height };
  return { region, maskSize: overlay };
}

/** What an inpainting UNet sees beside a pass's latents; without `init` it is shown nothing. */
export function channelsOf(
  { params, model }: PipelineJob,
  { pictures }: JobPlan,
  init: InitLatents | null,
  { width, height }: PixelSize,
): Promise<Float32Array> {
  const shown = {
    images: init?.images ?? [],
    mask: init?.inpaint?.mask ?? null,
    isRounded: params.inpaint?.isRounded ?? true,
    weight: params.inpaintingMaskWeight,
  };
  return inpaintChannels(model, shown, { pictures, width, height });
}
