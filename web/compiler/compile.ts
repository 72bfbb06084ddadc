import type { Checkpoint } from './checkpoint.ts';
import type {
  CompiledModel,
  CompileProgress,
  ComponentName,
  Precision,
  WeightSink,
} from './model.ts';

/** Part of every cache key: raised whenever the same input would give other bytes. */
export const COMPILER_VERSION = 1;

export interface CompileOptions {
  readonly precision: Precision;
  readonly sink: WeightSink;
  readonly onProgress?: (progress: CompileProgress) => void;
  readonly signal?: AbortSignal;
  /** Only these; all of the checkpoint's without it. */
  readonly components?: readonly ComponentName[];
  /** Largest shard, 512 MiB. */
  readonly maxShardBytes?: number;
}

/**
 * Streams a checkpoint's weights through conversion into `sink` and says where each one went.
 * At most one source tensor and a write buffer are in memory. An aborted signal throws AbortError.
 */
export async function compileCheckpoint(
  checkpoint: Checkpoint,
  { signal }: CompileOptions,
): Promise<CompiledModel> {
  signal?.throwIfAborted();
  throw new Error(`not written yet: ${checkpoint.name}`);
}
