import { z } from 'zod';
import { BYPRODUCT_KINDS } from './byproducts.ts';
import { controlParams, MAX_CONTROLS } from './control.ts';
import { SAMPLER_NAMES, SCHEDULER_NAMES } from './samplers.ts';

/** How weights reach the text encoder's output, by A1111's names. */
export const EMPHASIS_MODES = ['Original', 'No norm', 'Ignore', 'None'] as const;

/** Limits that hold for every request, whatever the device: beyond them a request is refused. */
export const GENERATION_LIMITS = {
  maxSteps: 1000,
  maxBatchSize: 16,
  maxBatchCount: 100,
  minSide: 64,
  maxSide: 4096,
  maxPromptCharacters: 100_000,
} as const;

/** Infotext keys that A1111's options `add_…_to_info` switch. */
export const HIDEABLE_INFOTEXT_KEYS = [
  'Model',
  'Model hash',
  'VAE',
  'VAE hash',
  'Lora hashes',
  'TI hashes',
  'Version',
] as const;

/** Pictures that one request may bring along: a grid's cells, where other jobs take a batch's at most. */
export const MAX_JOB_PICTURES = 256;

/** The largest seed that A1111 draws at random. */
export const MAX_RANDOM_SEED = 4_294_967_293;

const prompt = z.string().max(GENERATION_LIMITS.maxPromptCharacters);
const side = z.int().min(GENERATION_LIMITS.minSide).max(GENERATION_LIMITS.maxSide);
/** A picture as base64 of a whole PNG, JPEG or WebP file, without a `data:` prefix. */
const encodedImage = z.string().min(1);
const seed = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

/** How a latent is brought to another size, by A1111's names. */
export const LATENT_UPSCALE_MODES = [
  'Latent',
  'Latent (antialiased)',
  'Latent (bicubic)',
  'Latent (bicubic antialiased)',
  'Latent (nearest)',
  'Latent (nearest-exact)',
] as const;
export type LatentUpscaleMode = (typeof LATENT_UPSCALE_MODES)[number];

/** Which part of an img2img picture is redrawn, and how. White of the mask is redrawn. */
export const inpaintParams = z.object({
  mask: encodedImage,
  /** `transparency`: the transparent parts of `mask` are redrawn, whatever their colour (OpenAI's masks). */
  maskFrom: z.enum(['auto', 'transparency']).default('auto'),
  /** Takes the mask's place where pixels are filled and in the latent, but not where the result is pasted. */
  latentMask: encodedImage.nullable().default(null),
  /** Standard deviation of the Gaussian that softens the mask, in pixels of the mask; 0 is off. */
  blurX: z.int().min(0).max(1024).default(4),
  blurY: z.int().min(0).max(1024).default(4),
  /** Rounds the mask to 0 and 1, in the latent and where a transparent picture is the mask. */
  isRounded: z.boolean().default(true),
  isInverted: z.boolean().default(false),
  /** What the masked area starts from: 0 its surroundings' colours, 1 the picture, 2 noise, 3 nothing (zeros). */
  fill: z.int().min(0).max(3).default(1),
  /** Redraws the mask's surroundings alone at the job's size and pastes the result back. */
  isOnlyMasked: z.boolean().default(false),
  /** Pixels of the picture around the mask that come along when only that is redrawn. */
  padding: z.int().min(0).max(GENERATION_LIMITS.maxSide).default(32),
  /** False: the result is not laid under what the mask keeps of the picture. */
  isOverlaid: z.boolean().default(true),
});
export type InpaintParams = z.infer<typeof inpaintParams>;

