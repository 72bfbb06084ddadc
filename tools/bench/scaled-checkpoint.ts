import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { gunzipSync } from 'node:zlib';

type Tensors = Record<string, [dtype: string, shape: number[]]>;
interface Manifest {
  tensors: Record<string, Tensors>;
  configs: Record<string, Record<string, unknown>>;
}

/** One MiB of halves around zero, reused at changing offsets: random enough to defeat compression. */
function randomHalves(): Uint8Array {
  const halves = new Uint16Array(1 << 19);
  for (let i = 0; i < halves.length; i++) {
    const sign = Math.random() < 0.5 ? 0x8000 : 0;
    // Exponents 8 to 10 are magnitudes of 0.008 to 0.06: what trained weights look like.
    halves[i] =
      sign | ((8 + Math.floor(Math.random() * 3)) << 10) | Math.floor(Math.random() * 1024);
  }
  return new Uint8Array(halves.buffer);
}

async function writeSafetensors(
  path: string,
  tensors: Tensors,
  noise: Uint8Array,
): Promise<number> {
  const header: Record<string, unknown> = {};
  let offset = 0;
  for (const [name, [dtype, shape]] of Object.entries(tensors)) {
    const sizeBytes = shape.reduce((a, b) => a * b, 1) * (dtype === 'I64' ? 8 : 2);
    header[name] = { dtype, shape, data_offsets: [offset, offset + sizeBytes] };
    offset += sizeBytes;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const stream = createWriteStream(path);
  stream.write(length);
  stream.write(json);
  for (let left = offset; left > 0; ) {
    const start = Math.floor(Math.random() * 4096) * 2;
    const piece = noise.subarray(start, Math.min(noise.length, start + left));
    left -= piece.length;
    if (!stream.write(piece)) await new Promise<void>((resolve) => stream.once('drain', resolve));
  }
  stream.end();
  await finished(stream);
  return offset;
}

/**
 * Writes one `.safetensors` file with every key and shape of a real checkpoint in A1111's layout, as its
 * manifest lists them, and random weights: halves, but for the integers. Returns its bytes.
 */
export async function writeTrueSizeFile(path: string, manifestPath: string): Promise<number> {
  const { tensors } = JSON.parse(gunzipSync(readFileSync(manifestPath)).toString()) as {
    tensors: Tensors;
  };
  const halves = Object.entries(tensors).map(
    ([name, [dtype, shape]]) => [name, [dtype.startsWith('I') ? dtype : 'F16', shape]] as const,
  );
  return writeSafetensors(path, Object.fromEntries(halves) as unknown as Tensors, randomHalves());
}

/**
 * Writes a diffusers folder with the keys of the real SD 1.5 and random fp16 weights. `unetScale`
 * shrinks the UNet's widths (320 → 320 × scale); returns the bytes of each component.
 */
export async function writeScaledCheckpoint(
  folder: string,
  manifestPath: string,
  unetScale: number,
): Promise<Record<string, number>> {
  const manifest = JSON.parse(gunzipSync(readFileSync(manifestPath)).toString()) as Manifest;
  const noise = randomHalves();
  const scaled = (side: number) => (side % 320 === 0 ? Math.round(side * unetScale) : side);
  const sizes: Record<string, number> = {};
  for (const [component, all] of Object.entries(manifest.tensors)) {
    if (!['text_encoder', 'unet', 'vae'].includes(component)) continue;
    const tensors: Tensors = {};
    for (const [name, [dtype, shape]] of Object.entries(all)) {
      if (dtype.startsWith('I')) continue;
      tensors[name] = ['F16', component === 'unet' ? shape.map(scaled) : shape];
    }
    mkdirSync(join(folder, component), { recursive: true });
    const config = { ...manifest.configs[component] };
    if (component === 'unet')
      config.block_out_channels = (config.block_out_channels as number[]).map(scaled);
    writeFileSync(join(folder, component, 'config.json'), JSON.stringify(config));
    const file =
      component === 'text_encoder' ? 'model.safetensors' : 'diffusion_pytorch_model.safetensors';
    sizes[component] = await writeSafetensors(join(folder, component, file), tensors, noise);
  }
  mkdirSync(join(folder, 'scheduler'), { recursive: true });
  writeFileSync(
    join(folder, 'scheduler', 'scheduler_config.json'),
    JSON.stringify({
      _class_name: 'PNDMScheduler',
      beta_start: 0.00085,
      beta_end: 0.012,
      beta_schedule: 'scaled_linear',
      num_train_timesteps: 1000,
      prediction_type: 'epsilon',
    }),
  );
  writeFileSync(
    join(folder, 'model_index.json'),
    JSON.stringify({
      _class_name: 'StableDiffusionPipeline',
      scheduler: ['diffusers', 'PNDMScheduler'],
      text_encoder: ['transformers', 'CLIPTextModel'],
      tokenizer: ['transformers', 'CLIPTokenizer'],
      unet: ['diffusers', 'UNet2DConditionModel'],
      vae: ['diffusers', 'AutoencoderKL'],
    }),
  );
  return sizes;
}
