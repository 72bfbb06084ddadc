import { z } from 'zod';
import {
  GENERATION_LIMITS,
  type GenerationParams,
  generationParams,
  hiresParams,
  inpaintParams,
  MAX_RANDOM_SEED,
  refinerParams,
  upscaleParams,
} from '../../protocol/generation.ts';
import { SAMPLER_NAMES, SCHEDULER_NAMES } from '../../protocol/samplers.ts';
import { AXIS_NAMES } from './compare-axes.ts';
import {
  CONTROL_RULES,
  CONTROL_UNITS,
  type ControlImages,
  controlFields,
  isUnitNumberUsed,
  isUnitOn,
  toControls,
  type UnitNumber,
  unitField,
  unitOf,
} from './control-form.ts';

/** How img2img fits a picture into another size; the place is A1111's number. */
export const RESIZE_MODES = ['stretch', 'crop', 'fill', 'latent'] as const;

/** What a masked area starts from; the place is A1111's number. */
export const INPAINT_FILLS = ['fill', 'original', 'noise', 'nothing'] as const;

/** What Generate makes of the form: one job, or pictures side by side in a grid. */
export const COMPARISONS = ['off', 'xyz', 'matrix'] as const;

const axisName = z.enum(AXIS_NAMES).catch('Nothing');
/** Of the values of one axis. */
export const MAX_AXIS_CHARACTERS = 10_000;
const axisValues = z.string().max(MAX_AXIS_CHARACTERS).catch('');

/**
 * The Create form as it is typed: numbers stay text until Generate, so that a half-typed or wrong
 * value is shown, stored and explained, never silently replaced.
 */
export const formValues = z.object({
  prompt: z.string().max(GENERATION_LIMITS.maxPromptCharacters).catch(''),
  negativePrompt: z.string().max(GENERATION_LIMITS.maxPromptCharacters).catch(''),
  steps: z.string().max(30).catch('20'),
  guidanceScale: z.string().max(30).catch('5'),
  width: z.string().max(30).catch('512'),
  height: z.string().max(30).catch('512'),
  /** -1 draws a new seed for every job. */
  seed: z.string().max(30).catch('-1'),
  /** Drawn anew for -1; of no effect while the strength is 0. */
  subseed: z.string().max(30).catch('-1'),
  subseedStrength: z.string().max(30).catch('0'),
  clipSkip: z.string().max(30).catch('1'),
  batchSize: z.string().max(30).catch('1'),
  batchCount: z.string().max(30).catch('1'),
  sampler: z.enum(SAMPLER_NAMES).catch('Euler'),
  scheduler: z.enum(SCHEDULER_NAMES).catch('automatic'),
  /** img2img only: 0 keeps the picture, 1 ignores it. */
  denoisingStrength: z.string().max(30).catch('0.75'),
  resizeMode: z.enum(RESIZE_MODES).catch('stretch'),
  /** Empty: the checkpoint in use. */
  checkpoint: z.string().max(1000).catch(''),
  /** Empty: the one that the engine was started with. */
  vae: z.string().max(1000).catch(''),
  /** Another checkpoint makes the last steps (A1111's refiner). */
  refiner: z.enum(['off', 'on']).catch('off'),
  refinerCheckpoint: z.string().max(1000).catch(''),
  /** Share of the way at which it takes over. */
  refinerSwitchAt: z.string().max(30).catch('0.8'),
  ...controlFields,
  /** A second pass over the enlarged picture (A1111's "Hires. fix"); txt2img only. */
  hires: z.enum(['off', 'on']).catch('off'),
  hiresUpscaler: z.string().max(200).catch('Latent'),
  hiresScale: z.string().max(30).catch('2'),
  /** 0 is as many as the first pass. */
  hiresSteps: z.string().max(30).catch('0'),
  hiresDenoising: z.string().max(30).catch('0.7'),
  /** Empty: as the first pass; so are the schedule and the prompts. */
  hiresSampler: z.enum(['', ...SAMPLER_NAMES]).catch(''),
  hiresScheduler: z.enum(['', ...SCHEDULER_NAMES]).catch(''),
  hiresPrompt: z.string().max(GENERATION_LIMITS.maxPromptCharacters).catch(''),
  hiresNegativePrompt: z.string().max(GENERATION_LIMITS.maxPromptCharacters).catch(''),
  compare: z.enum(COMPARISONS).catch('off'),
  axisX: axisName,
  axisXValues: axisValues,
  axisY: axisName,
  axisYValues: axisValues,
  axisZ: axisName,
  axisZValues: axisValues,
  /** Edit's own: size of what is redrawn, how its mask is used, and how it enlarges. */
  editWidth: z.string().max(30).catch('512'),
  editHeight: z.string().max(30).catch('512'),
  maskBlur: z.string().max(30).catch('4'),
  inpaintFill: z.enum(INPAINT_FILLS).catch('original'),
  inpaintArea: z.enum(['whole', 'masked']).catch('whole'),
  maskPadding: z.string().max(30).catch('32'),
  upscaler: z.string().max(500).catch('Lanczos'),
  upscaleBy: z.string().max(30).catch('2'),
});
export type FormValues = z.infer<typeof formValues>;
export type FieldName = keyof FormValues;