/** A txt2img job's second pass: its latents or pictures enlarged and denoised again (A1111's "hires fix"). */
export const hiresParams = z.object({
  /** Used where both `resize` sides are 0. */
  scale: z.number().min(0.05).max(64).default(2),
  /** Target size in pixels; one side 0 keeps the shape, both 0 leave it to `scale`. */
  resizeWidth: z.int().min(0).max(GENERATION_LIMITS.maxSide).default(0),
  resizeHeight: z.int().min(0).max(GENERATION_LIMITS.maxSide).default(0),
  /** One of `LATENT_UPSCALE_MODES`, or the name of an upscaler of pictures; null is the mode "Latent", unsaid. */
  upscaler: z.string().max(200).nullable().default(null),
  /** 0 is as many as the first pass. */
  steps: z.int().min(0).max(GENERATION_LIMITS.maxSteps).default(0),
  denoisingStrength: z.number().min(0).max(1).default(0.75),
  /** null is the first pass's. */
  sampler: z.enum(SAMPLER_NAMES).nullable().default(null),
  scheduler: z.enum(SCHEDULER_NAMES).nullable().default(null),
  prompt: prompt.nullable().default(null),
  negativePrompt: prompt.nullable().default(null),
  /** Name of the checkpoint of this pass; null is the first pass's. */
  checkpoint: z.string().max(1000).nullable().default(null),
  /** Its texts are encoded with the first pass's LoRAs; the UNet has its own all the same. */
  usesFirstTexts: z.boolean().default(false),
  /** A picture in the place of the first pass's. */
  firstPassImage: encodedImage.nullable().default(null),
});
export type HiresParams = z.infer<typeof hiresParams>;

/** Another checkpoint that takes over on the way (A1111's refiner). */
export const refinerParams = z.object({
  checkpoint: z.string().min(1).max(1000),
  /** Share of the way at which it takes over. */
  switchAt: z.number().min(0).max(1).default(0),
  /** The way is that of the steps; else that of the noise schedule's times. */
  isBySteps: z.boolean().default(false),
  /** With a second pass: in which of the two. */
  passes: z.enum(['first', 'second', 'both']).default('second'),
});
export type RefinerParams = z.infer<typeof refinerParams>;

/** A1111's options that have a say in sampling, at its defaults; those that are not are written in infotexts. */
export const samplingOptions = z.object({
  /** Ends of the schedule; 0 is the checkpoint's own. */
  sigmaMin: z.number().min(0).max(1e6).default(0),
  sigmaMax: z.number().min(0).max(1e6).default(0),
  /** Exponent of the Karras and polyexponential schedules; 0 is the schedule's own. */
  rho: z.number().min(0).max(1e3).default(0),
  alwaysDiscardNextToLastSigma: z.boolean().default(false),
  /** Start noise times sqrt(1 + sigma^2) instead of sigma. */
  sgmNoiseMultiplier: z.boolean().default(false),
  /** img2img makes exactly the steps that are asked for, whatever the strength. */
  img2imgFixSteps: z.boolean().default(false),
  /** Noise added to img2img's start on top of the schedule's. */
  img2imgExtraNoise: z.number().min(0).max(10).default(0),
  /** These four win over the job's own values. */
  sChurn: z.number().min(0).max(100).default(0),
  sTmin: z.number().min(0).default(0),
  sTmax: z.number().min(0).default(0),
  sNoise: z.number().min(0).max(10).default(1),
  uniPcVariant: z.enum(['bh1', 'bh2', 'vary_coeff']).default('bh1'),
  uniPcSkipType: z.enum(['time_uniform', 'time_quadratic', 'logSNR']).default('time_uniform'),
  uniPcOrder: z.int().min(1).max(50).default(3),
  isUniPcLowerOrderFinal: z.boolean().default(true),
  /** Rounds the UNet's times to trained ones. */
  isQuantized: z.boolean().default(false),
  /** Leaves the negative prompt out on every step below `sMinUncond`, not on every second. */
  isMinUncondOnAllSteps: z.boolean().default(false),
  /** Share of the run, from its start, that goes without the negative prompt. */
  skipEarlyCond: z.number().min(0).max(1).default(0),
  zeroTerminalSnr: z.boolean().default(false),
  /** Half precision in the noise schedule, as A1111 before 1.7. */
  downcastAlphas: z.boolean().default(false),
  /** Named schedules run from 10 to 0.1 whatever the checkpoint. */
  useOldKarrasSigmas: z.boolean().default(false),
  /** Shape of the Beta schedule's distribution. */
  betaDistAlpha: z.number().min(0.01).max(100).default(0.6),
  betaDistBeta: z.number().min(0.01).max(100).default(0.6),
});
export type SamplingOptions = z.infer<typeof samplingOptions>;

/** The checkpoint's own VAE, or the small one made for the same latents. */
export const VAE_METHODS = ['full', 'taesd'] as const;

