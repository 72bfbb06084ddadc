import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { ByteSource } from '../../../web/compiler/model.ts';
import { MODELS } from './files.ts';

export const MANIFESTS = ['sd15', 'sd15-inpaint', 'sd21', 'sdxl-base', 'sdxl-refiner'] as const;

type TensorList = Readonly<Record<string, readonly [dtype: string, shape: readonly number[]]>>;

export interface Expected {
  readonly family: string;
  readonly in_channels: number;
  readonly context_dim: number;
  readonly prediction_type: string;
  readonly unet_heads_per_level: readonly number[];
  readonly transformer_depth_per_level?: readonly number[];
  readonly text_heads: readonly number[];
  readonly scaling_factor: number;
  readonly native_resolution: number;
  readonly pad_ids: readonly number[];
}

export interface LdmManifest {
  readonly expected: Expected;
  readonly tensors: TensorList;
}

export interface DiffusersManifest {
  readonly expected: Expected;
  readonly configs: Readonly<Record<string, Record<string, unknown>>>;
  readonly tensors: Readonly<Record<string, TensorList>>;
}

/** Names and shapes of a published model's tensors. */
export function readManifest<T>(model: string, layout: 'ldm' | 'diffusers'): T {
  const path = join(MODELS, 'full-keys', `${model}.${layout}.json.gz`);
  return JSON.parse(gunzipSync(readFileSync(path)).toString('utf8')) as T;
}

const BYTES: Readonly<Record<string, number>> = { F16: 2, F32: 4, I64: 8 };

/** A safetensors file of true size of which only the header can be read: weights are none of its business. */
export function headerOnly(path: string, tensors: TensorList): ByteSource {
  let at = 0;
  const header: Record<string, unknown> = {};
  for (const [name, [dtype, shape]] of Object.entries(tensors)) {
    const sizeBytes = shape.reduce((product, size) => product * size, BYTES[dtype]!);
    header[name] = { dtype, shape, data_offsets: [at, at + sizeBytes] };
    at += sizeBytes;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.byteLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  bytes.set(text, 8);
  return {
    path,
    sizeBytes: bytes.byteLength + at,
    async read(offset, length) {
      if (offset + length > bytes.byteLength) throw new Error(`${path}: a weight was read`);
      return bytes.slice(offset, offset + length);
    },
  };
}
