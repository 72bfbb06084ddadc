import { type HiresParams, hiresParams, LATENT_UPSCALE_MODES } from '../../protocol/generation.ts';
import { SAME_SAMPLER, SAME_SCHEDULER } from '../../protocol/sampler-names.ts';
import type { SamplerName, SchedulerName } from '../../protocol/samplers.ts';
import { applyNamedStyles, type PromptStyle } from '../../protocol/styles.ts';
import { type CheckpointEntry, findCheckpoint } from './checkpoints.ts';
import { ApiError } from './errors.ts';
import { readImage } from './image-input.ts';
import type { Options } from './options.ts';
import { chooseSampler } from './sampler-choice.ts';
import type { Txt2imgRequest } from './schemas.ts';

/** A1111's default, which its API leaves out of a hires request only to fail on it. */
const DEFAULT_STRENGTH = 0.75;

/** What A1111's page sends for the first pass's checkpoint. */
const SAME_CHECKPOINT = 'Use same checkpoint';

/** What the first pass is, as far as the second one repeats it. */
export interface FirstPass {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly sampler: SamplerName;
  readonly scheduler: SchedulerName;
  readonly styles: readonly PromptStyle[];
  /** Adds the LoRA that the options name to a prompt. */
  readonly withLora: (prompt: string) => string;
  /** Names of the upscalers that are files. */
  readonly upscalers: readonly string[];
  readonly checkpoints: readonly CheckpointEntry[];
  /** Whether its texts are the first pass's work. */
  readonly usesFirstTexts: boolean;
}

/** The second pass of a request, or null without one. An unknown upscaler becomes "Latent", with a note. */
export function hiresOf(
  request: Txt2imgRequest,
  first: FirstPass,
): { hires: HiresParams | null; notes: readonly string[] } {
  if (!request.enable_hr) return { hires: null, notes: [] };
  const { upscaler, notes } = chooseUpscaler(request.hr_upscaler, first.upscalers);
  const named = request.hr_sampler_name === SAME_SAMPLER ? null : request.hr_sampler_name;
  const schedule = request.hr_scheduler === SAME_SCHEDULER ? null : request.hr_scheduler;
  const chosen = chooseSampler(named ?? first.sampler, schedule);
  // A schedule that came with an old combined name counts like one that was asked for.
  const hasSchedule = schedule !== null || (named !== null && chosen.scheduler !== 'automatic');
  const texts = applyNamedStyles(
    {
      prompt: request.hr_prompt === '' ? request.prompt : request.hr_prompt,
      negativePrompt:
        request.hr_negative_prompt === '' ? request.negative_prompt : request.hr_negative_prompt,
    },
    request.styles ?? [],
    first.styles,
  );
  const prompt = first.withLora(texts.prompt);
  return {
    hires: hiresParams.parse({
      scale: Math.max(0.05, request.hr_scale),
      resizeWidth: request.hr_resize_x,
      resizeHeight: request.hr_resize_y,
      upscaler,
      steps: request.hr_second_pass_steps,
      denoisingStrength: request.denoising_strength ?? DEFAULT_STRENGTH,
      sampler: chosen.sampler === first.sampler ? null : chosen.sampler,
      scheduler: hasSchedule && chosen.scheduler !== first.scheduler ? chosen.scheduler : null,
      prompt: prompt === first.prompt ? null : prompt,
      negativePrompt: texts.negativePrompt === first.negativePrompt ? null : texts.negativePrompt,
      checkpoint: chooseCheckpoint(request.hr_checkpoint_name, first.checkpoints),
      usesFirstTexts: first.usesFirstTexts,
      firstPassImage: request.firstpass_image
        ? readImage(request.firstpass_image).bytes.toString('base64')
        : null,
    }),
    notes: [...notes, ...chosen.notes],
  };
}

/**
 * Sizes in pixels of both passes. `firstphase_width` and `firstphase_height`, of A1111 before 1.0, are the first pass's.
 * By the option `use_old_hires_fix_width_height` a request's size is the second pass's, and the first has about
 * 512 × 512 pixels in the same shape, in steps of 64.
 */
export function passSizes(
  request: Pick<Txt2imgRequest, 'width' | 'height' | 'firstphase_width' | 'firstphase_height'>,
  options: Options,
  hires: HiresParams | null,
): { width: number; height: number; hires: HiresParams | null } {
  let { width, height } = request;
  if (!hires) return { width, height, hires };
  if (request.firstphase_width > 0 && request.firstphase_height > 0) {
    [width, height] = [request.firstphase_width, request.firstphase_height];
  }
  if (options.use_old_hires_fix_width_height !== true) return { width, height, hires };
  const scale = Math.sqrt((512 * 512) / (width * height));
  const side = (of: number) => Math.ceil((scale * of) / 64) * 64;
  return {
    ...{ width: side(width), height: side(height) },
    hires: { ...hires, resizeWidth: width, resizeHeight: height },
  };
}

/** The second pass's own checkpoint; throws a 422 in A1111's words where there is none of that name. */
function chooseCheckpoint(
  asked: string | null,
  checkpoints: readonly CheckpointEntry[],
): string | null {
  if (asked === null || asked === SAME_CHECKPOINT) return null;
  const found = findCheckpoint(checkpoints, asked);
  if (found) return found.name;
  throw new ApiError(422, `Could not find checkpoint with name ${asked.slice(0, 200)}`);
}

/** The option `upscaler_for_img2img`; null is Lanczos, which stands in for an unknown one too, with a note. */
export function resizeUpscalerOf(
  { upscaler_for_img2img: asked }: Options,
  files: readonly string[],
): { resizeUpscaler: string | null; notes: readonly string[] } {
  if (typeof asked !== 'string' || ['', 'None'].includes(asked)) {
    return { resizeUpscaler: null, notes: [] };
  }
  const found = ['Lanczos', 'Nearest', ...files].find((name) => name === asked);
  if (found !== undefined) return { resizeUpscaler: found, notes: [] };
  const note = `There is no upscaler "${asked.slice(0, 60)}" for img2img; Lanczos was used.`;
  return { resizeUpscaler: null, notes: [note] };
}

function chooseUpscaler(asked: string | null, files: readonly string[]) {
  if (asked === null) return { upscaler: null, notes: [] };
  const known = [...LATENT_UPSCALE_MODES, 'None', 'Lanczos', 'Nearest', ...files];
  const lower = asked.trim().toLowerCase();
  const upscaler =
    known.find((name) => name === asked) ?? known.find((name) => name.toLowerCase() === lower);
  if (upscaler !== undefined) return { upscaler, notes: [] };
  return {
    upscaler: 'Latent',
    notes: [`There is no upscaler "${asked.slice(0, 60)}"; Latent was used.`],
  };
}
