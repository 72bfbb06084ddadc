/** What one field of a generation request does here. The docs page and the notes in replies are made from this table. */
export interface FieldEntry {
  readonly name: string;
  readonly route: 'both' | 'txt2img' | 'img2img';
  readonly status: 'works' | 'no effect' | 'refused';
  /** What differs from A1111, or why it has no effect; may be empty where it simply works. */
  readonly about: string;
  /** Values that ask for nothing. A `no effect` field with any other value earns a note in the reply. */
  readonly neutral?: readonly unknown[];
}

type Route = FieldEntry['route'];

const works = (name: string, about = '', route: Route = 'both'): FieldEntry => ({
  name,
  route,
  status: 'works',
  about,
});

/** `neutral` left out: never worth a note, because another field switches it on. */
const inert = (
  name: string,
  about: string,
  neutral?: readonly unknown[],
  route: Route = 'both',
): FieldEntry => ({
  name,
  route,
  status: 'no effect',
  about,
  ...(neutral ? { neutral } : {}),
});

export const FIELDS: readonly FieldEntry[] = [
  works('prompt', 'at most 100,000 characters'),
  works('negative_prompt', 'at most 100,000 characters'),
  works(
    'styles',
    'names of `styles.csv` in the data folder; unknown ones are left out, and said so',
  ),
  works('seed', 'drawn here when it is -1, empty or no number'),
  works('subseed', 'drawn here when it is -1, empty or no number'),
  works('subseed_strength', '0 to 1'),
  works('seed_resize_from_h'),
  works('seed_resize_from_w'),
  works(
    'sampler_name',
    'aliases, lower case and old combined names too; an unknown name is DPM++ 2M',
  ),
  works('sampler_index', 'used where `sampler_name` is absent'),
  works('scheduler', 'name, label or alias; an unknown one is Automatic'),
  works('batch_size', '1 to 16'),
  works('n_iter', '1 to 100'),
  works('steps', '1 to 1000; 50 when absent'),
  works('cfg_scale', '0 to 100'),
  works('width', '64 to 4096, rounded down to what the VAE can make'),
  works('height', '64 to 4096, rounded down to what the VAE can make'),
  inert('restore_faces', 'there is no face restoration', [null, false]),
  works('tiling', 'absent: the option of the same name'),
  works('do_not_save_samples', 'true: the pictures are not saved'),
  works('do_not_save_grid', 'true: no grid is saved'),
  works('eta', '0 to 1; absent: the options `eta_ancestral` and `eta_ddim`'),
  works('denoising_strength', 'img2img; in txt2img it belongs to hires fix'),
  works('s_min_uncond'),
  works('s_churn', 'the option of the same name wins once it is not 0, as in A1111'),
  works('s_tmax', '0 means no limit; the option wins once it is not 0'),
  works('s_tmin', 'the option wins once it is not 0'),
  works('s_noise', 'the option wins once it is not 1'),
  works('override_settings', 'unknown keys are ignored; see the options below'),
  works('override_settings_restore_afterwards', 'false: the overrides stay as options'),
  works(
    'refiner_checkpoint',
    'one of the same latents, SDXL’s own refiner among them; LoRAs of the prompt are not made for that one',
  ),
  works('refiner_switch_at', '0 to 1; absent: from the first step on, as in A1111'),
  works('disable_extra_networks', 'true: LoRA tags load nothing'),
  works('firstpass_image', 'with `enable_hr`, in the place of the first pass’s picture'),
  inert('comments', 'for A1111’s own page'),
  works('enable_hr', 'a second pass at a larger size', 'txt2img'),
  works('firstphase_width', 'with `enable_hr` and both above 0: the first pass’s size', 'txt2img'),
  works('firstphase_height', 'with `enable_hr` and both above 0: the first pass’s size', 'txt2img'),
  works('hr_scale', '', 'txt2img'),
  works(
    'hr_upscaler',
    'latent modes, None, Lanczos, Nearest and upscaler files; an unknown one is Latent, and said so',
    'txt2img',
  ),
  works('hr_second_pass_steps', '0 is as many as the first pass', 'txt2img'),
  works('hr_resize_x', '', 'txt2img'),
  works('hr_resize_y', '', 'txt2img'),
  works('hr_checkpoint_name', 'one of the same family; an unknown name is refused', 'txt2img'),
  works('hr_sampler_name', 'as `sampler_name`', 'txt2img'),
  works('hr_scheduler', 'as `scheduler`', 'txt2img'),
  works('hr_prompt', 'its LoRA tags are the second pass’s, as in A1111', 'txt2img'),
  works('hr_negative_prompt', '', 'txt2img'),
  works('init_images', 'PNG, JPEG or WebP as base64; addresses are refused', 'img2img'),
  works('resize_mode', '', 'img2img'),
  inert(
    'image_cfg_scale',
    'for InstructPix2Pix checkpoints, whose UNet reads the picture beside the latents; none is read here',
    undefined,
    'img2img',
  ),
  works('mask', 'white is redrawn; with transparency the alpha is the mask', 'img2img'),
  works('mask_blur', '', 'img2img'),
  works('mask_blur_x', '', 'img2img'),
  works('mask_blur_y', '', 'img2img'),
  works('mask_round', '', 'img2img'),
  works('inpainting_fill', '0 fill, 1 original, 2 latent noise, 3 latent nothing', 'img2img'),
  works('inpaint_full_res', 'only the masked area, at the job’s size', 'img2img'),
  works('inpaint_full_res_padding', '', 'img2img'),
  works('inpainting_mask_invert', '', 'img2img'),
  works('initial_noise_multiplier', 'absent: the option of the same name', 'img2img'),
  works('latent_mask', 'fitted to the size; in A1111 it has to have it', 'img2img'),
  works('include_init_images', '', 'img2img'),
  works(
    'script_name',
    'X/Y/Z plot, Prompt matrix; in img2img Outpainting mk2 and Poor man’s outpainting. Any other name is 422',
  ),
  works('script_args', 'in A1111’s order; missing ones at the end are its defaults'),
  works('send_images'),
  works('save_images', 'the pictures are saved, and a grid of several; the reply never has it'),
  works(
    'alwayson_scripts',
    'ControlNet’s units, as sd-webui-controlnet names them; every other script is ignored, and mentioned in the reply',
  ),
  works('force_task_id', 'kept as the key by which the result can be fetched again'),
  works('infotext', 'fills the fields that the request leaves out, settings too'),
  works('clip_skip', 'not A1111’s: above 0 it wins over `CLIP_stop_at_last_layers`'),
  works('sampler', 'not A1111’s: read where `sampler_name` is absent'),
  works('hf_model_id', 'SHARK’s: a checkpoint’s name, wins over `override_settings`'),
  works(
    'use_stencil',
    'SHARK’s, in img2img: canny, and with their map as second init image scribble, openpose, zoedepth; a ControlNet with that in its name is used',
  ),
  works(
    'controlnet_units',
    'sd-webui-controlnet’s older place for units; read where its script has none',
  ),
];

/** Sentences for the fields of a parsed request that ask for something that has no effect here. */
export function inertFieldNotes(
  request: Readonly<Record<string, unknown>>,
  route: 'txt2img' | 'img2img',
): string[] {
  return FIELDS.filter((entry) => {
    if (entry.neutral === undefined || !(entry.name in request)) return false;
    if (entry.route !== 'both' && entry.route !== route) return false;
    const value = request[entry.name];
    const isEmpty = Array.isArray(value) && value.length === 0;
    return !isEmpty && !entry.neutral.includes(value);
  }).map((entry) => `${entry.name} had no effect: ${entry.about}.`);
}
