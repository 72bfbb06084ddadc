import type { GenerationParams } from '../../../protocol/generation.ts';
import type { InfotextInput } from '../../../protocol/infotext-values.ts';
import { controlInfotext } from '../control/control-units.ts';
import type { LatentSpace } from '../diffusion-model.ts';
import { type Pixels, toPixels } from '../images/pixels.ts';
import type { JobPlan, PixelSize } from '../job-plan.ts';
import { networkHashes, promptInfotextParams } from '../prompt/infotext-params.ts';
import { skippingInfotext } from '../sampling/denoiser.ts';
import { completePicture } from './complete-picture.ts';
import type { FinishedPicture } from './job.ts';
import { usesOldEmphasis } from './prepare.ts';
import type { Batch, Run } from './run.ts';
import { uncondSkipping } from './sample-pass.ts';

/**
 * Decodes a batch and hands its pictures on, each under what its mask keeps; `before` are the pictures that a second pass
 * began with.
 */
export async function finishBatch<T>(
  run: Run,
  { index: batch, seeds, subseeds }: Batch,
  space: LatentSpace<T>,
  latents: T,
  { width, height }: PixelSize,
  before: readonly Pixels[] = [],
): Promise<void> {
  const { job, plan, init, progress } = run;
  const { control } = job;
  for (let place = 0; place < plan.pictures; place++) {
    control.signal?.throwIfAborted();
    progress.decoding(place);
    const decoded = toPixels(await space.decode(latents, place), height, width);
    const source = { place, init, before: before[place] };
    const { pixels, byproducts } = await completePicture(job, decoded, source);
    const image = await job.finishImage({
      index: batch * plan.pictures + place,
      pixels,
      byproducts: [...byproducts, ...run.controls.maps.splice(0)],
      seed: seeds[place] ?? 0,
      subseed: subseeds[place] ?? 0,
      extraParams: infotextOf(run),
      notes: init?.notes ?? [],
    });
    control.onImage?.(image);
  }
}

/** Infotext keys beyond the fixed ones, in the order in which A1111 comes to know them. */
export function infotextOf({
  job,
  plan,
  init,
  prompts,
  skipped,
  padded,
  checkpoints,
}: Run): FinishedPicture['extraParams'] {
  const { params } = job;
  const skipping = uncondSkipping(params);
  const isHidden = (key: 'Lora hashes' | 'TI hashes') => params.hiddenInfotextKeys.includes(key);
  const loras = [...checkpoints.loras].map(([name, shortHash]) => ({ name, shortHash }));
  const loraHashes = networkHashes(loras);
  const skips = [...skipped].map((reason) => skippingInfotext(skipping, reason));
  return {
    ...controlInfotext(params.controls),
    ...(init && job.vaeStandIns?.encodes ? { 'VAE Encoder': 'TAESD' } : {}),
    ...init?.infotext,
    ...(params.hires?.checkpoint == null
      ? {}
      : named('Hires checkpoint', checkpoints.titles.get('second'))),
    ...plan.hiresInfotext,
    ...(loraHashes === null || isHidden('Lora hashes') ? {} : { 'Lora hashes': loraHashes }),
    ...(usesOldEmphasis(job)
      ? {}
      : promptInfotextParams(prompts.groups, {
          emphasis: params.emphasis,
          ...(job.embeddingHash && !isHidden('TI hashes')
            ? { embeddingHash: job.embeddingHash }
            : {}),
        })),
    ...(params.useOldScheduling ? { 'Old prompt editing timelines': true } : {}),
    ...plan.infotext,
    ...Object.assign({}, ...skips),
    ...refinerInfotext(params, checkpoints.titles.get('refiner')),
    ...(padded.has('pad') ? { 'Pad conds': true } : {}),
    ...(padded.has('pad-v0') ? { 'Pad conds v0': true } : {}),
    ...(job.vaeStandIns?.decodes ? { 'VAE Decoder': 'TAESD' } : {}),
  };
}

function named(key: string, title: string | undefined): Record<string, InfotextInput> {
  return title === undefined ? {} : { [key]: title };
}

/** The refiner is told once it took over. */
function refinerInfotext(
  { refiner, hires }: GenerationParams,
  title: string | undefined,
): Record<string, InfotextInput> {
  if (!refiner || title === undefined) return {};
  return {
    ...(hires && refiner.passes !== 'second'
      ? { 'Hires refiner': `${refiner.passes} pass${refiner.passes === 'both' ? 'es' : ''}` }
      : {}),
    ...{ Refiner: title, 'Refiner switch at': refiner.switchAt },
  };
}

/** A1111's own have null for texts that could differ from picture to picture. */
export function sharedHiresTexts({ hires }: JobPlan): Record<string, null> {
  return hires ? { 'Hires prompt': null, 'Hires negative prompt': null } : {};
}