/** What makes live previews: sums of the latents' channels, a TAESD, or the checkpoint's own VAE. */
export const PREVIEW_METHODS = ['cheap', 'taesd', 'full'] as const;
export type PreviewMethod = (typeof PREVIEW_METHODS)[number];

/** How a picture is enlarged (A1111's "extras"). */
export const upscaleParams = z.object({
  /** A name of `/sdapi/v1/upscalers` other than `None`. */
  upscaler: z.string().min(1).max(500),
  /** Blended over the first with `secondVisibility`; null is none. */
  secondUpscaler: z.string().min(1).max(500).nullable().default(null),
  secondVisibility: z.number().min(0).max(1).default(0),
  /** Used where a side is 0. */
  scale: z.number().positive().max(64).default(2),
  /** Target size in pixels, which is covered. */
  width: z.int().min(0).max(16_384).default(0),
  height: z.int().min(0).max(16_384).default(0),
  /** Cuts the middle out where the shape is another than the target's. */
  isCropped: z.boolean().default(true),
});
export type UpscaleParams = z.infer<typeof upscaleParams>;

/** An img2img picture that goes on beyond its edges: a larger canvas whose new part is masked and redrawn. */
export const outpaintParams = z.object({
  /** Pixels added on each side; the canvas is then widened to multiples of 64 on the sides that grow. */
  left: z.int().min(0).max(2048).default(0),
  right: z.int().min(0).max(2048).default(0),
  up: z.int().min(0).max(2048).default(0),
  down: z.int().min(0).max(2048).default(0),
  /** Pixels of the picture along the seam that are redrawn with the new part. */
  seam: z.int().min(0).max(256).default(16),
  /** The same in the latent, where changes may reach further than what is pasted. */
  latentSeam: z.int().min(0).max(256).default(16),
  /** Standard deviation of the Gaussian that softens the mask across the seam, in pixels. */
  blur: z.int().min(0).max(256).default(32),
  /** What the new part starts from; as `inpaint.fill`. */
  fill: z.int().min(0).max(3).default(1),
  /** Paints the new part beforehand with noise of the picture's spectrum and colours; null leaves it to `fill`. */
  noise: z
    .object({
      /** Power to which the picture's spectrum is raised: higher is smoother. */
      exponent: z.number().min(0).max(4).default(1),
      /** 0 is the same noise in all channels, 1 is independent. */
      colorVariation: z.number().min(0).max(1).default(0.05),
    })
    .nullable()
    .default(null),
});
export type OutpaintParams = z.infer<typeof outpaintParams>;

/** One line of a grid's labels; an inactive one is grey and struck through. */
export const gridLabel = z.object({
  text: z.string().max(2000),
  isActive: z.boolean().default(true),
});
export type GridLabel = z.infer<typeof gridLabel>;

/** Pictures joined into one, labelled as A1111 does. */
export const gridParams = z.object({
  columns: z.int().min(1).max(MAX_JOB_PICTURES),
  rows: z.int().min(1).max(MAX_JOB_PICTURES),
  /** Row by row, which of `initImages` lies there; null is left blank. */
  cells: z.array(z.int().min(0).nullable()).max(MAX_JOB_PICTURES),
  /** Size in pixels of a blank cell where no picture says it. */
  cellWidth: z.int().min(1).max(16_384),
  cellHeight: z.int().min(1).max(16_384),
  /** One list of lines for each column and row; empty for a grid without labels. */
  columnLabels: z.array(z.array(gridLabel).max(32)).max(MAX_JOB_PICTURES).default([]),
  rowLabels: z.array(z.array(gridLabel).max(32)).max(MAX_JOB_PICTURES).default([]),
  /** Pixels between cells. */
  margin: z.int().min(0).max(500).default(0),
  /** Goes into the file. */
  infotext: z.string().max(400_000).default(''),
});
export type GridParams = z.infer<typeof gridParams>;

/**
 * The validated parameters of one job: `batchSize * batchCount` pictures. Seeds are already drawn:
 * -1 does not exist behind the API. Sizes are pixels; the engine rounds them down to the VAE factor.
 */