export const FORM_DEFAULTS: FormValues = formValues.parse({});

/** Why a field cannot be used; the page turns it into a sentence. */
export type FieldProblem =
  | { readonly type: 'whole-number'; readonly min: number; readonly max: number }
  | { readonly type: 'number'; readonly min: number; readonly max: number }
  | { readonly type: 'too-long'; readonly max: number }
  /** Of a ControlNet unit that has none, nor a job that begins with one. */
  | { readonly type: 'no-picture' }
  /** Of what is switched on without saying which. */
  | { readonly type: 'no-choice' };
export type FieldProblems = Partial<Record<FieldName, FieldProblem>>;

interface NumberRule {
  readonly min: number;
  readonly max: number;
  readonly isWhole: boolean;
}

const { minSide, maxSide, maxSteps, maxBatchSize, maxBatchCount } = GENERATION_LIMITS;

/** Limits of the number fields; the ones that hold for every request (protocol/generation.ts). */
export const NUMBER_RULES = {
  steps: { min: 1, max: maxSteps, isWhole: true },
  guidanceScale: { min: 0, max: 100, isWhole: false },
  width: { min: minSide, max: maxSide, isWhole: true },
  height: { min: minSide, max: maxSide, isWhole: true },
  seed: { min: -1, max: Number.MAX_SAFE_INTEGER, isWhole: true },
  subseed: { min: -1, max: Number.MAX_SAFE_INTEGER, isWhole: true },
  subseedStrength: { min: 0, max: 1, isWhole: false },
  clipSkip: { min: 1, max: 12, isWhole: true },
  batchSize: { min: 1, max: maxBatchSize, isWhole: true },
  batchCount: { min: 1, max: maxBatchCount, isWhole: true },
  denoisingStrength: { min: 0, max: 1, isWhole: false },
  hiresScale: { min: 1, max: 8, isWhole: false },
  hiresSteps: { min: 0, max: maxSteps, isWhole: true },
  hiresDenoising: { min: 0, max: 1, isWhole: false },
  refinerSwitchAt: { min: 0, max: 1, isWhole: false },
  ...CONTROL_RULES,
  editWidth: { min: minSide, max: maxSide, isWhole: true },
  editHeight: { min: minSide, max: maxSide, isWhole: true },
  maskBlur: { min: 0, max: 64, isWhole: true },
  maskPadding: { min: 0, max: 256, isWhole: true },
  upscaleBy: { min: 1, max: 8, isWhole: false },
} as const satisfies Partial<Record<FieldName, NumberRule>>;
export type NumberField = keyof typeof NUMBER_RULES;

const HIRES_NUMBERS: readonly NumberField[] = ['hiresScale', 'hiresSteps', 'hiresDenoising'];
const MASK_NUMBERS: readonly NumberField[] = ['maskBlur', 'maskPadding'];
const EDIT_NUMBERS: readonly NumberField[] = ['editWidth', 'editHeight', ...MASK_NUMBERS];

export const NUMBER_FIELDS = Object.keys(NUMBER_RULES) as readonly NumberField[];

/** The number in a field, or what is wrong with it. */
export function readNumber(field: NumberField, text: string): number | FieldProblem {
  const { min, max, isWhole } = NUMBER_RULES[field];
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const isFine = value >= min && value <= max && (!isWhole || Number.isInteger(value));
  return isFine ? value : { type: isWhole ? 'whole-number' : 'number', min, max };
}

