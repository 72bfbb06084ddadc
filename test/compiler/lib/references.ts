import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensorsHeader, type SourceTensor } from '../../../web/compiler/safetensors.ts';
import { fileSource, MODELS } from './files.ts';

export interface ReferenceCase {
  readonly name: string;
  readonly component: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
  readonly settings?: { readonly strength?: number };
}

interface TensorInfo {
  readonly shape: readonly number[];
  readonly tolerance_fp32_max_abs?: number;
}

/** What the reference implementation made of a small model. */
export interface References {
  readonly cases: readonly ReferenceCase[];
  /** Of all tensors that are described. */
  readonly tensorNames: readonly string[];
  tensor(name: string): { data: number[]; shape: readonly number[] };
  tolerance(name: string): number;
}

export async function readReferences(model: string): Promise<References> {
  const all = JSON.parse(readFileSync(join(MODELS, 'references.json'), 'utf8'));
  const { cases, tensors } = all.files[model] as {
    cases: ReferenceCase[];
    tensors: Record<string, TensorInfo>;
  };
  const path = join(MODELS, 'references', `${model}.safetensors`);
  const header = await readSafetensorsHeader(await fileSource(path, `${model}.safetensors`));
  const file = readFileSync(path);
  return {
    cases,
    tensorNames: Object.keys(tensors),
    tensor(name) {
      const tensor = header.tensors.get(name);
      if (!tensor) throw new Error(`no reference ${name}`);
      return { data: readNumbers(file, tensor), shape: tensor.shape };
    },
    tolerance(name) {
      const tolerance = tensors[name]?.tolerance_fp32_max_abs;
      if (tolerance === undefined) throw new Error(`no tolerance for ${name}`);
      return tolerance;
    },
  };
}

function readNumbers(file: Buffer, { dtype, offset, sizeBytes }: SourceTensor): number[] {
  const bytes = Uint8Array.from(file.subarray(offset, offset + sizeBytes)).buffer;
  if (dtype === 'F32') return [...new Float32Array(bytes)];
  if (dtype === 'I64') return [...new BigInt64Array(bytes)].map(Number);
  if (dtype === 'U8') return [...new Uint8Array(bytes)];
  throw new Error(`references of ${dtype}`);
}
