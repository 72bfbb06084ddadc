import type { GenerationParams } from '../../protocol/generation.ts';
import { schedulerLabel } from '../../protocol/samplers.ts';

/** A job's parameters in A1111's words. The pictures come by their own addresses, not in the reply. */
export function toA1111Request(params: GenerationParams): Record<string, unknown> {
  return {
    prompt: params.prompt,
    negative_prompt: params.negativePrompt,
    width: params.width,
    height: params.height,
    steps: params.steps,
    cfg_scale: params.guidanceScale,
    sampler_name: params.sampler,
    scheduler: schedulerLabel(params.scheduler),
    seed: params.seed,
    subseed: params.subseed,
    subseed_strength: params.subseedStrength,
    batch_size: params.batchSize,
    n_iter: params.batchCount,
    clip_skip: params.clipSkip,
    send_images: false,
    ...(params.checkpoint === null
      ? {}
      : { override_settings: { sd_model_checkpoint: params.checkpoint } }),
    ...(params.mode === 'img2img'
      ? {
          init_images: params.initImages,
          denoising_strength: params.denoisingStrength,
          resize_mode: params.resizeMode,
          ...maskFields(params.inpaint),
        }
      : hiresFields(params.hires)),
  };
}

function maskFields(inpaint: GenerationParams['inpaint']): Record<string, unknown> {
  if (!inpaint) return {};
  return {
    mask: inpaint.mask,
    mask_blur_x: inpaint.blurX,
    mask_blur_y: inpaint.blurY,
    mask_round: inpaint.isRounded,
    inpainting_fill: inpaint.fill,
    inpaint_full_res: inpaint.isOnlyMasked,
    inpaint_full_res_padding: inpaint.padding,
    inpainting_mask_invert: inpaint.isInverted ? 1 : 0,
  };
}

/** Only what the form has; the rest is the first pass's, which is what the API takes it for. */
function hiresFields(hires: GenerationParams['hires']): Record<string, unknown> {
  if (!hires) return {};
  const { sampler, scheduler, prompt, negativePrompt } = hires;
  return {
    enable_hr: true,
    ...(hires.upscaler === null ? {} : { hr_upscaler: hires.upscaler }),
    hr_scale: hires.scale,
    hr_second_pass_steps: hires.steps,
    denoising_strength: hires.denoisingStrength,
    ...(sampler === null ? {} : { hr_sampler_name: sampler }),
    ...(scheduler === null ? {} : { hr_scheduler: schedulerLabel(scheduler) }),
    ...(prompt === null ? {} : { hr_prompt: prompt }),
    ...(negativePrompt === null ? {} : { hr_negative_prompt: negativePrompt }),
  };
}
