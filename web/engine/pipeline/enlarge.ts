import type { LatentSpace } from '../diffusion-model.ts';
import { cropLatents, latentMode } from '../hires.ts';
import { type Pixels, toPixels } from '../images/pixels.ts';
import { flatten } from '../images/rgba.ts';
import { encodeWholeLatents } from '../init-latents.ts';
import type { HiresPlan } from '../job-plan.ts';
import { resizeLatents } from '../latent-resize.ts';
import { enlargeTo } from '../upscaling/enlarge.ts';
import { type Run, shapeOf } from './run.ts';

/**
 * A batch on its way to the second pass: latents of its size before the crop, or pictures that are still to be encoded;
 * and the pictures that they were, where the job asks for these.
 */
export type Enlarged = (
  | { readonly latents: readonly Float32Array[] }
  | { readonly pictures: readonly Pixels[] }
) & { readonly before: readonly Pixels[] };

/** The first pass's latents at the second pass's size: resized themselves, or through enlarged pictures. */
export async function enlargeLatents<T>(
  run: Run,
  { target }: HiresPlan,
  space: LatentSpace<T>,
  latents: T,
): Promise<Enlarged> {
  const { job, plan } = run;
  const [channels, height, width] = shapeOf(job, plan);
  const mode = latentMode(job.params.hires?.upscaler ?? null);
  const places = Array.from({ length: plan.pictures }, (_, place) => place);
  const isKept = job.params.byproducts.includes('before-highres-fix');
  const before: Pixels[] = [];
  if (mode !== null) {
    for (const place of isKept ? places : []) before.push(await decode(run, space, latents, place));
    const all = await space.math.toArray(latents);
    const size = channels * height * width;
    return {
      latents: places.map((place) => {
        const own = all.subarray(place * size, (place + 1) * size);
        return resizeLatents(own, { channels, height, width }, target.latent, mode);
      }),
      before,
    };
  }
  const pictures: Pixels[] = [];
  for (const place of places) {
    const pixels = await decode(run, space, latents, place);
    if (isKept) before.push(pixels);
    pictures.push(await enlargePicture(run, target, pixels));
  }
  return { pictures, before };
}

async function decode<T>(
  { job, plan }: Run,
  space: LatentSpace<T>,
  latents: T,
  place: number,
): Promise<Pixels> {
  job.control.signal?.throwIfAborted();
  return toPixels(await space.decode(latents, place), plan.height, plan.width);
}

/** A picture that is given in the place of the first pass's, enlarged in the same way. */
export async function enlargeGiven(
  run: Run,
  { target }: HiresPlan,
  encoded: string,
): Promise<Enlarged> {
  const { job, plan } = run;
  const pixels = flatten(await job.decodeImage(encoded, 'firstpass_image'), '#ffffff');
  const mode = latentMode(job.params.hires?.upscaler ?? null);
  if (mode === null) {
    const large = await enlargePicture(run, target, pixels);
    return { pictures: new Array<Pixels>(plan.pictures).fill(large), before: [] };
  }
  const { vaeFactor, latentChannels: channels } = job.model.description;
  const [height, width] = [pixels.height, pixels.width].map((side) => Math.floor(side / vaeFactor));
  const plane = { channels, height: height ?? 0, width: width ?? 0 };
  const own = await encodeWholeLatents(job.model, pixels);
  const latents = resizeLatents(own, plane, target.latent, mode);
  return { latents: new Array<Float32Array>(plan.pictures).fill(latents), before: [] };
}

function enlargePicture(
  { job }: Run,
  target: HiresPlan['target'],
  pixels: Pixels,
): Promise<Pixels> {
  return enlargeTo(pixels, target, job.params.hires?.upscaler ?? 'None', {
    find: job.findUpscaler,
    signal: job.control.signal,
  });
}

/** What the second pass starts from, [pictures, channels, height, width]; its own checkpoint encodes pictures. */
export async function startOfSecond(
  { job, plan }: Run,
  { target }: HiresPlan,
  enlarged: Enlarged,
): Promise<Float32Array> {
  const { latentChannels: channels } = job.model.description;
  const parts: Float32Array[] = [];
  for (let place = 0; place < plan.pictures; place++) {
    job.control.signal?.throwIfAborted();
    const part =
      'latents' in enlarged
        ? enlarged.latents[place]
        : await encodePlace(job.model, enlarged.pictures[place]);
    if (part) parts.push(cropLatents(part, channels, target));
  }
  const one = parts[0]?.length ?? 0;
  const out = new Float32Array(one * parts.length);
  for (const [place, part] of parts.entries()) out.set(part, place * one);
  return out;
}

async function encodePlace(
  model: Run['job']['model'],
  pixels: Pixels | undefined,
): Promise<Float32Array | undefined> {
  return pixels && encodeWholeLatents(model, pixels);
}
