import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelFiles } from '../../../web/compiler/model.ts';
import { folderFiles, jsonSource, MODELS, memorySource } from './files.ts';
import { replaceFolder } from './overlay.ts';
import { writeSafetensors } from './safetensors-bytes.ts';

/** What `tools/references/refiner.py` made of a small UNet with the conditions of SDXL's refiner. */
interface RefinerFixture {
  readonly config: Record<string, unknown>;
  readonly tensors: Readonly<Record<string, readonly number[]>>;
  /** One latent under a prompt and a negative prompt; numbers in base64 are float32. */
  readonly case: {
    readonly timestep: number;
    readonly time_ids: readonly (readonly number[])[];
    readonly text_embeds: string;
    readonly context: string;
    readonly out: string;
    readonly tolerance: number;
  };
  /** 64×64 pixels of 8 bits in RGB. */
  readonly picture: { seed: number; steps: number; guidance: number; pixels: string };
}

export const REFINER: RefinerFixture = JSON.parse(
  readFileSync(join(MODELS, 'refiner.json'), 'utf8'),
);

/** As `uniform` in the script: numbers in -1 to 1 from the name alone. */
export function uniform(name: string, count: number): Float64Array {
  let state = 0;
  for (const character of name) state = (state * 31 + character.charCodeAt(0)) % 2 ** 32;
  return Float64Array.from({ length: count }, () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 31 - 1;
  });
}

/** As `values` in the script. */
function values(name: string, shape: readonly number[]): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  const numbers = uniform(name, count);
  if (shape.length === 1) {
    const isGain = name.includes('norm') && name.endsWith('weight');
    return Float32Array.from(numbers, (value) => (isGain ? 1 + 0.15 * value : 0.05 * value));
  }
  const endsBranch = ['conv2', 'to_out', 'ff.net.2', 'proj_out'].some((part) =>
    name.includes(part),
  );
  const scale = (endsBranch ? 0.5 : 1.5) / Math.sqrt(count / shape[0]!);
  return Float32Array.from(numbers, (value) => scale * value);
}

/** The refiner as a diffusers folder; text encoder and VAE are sdxl-tiny's. */
export async function refinerFolder(): Promise<ModelFiles> {
  const whole = await folderFiles(join(MODELS, 'sdxl-tiny'));
  const tensors = Object.fromEntries(
    Object.entries(REFINER.tensors).map(([name, shape]) => {
      const bytes = new Uint8Array(values(name, shape).buffer);
      return [name, { dtype: 'F32' as const, shape, bytes }];
    }),
  );
  const { files } = replaceFolder(whole, 'unet', {
    name: 'unet',
    files: [
      jsonSource('config.json', REFINER.config),
      memorySource('diffusion_pytorch_model.safetensors', writeSafetensors(tensors)),
    ],
  });
  const index = jsonSource('model_index.json', {
    _class_name: 'StableDiffusionXLImg2ImgPipeline',
    requires_aesthetics_score: true,
    text_encoder: [null, null],
    text_encoder_2: ['transformers', 'CLIPTextModelWithProjection'],
    tokenizer: [null, null],
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', 'AutoencoderKL'],
  });
  const isOthers = (path: string) =>
    path === index.path || /^(text_encoder|tokenizer)\//.test(path);
  return { name: 'refiner', files: [...files.filter(({ path }) => !isOthers(path)), index] };
}