/** Which fields a job is made of: those of Create, or of Edit with or without a mask. */
interface FormUse {
  readonly isImg2img?: boolean;
  readonly edit?: 'plain' | 'masked' | null;
  readonly controlImages?: ControlImages;
}

function isUnitNumber(field: NumberField): field is UnitNumber {
  return unitOf(field) !== null;
}

/** Whether a field is of no use, and perhaps not on the page, where nobody could mend it. */
function isUnused(field: NumberField, values: FormValues, { isImg2img, edit }: FormUse): boolean {
  if (isUnitNumber(field)) return !isUnitNumberUsed(field, values);
  if (field === 'denoisingStrength') return !isImg2img;
  if (field === 'refinerSwitchAt') return values.refiner === 'off';
  if (field === 'width' || field === 'height') return Boolean(edit);
  if (field === 'upscaleBy') return true;
  if (MASK_NUMBERS.includes(field)) return edit !== 'masked';
  if (EDIT_NUMBERS.includes(field)) return !edit;
  return HIRES_NUMBERS.includes(field) && (Boolean(isImg2img) || values.hires === 'off');
}

/** Everything that is wrong with a form; empty when a job can be made of it. */
export function findProblems(values: FormValues, use: FormUse = {}): FieldProblems {
  const problems: FieldProblems = {};
  for (const field of NUMBER_FIELDS) {
    if (isUnused(field, values, use)) continue;
    const value = readNumber(field, values[field]);
    if (typeof value !== 'number') problems[field] = value;
  }
  for (const field of PROMPT_FIELDS) {
    const max = GENERATION_LIMITS.maxPromptCharacters;
    if (values[field].length > max) problems[field] = { type: 'too-long', max };
  }
  if (values.refiner === 'on' && values.refinerCheckpoint === '') {
    problems.refinerCheckpoint = { type: 'no-choice' };
  }
  for (const unit of CONTROL_UNITS.filter((each) => isUnitOn(values, each))) {
    const model = unitField(unit, 'Model');
    if (values[model] === '') problems[model] = { type: 'no-choice' };
    if (!use.isImg2img && !use.controlImages?.[unit]) {
      problems[unitField(unit, 'Use')] = { type: 'no-picture' };
    }
  }
  return problems;
}

const PROMPT_FIELDS = ['prompt', 'negativePrompt', 'hiresPrompt', 'hiresNegativePrompt'] as const;

/** A uniformly drawn seed, as A1111 draws it for -1. */
export function drawSeed(): number {
  const [word = 0] = crypto.getRandomValues(new Uint32Array(1));
  // 2^32 values onto MAX_RANDOM_SEED + 1: the two left over fold back onto 0 and 1.
  return word % (MAX_RANDOM_SEED + 1);
}

/** What a job has beside its form: pictures, and what draws seeds. */
export interface FormExtras {
  readonly draw?: () => number;
  /** Of ControlNet units. */
  readonly controlImages?: ControlImages;
}

/**
 * Makes a job of a form, drawing seeds where asked to; or says which fields are wrong. With an
 * `initImage` (base64 of a whole file) the job is img2img.
 */
export function toGenerationParams(
  values: FormValues,
  { initImage = null, ...extras }: FormExtras & { initImage?: string | null } = {},
): { params: GenerationParams } | { problems: FieldProblems } {
  const { controlImages = [] } = extras;
  const problems = findProblems(values, { isImg2img: initImage !== null, controlImages });
  if (Object.keys(problems).length > 0) return { problems };
  return {
    params: generationParams.parse({
      ...commonParams(values, extras),
      width: Number(values.width),
      height: Number(values.height),
      ...(initImage === null
        ? { hires: toHires(values) }
        : {
            mode: 'img2img',
            initImages: [initImage],
            denoisingStrength: Number(values.denoisingStrength),
            resizeMode: RESIZE_MODES.indexOf(values.resizeMode),
          }),
    }),
  };
}

