import { z } from 'zod';

/** What makes a control picture of a picture. */
export const CONTROL_MODULES = ['none', 'invert', 'canny'] as const;
export type ControlModule = (typeof CONTROL_MODULES)[number];

/** How a control picture meets the job's size. */
export const CONTROL_RESIZE_MODES = ['stretch', 'crop', 'fill'] as const;

/** `balanced` on both prompts; `prompt` weaker; `control` weaker and on the prompt alone, so that guidance goes towards it. */
export const CONTROL_MODES = ['balanced', 'prompt', 'control'] as const;

/** Units of one job. */
export const MAX_CONTROLS = 8;

const encodedImage = z.string().min(1);

/** One ControlNet unit of a job, as sd-webui-controlnet has them. */
export const controlParams = z.object({
  /** Its place among the request's units, switched-off ones counted: infotexts call it by that. */
  unit: z.int().min(0).max(99).default(0),
  /** Name of the ControlNet as the catalogue has it. */
  model: z.string().min(1).max(500),
  /** The same for infotexts, with a short hash where it is known; empty is the name. */
  modelLabel: z.string().max(600).default(''),
  /** null takes the picture that img2img starts from. */
  image: encodedImage.nullable().default(null),
  /** Is the control picture itself where it is neither black nor white throughout. */
  mask: encodedImage.nullable().default(null),
  module: z.enum(CONTROL_MODULES).default('none'),
  weight: z.number().min(0).max(10).default(1),
  resizeMode: z.enum(CONTROL_RESIZE_MODES).default('crop'),
  /** Shorter side in pixels that the preprocessor works at; null is its own default, 512. */
  processorResolution: z.int().min(64).max(4096).nullable().default(null),
  /** Canny's lower and upper threshold; null is 100 and 200. */
  thresholdA: z.number().min(0).max(10_000).nullable().default(null),
  thresholdB: z.number().min(0).max(10_000).nullable().default(null),
  /** The preprocessor works at the job's size instead. */
  isPixelPerfect: z.boolean().default(false),
  /** Share of the steps at which it begins and ends. */
  guidanceStart: z.number().min(0).max(1).default(0),
  guidanceEnd: z.number().min(0).max(1).default(1),
  mode: z.enum(CONTROL_MODES).default('balanced'),
  /** With a second pass: in which of the two. */
  passes: z.enum(['both', 'first', 'second']).default('both'),
  /** Its map is among the job's byproducts, where these have maps. */
  isMapShown: z.boolean().default(true),
});
export type ControlParams = z.infer<typeof controlParams>;
