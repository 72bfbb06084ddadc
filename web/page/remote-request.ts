import { CONTROL_MODES, CONTROL_RESIZE_MODES, type ControlParams } from '../../protocol/control.ts';
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
    ...overrides(params),
    ...refinerFields(params.refiner),
    ...controlnetScript(params.controls),
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

/** What A1111 has as options, set for this job alone. */
function overrides({ checkpoint, vae }: GenerationParams): Record<string, unknown> {
  const settings = {
    ...(checkpoint === null ? {} : { sd_model_checkpoint: checkpoint }),
    ...(vae === null ? {} : { sd_vae: vae }),
  };
  return Object.keys(settings).length === 0 ? {} : { override_settings: settings };
}

function refinerFields(refiner: GenerationParams['refiner']): Record<string, unknown> {
  if (!refiner) return {};
  return { refiner_checkpoint: refiner.checkpoint, refiner_switch_at: refiner.switchAt };
}

/** sd-webui-controlnet's units; one that is switched off holds its place. */
function controlnetScript(controls: readonly ControlParams[]): Record<string, unknown> {
  if (controls.length === 0) return {};
  const count = Math.max(...controls.map(({ unit }) => unit)) + 1;
  const args = Array.from({ length: count }, (_, unit) => {
    const control = controls.find((each) => each.unit === unit);
    return control ? controlnetUnit(control) : { enabled: false };
  });
  return { alwayson_scripts: { controlnet: { args } } };
}

function controlnetUnit(control: ControlParams): Record<string, unknown> {
  return {
    enabled: true,
    model: control.model,
    module: control.module,
    ...(control.image === null ? {} : { image: control.image }),
    weight: control.weight,
    resize_mode: CONTROL_RESIZE_MODES.indexOf(control.resizeMode),
    processor_res: control.processorResolution ?? -1,
    threshold_a: control.thresholdA ?? -1,
    threshold_b: control.thresholdB ?? -1,
    guidance_start: control.guidanceStart,
    guidance_end: control.guidanceEnd,
    pixel_perfect: control.isPixelPerfect,
    control_mode: CONTROL_MODES.indexOf(control.mode),
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