/** What jobs of Create and of Edit have in common. */
function commonParams(values: FormValues, { draw = drawSeed, controlImages = [] }: FormExtras) {
  const seedOf = (text: string) => (Number(text) < 0 ? draw() : Number(text));
  return {
    prompt: values.prompt,
    negativePrompt: values.negativePrompt,
    steps: Number(values.steps),
    guidanceScale: Number(values.guidanceScale),
    seed: seedOf(values.seed),
    subseed: seedOf(values.subseed),
    subseedStrength: Number(values.subseedStrength),
    clipSkip: Number(values.clipSkip),
    batchSize: Number(values.batchSize),
    batchCount: Number(values.batchCount),
    sampler: values.sampler,
    scheduler: values.scheduler,
    checkpoint: values.checkpoint === '' ? null : values.checkpoint,
    vae: values.vae === '' ? null : values.vae,
    refiner: toRefiner(values),
    controls: toControls(values, controlImages),
  };
}

/** The checkpoint that takes over, or null. */
function toRefiner(values: FormValues): GenerationParams['refiner'] {
  const { refiner, refinerCheckpoint: checkpoint, refinerSwitchAt } = values;
  if (refiner === 'off') return null;
  return refinerParams.parse({ checkpoint, switchAt: Number(refinerSwitchAt) });
}

/** What is on the canvas of Edit, as base64 of whole files; without a mask all of it is redrawn. */
export interface CanvasPictures {
  readonly initImage: string;
  readonly mask: string | null;
}

/** Makes an img2img or inpaint job of a form and a canvas; or says which fields are wrong. */
export function toEditParams(
  values: FormValues,
  { initImage, mask }: CanvasPictures,
  extras: FormExtras = {},
): { params: GenerationParams } | { problems: FieldProblems } {
  const edit = mask === null ? 'plain' : 'masked';
  const problems = findProblems(values, { isImg2img: true, edit });
  if (Object.keys(problems).length > 0) return { problems };
  const blur = Number(values.maskBlur);
  return {
    params: generationParams.parse({
      ...commonParams(values, extras),
      mode: 'img2img',
      initImages: [initImage],
      width: Number(values.editWidth),
      height: Number(values.editHeight),
      denoisingStrength: Number(values.denoisingStrength),
      resizeMode: RESIZE_MODES.indexOf(values.resizeMode),
      inpaint:
        mask === null
          ? null
          : inpaintParams.parse({
              mask,
              blurX: blur,
              blurY: blur,
              fill: INPAINT_FILLS.indexOf(values.inpaintFill),
              isOnlyMasked: values.inpaintArea === 'masked',
              padding: Number(values.maskPadding),
            }),
    }),
  };
}

/** Makes a job that enlarges a picture (base64 of a whole file); or says which fields are wrong. */
export function toUpscaleParams(
  values: FormValues,
  picture: string,
): { params: GenerationParams } | { problems: FieldProblems } {
  const scale = readNumber('upscaleBy', values.upscaleBy);
  if (typeof scale !== 'number') return { problems: { upscaleBy: scale } };
  const upscale = upscaleParams.parse({ upscaler: values.upscaler, scale });
  return { params: generationParams.parse({ mode: 'upscale', initImages: [picture], upscale }) };
}

/** The second pass that a form asks for, with null for what is the first pass's. */
function toHires(values: FormValues): GenerationParams['hires'] {
  if (values.hires === 'off') return null;
  const orNull = <T extends string>(text: T) => (text === '' ? null : (text as Exclude<T, ''>));
  return hiresParams.parse({
    upscaler: values.hiresUpscaler,
    scale: Number(values.hiresScale),
    steps: Number(values.hiresSteps),
    denoisingStrength: Number(values.hiresDenoising),
    sampler: orNull(values.hiresSampler),
    scheduler: orNull(values.hiresScheduler),
    prompt: orNull(values.hiresPrompt),
    negativePrompt: orNull(values.hiresNegativePrompt),
  });
}

/** Pixels of the second pass, in whole steps of 8; null while a side or the scale is no number. */
export function hiresSize({ width, height, hiresScale }: FormValues): {
  width: number;
  height: number;
} | null {
  const scale = readNumber('hiresScale', hiresScale);
  const sides = [readNumber('width', width), readNumber('height', height)];
  const [w, h] = sides.map((side) =>
    typeof side === 'number' && typeof scale === 'number'
      ? Math.floor((side * scale) / 8) * 8
      : null,
  );
  return w && h ? { width: w, height: h } : null;
}
