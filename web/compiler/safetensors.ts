import type { ByteSource } from './model.ts';

/** Element types of the safetensors format that a checkpoint may hold. */
export type SourceDtype =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U8'
  | 'BOOL';

/** Where one tensor of a safetensors file lies. */
export interface SourceTensor {
  readonly name: string;
  readonly dtype: SourceDtype;
  readonly shape: readonly number[];
  readonly file: ByteSource;
  /** Bytes from the file's beginning. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/** A safetensors file's table of contents. */
export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads and checks the header of a safetensors file; no weight is read.
 * Rejects with `invalid-model` naming the file, the tensor, what was expected and what was found.
 */
export async function readSafetensorsHeader(
  source: ByteSource,
  { signal }: { signal?: AbortSignal } = {},
): Promise<SafetensorsHeader> {
  signal?.throwIfAborted();
  throw new Error(`not written yet: ${source.path}`);
}