export const generationParams = z.object({
  /**
   * `upscale` enlarges the one picture of `initImages` and looks at `upscale` and `outputFormat` alone; `grid` joins
   * `initImages` as `grid` says; `preprocess` makes the map of the first of `controls`, whose model is not asked for.
   */
  mode: z.enum(['txt2img', 'img2img', 'upscale', 'grid', 'preprocess']).default('txt2img'),
  prompt: prompt.default(''),
  negativePrompt: prompt.default(''),
  width: side.default(512),
  height: side.default(512),
  steps: z.int().min(1).max(GENERATION_LIMITS.maxSteps).default(20),
  guidanceScale: z.number().min(0).max(100).default(7),
  sampler: z.enum(SAMPLER_NAMES).default('Euler'),
  scheduler: z.enum(SCHEDULER_NAMES).default('automatic'),
  seed: seed.default(0),
  subseed: seed.default(0),
  /** 0 uses the seed's noise alone, 1 the subseed's. */
  subseedStrength: z.number().min(0).max(1).default(0),
  /** Size in pixels at which the seed's noise is made before it is pasted; 0 is off. */
  seedResizeFromWidth: z.int().min(0).max(GENERATION_LIMITS.maxSide).default(0),
  seedResizeFromHeight: z.int().min(0).max(GENERATION_LIMITS.maxSide).default(0),
  batchSize: z.int().min(1).max(GENERATION_LIMITS.maxBatchSize).default(1),
  batchCount: z.int().min(1).max(GENERATION_LIMITS.maxBatchCount).default(1),
  /** 1 takes the text encoder's last layer, 2 the one before it. */
  clipSkip: z.int().min(1).max(12).default(1),
  /** Ancestral noise; null is the sampler's own default (1 for ancestral samplers, 0 for DDIM). */
  eta: z.number().min(0).max(1).nullable().default(null),
  sChurn: z.number().min(0).max(100).default(0),
  sTmin: z.number().min(0).default(0),
  /** 0 means no upper limit. */
  sTmax: z.number().min(0).default(0),
  sNoise: z.number().min(0).max(2).default(1),
  /** Skips the negative prompt on alternate steps below this sigma; 0 is off. */
  sMinUncond: z.number().min(0).max(15).default(0),
  etaNoiseSeedDelta: z.int().min(0).default(0),
  /** `gpu` and `nv` are Philox, as an NVIDIA card makes it; `cpu` is torch's Mersenne Twister. */
  randnSource: z.enum(['gpu', 'cpu', 'nv']).default('gpu'),
  /** img2img: 0 keeps the picture, 1 ignores it. */
  denoisingStrength: z.number().min(0).max(1).default(0.75),
  initImages: z.array(encodedImage).max(MAX_JOB_PICTURES).default([]),
  /** 0 stretch, 1 crop and fill, 2 letterbox fill, 3 latent resize. */
  resizeMode: z.int().min(0).max(3).default(0),
  /** Enlarges init images that are smaller than the job, by its name; null is Lanczos. */
  resizeUpscaler: z.string().max(200).nullable().default(null),
  /** What shows through transparent init images: a hex colour or a basic colour's name. */
  backgroundColor: z.string().max(32).default('#ffffff'),
  /** img2img: gives the finished pictures the colours that theirs had, lightness aside. */
  correctsColors: z.boolean().default(false),
  /**
   * What becomes of a prompt and a negative prompt of unlike lengths: `separate` leaves them so; `pad` fills the shorter
   * one with empty prompts; `pad-v0` cuts the negative one, or repeats its last vector.
   */
  uncondPadding: z.enum(['separate', 'pad', 'pad-v0']).default('separate'),
  /** img2img: scales the start noise. */
  initialNoiseMultiplier: z.number().min(0).max(10).default(1),
  /** Checkpoints made for inpainting: 1 hides the masked pixels from the UNet, 0 shows them. */
  inpaintingMaskWeight: z.number().min(0).max(1).default(1),
  /** img2img: null redraws the whole picture. */
  inpaint: inpaintParams.nullable().default(null),
  /** img2img: null adds nothing; else the mask is made of it, and so is the size. */
  outpaint: outpaintParams.nullable().default(null),
  /** txt2img: null makes no second pass. */
  hires: hiresParams.nullable().default(null),
  /** null: one checkpoint makes all steps. */
  refiner: refinerParams.nullable().default(null),
  /** Mode `upscale` alone. */
  upscale: upscaleParams.nullable().default(null),
  /** Mode `grid` alone. */
  grid: gridParams.nullable().default(null),
  /** Pictures continue into themselves at their edges, so that copies of one can be laid side by side. */
  isTiling: z.boolean().default(false),
  /** ControlNets at work, in the order of the request. */
  controls: z.array(controlParams).max(MAX_CONTROLS).default([]),
  sampling: samplingOptions.prefault({}),
  /** How weights of the prompt reach the text encoder's output. */
  emphasis: z.enum(EMPHASIS_MODES).default('Original'),
  /** How many of a full chunk's last tokens may move to the next one to keep a comma's words together. */
  commaPadding: z.int().min(0).max(74).default(20),
  /** False: tags of the prompts like `<lora:name:1>` are left out of the text as ever, but load nothing. */
  usesNetworks: z.boolean().default(true),
  /** Prompt editing as A1111 before 1.6: numbers with a point are shares, in both passes. */
  useOldScheduling: z.boolean().default(false),
  /** Prompt editing counts the steps of second order samplers once, not twice. */
  countsSecondOrderOnce: z.boolean().default(false),
  /** SD 1: brackets weigh as in A1111's first versions, token by token, and a prompt ends at 75. */
  usesOldEmphasis: z.boolean().default(false),
  /** SDXL: upper left corner, in pixels, of the part of a picture that the UNet is told it makes. */
  cropTop: z.int().min(0).max(GENERATION_LIMITS.maxSide).default(0),
  cropLeft: z.int().min(0).max(GENERATION_LIMITS.maxSide).default(0),
  /** SDXL's refiner: how good the picture is said to be under the prompt and under the negative prompt. */
  aestheticScores: z
    .object({ positive: z.number().min(0).max(10), negative: z.number().min(0).max(10) })
    .default({ positive: 6, negative: 2.5 }),
  /** Name of the checkpoint as the catalogue has it; null is the one in use. */
  checkpoint: z.string().max(1000).nullable().default(null),
  /** Name of a VAE, `None` for the checkpoint's own, `Automatic`; null is the one that the engine was started with. */
  vae: z.string().max(1000).nullable().default(null),
  /** What decodes: the checkpoint's VAE, or a TAESD of its latents where one is there. */
  vaeDecoder: z.enum(VAE_METHODS).default('full'),
  vaeEncoder: z.enum(VAE_METHODS).default('full'),
  /** What makes previews; a TAESD where one is there, else sums of the latents' channels. */
  previewMethod: z.enum(PREVIEW_METHODS).default('taesd'),
  /** Steps between two previews; 0 makes none. */
  previewEverySteps: z.int().min(0).max(GENERATION_LIMITS.maxSteps).default(0),
  outputFormat: z.enum(['png', 'jpg', 'webp']).default('png'),
  /** Of JPEG and WebP. */
  quality: z.int().min(1).max(100).default(80),
  /** WebP without loss. */
  isLossless: z.boolean().default(false),
  /** Writes the infotext into the files; it is told beside them in any case. */
  embedsInfotext: z.boolean().default(true),
  /** What comes beside the finished pictures. */
  byproducts: z.array(z.enum(BYPRODUCT_KINDS)).default([]),
  /** Keys of an infotext that are left out. */
  hiddenInfotextKeys: z.array(z.enum(HIDEABLE_INFOTEXT_KEYS)).default([]),
  /** Sentences about substitutions already made for this job (an unknown sampler, a reduced size). */
  notes: z.array(z.string().max(500)).max(32).default([]),
});

export type GenerationParams = z.infer<typeof generationParams>;
export type GenerationInput = z.input<typeof generationParams>;

/** What a job is when nothing is asked for. */
export const GENERATION_DEFAULTS: GenerationParams = generationParams.parse({});

/** The parameters of a job that is over, without the pictures that came along: they are large and of no use any more. */
export function withoutPictures(params: GenerationParams): GenerationParams {
  const { hires, controls, inpaint } = params;
  return {
    ...{ ...params, initImages: [] },
    inpaint: inpaint && { ...inpaint, mask: 'left out', latentMask: null },
    hires: hires && { ...hires, firstPassImage: null },
    controls: controls.map((control) => ({ ...control, image: null, mask: null })),
  };
}
