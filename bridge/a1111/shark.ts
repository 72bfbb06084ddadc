import { listUpscalers } from './catalog-routes.ts';
import { ApiError } from './errors.ts';
import { runExtras } from './extras.ts';
import { readImage } from './image-input.ts';
import type { ImagesResponse } from './replies.ts';
import type { RequestSurroundings } from './run-request.ts';
import { extrasSingleImageRequest, type Img2imgRequest, img2imgRequest } from './schemas.ts';
import type {
  SharkInpaintRequest,
  SharkOutpaintRequest,
  SharkUpscalerRequest,
} from './shark-schemas.ts';

/** SHARK's upscaler, Stable Diffusion x4, made four of every pixel's sides. */
const UPSCALE_FACTOR = 4;
/** Strong enough for the new part to become a picture, weak enough to keep the colours laid under it. */
const OUTPAINT_STRENGTH = 0.8;

type Common = Pick<
  SharkInpaintRequest,
  | 'prompt'
  | 'negative_prompt'
  | 'hf_model_id'
  | 'override_settings'
  | 'height'
  | 'width'
  | 'sampler_name'
  | 'cfg_scale'
  | 'steps'
  | 'seed'
  | 'n_iter'
>;

function commonOf(request: Common) {
  const { prompt, negative_prompt, hf_model_id, override_settings, height, width } = request;
  // SHARK's inpainting and outpainting fell back to DDIM.
  const { sampler_name = 'DDIM', cfg_scale, steps, seed, n_iter } = request;
  return {
    ...{ prompt, negative_prompt, hf_model_id, override_settings, height, width },
    ...{ sampler_name: sampler_name ?? 'DDIM', cfg_scale, steps, seed, n_iter },
  };
}

function firstImage(images: readonly string[] | null): string {
  const [first] = images ?? [];
  if (first === undefined) throw new ApiError(404, 'Init image not found');
  return first;
}

/** SHARK's inpaint as A1111's img2img: what the mask covers is made anew, whatever was there. */
export function inpaintOfShark(request: SharkInpaintRequest): Img2imgRequest {
  // A blank picture or mask would count as none further on.
  for (const text of [request.image, request.mask]) readImage(text);
  return img2imgRequest.parse({
    ...commonOf(request),
    init_images: [request.image],
    mask: request.mask,
    denoising_strength: 1,
    inpainting_fill: 0,
    inpaint_full_res: request.is_full_res,
    inpaint_full_res_padding: request.full_res_padding,
  });
}

/** SHARK's outpaint, which is A1111's script "Outpainting mk2". */
export function outpaintOfShark(request: SharkOutpaintRequest): Img2imgRequest {
  const { pixels, mask_blur, directions, noise_q, color_variation } = request;
  return img2imgRequest.parse({
    ...commonOf(request),
    init_images: [firstImage(request.init_images)],
    denoising_strength: request.denoising_strength ?? OUTPAINT_STRENGTH,
    script_name: 'Outpainting mk2',
    script_args: ['', pixels, mask_blur, directions ?? [], noise_q, color_variation],
  });
}

/**
 * SHARK's upscaler: the picture at four times its size. It is made with the first upscaler file there is, else with
 * Lanczos, because Easel has no Stable Diffusion x4; the reply says so.
 */
export async function sharkUpscale(
  request: SharkUpscalerRequest,
  { services, settings, client, signal }: Omit<RequestSurroundings, 'view'>,
): Promise<ImagesResponse> {
  const image = firstImage(request.init_images);
  const { width, height } = readImage(image);
  const known = (await listUpscalers(services.models)).map(({ name }) => name);
  const upscaler = known[3] ?? 'Lanczos';
  const { images } = await runExtras(
    [image],
    extrasSingleImageRequest.parse({ upscaler_1: upscaler, upscaling_resize: UPSCALE_FACTOR }),
    { services, settings, client, signal },
  );
  const note = `Upscaled by ${UPSCALE_FACTOR} with ${upscaler}. There is no Stable Diffusion x4 upscaler here, so prompt, steps and noise_level had no effect.`;
  settings.log?.(note);
  const { init_images: _images, ...parameters } = request;
  return {
    images,
    parameters: { ...parameters, init_images: null },
    info: JSON.stringify({
      ...{ prompt: request.prompt, all_prompts: [request.prompt] },
      ...{ negative_prompt: request.negative_prompt, all_negative_prompts: [''] },
      ...{ seed: Math.max(0, request.seed), all_seeds: [Math.max(0, request.seed)] },
      ...{ width: width * UPSCALE_FACTOR, height: height * UPSCALE_FACTOR, infotexts: [''] },
      extra_generation_params: { Upscaler: upscaler, 'Easel notes': note },
    }),
  };
}
