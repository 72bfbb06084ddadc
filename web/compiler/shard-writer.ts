import { GenerationError } from '../../protocol/errors.ts';
import type { ComponentName, WeightDtype, WeightEntry, WeightSink } from './model.ts';
import { DTYPE_BYTES } from './onnx/model.ts';
import { sizeOf } from './onnx/shapes.ts';

/** Weights begin at multiples of it: enough for every element type and for GPU buffer copies. */
const ALIGNMENT = 64;
/** A shard is read as one block of memory when its session opens, and tabs do not survive larger ones. */
const MAX_WEIGHT_BYTES = 2 ** 30;
/** Small weights are gathered up to this size before they go to the sink. */
const BUFFER_BYTES = 4 * 1024 * 1024;

/** Lays a component's weights out in shards and remembers where each one lies. */
export class ShardWriter {
  readonly #component: ComponentName;
  readonly #sink: WeightSink;
  readonly #maxShardBytes: number;
  readonly #entries: Record<string, WeightEntry> = Object.create(null);
  readonly #shardSizes: number[] = [];
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(component: ComponentName, sink: WeightSink, maxShardBytes: number) {
    this.#component = component;
    this.#sink = sink;
    this.#maxShardBytes = maxShardBytes;
  }

  /**
   * Starts a weight; its bytes follow through `write`. One that is larger than a shard has a shard of its
   * own. Throws `unsupported` beyond 1 GiB.
   */
  async begin(
    name: string,
    { dtype, shape }: { dtype: WeightDtype; shape: readonly number[] },
  ): Promise<void> {
    const sizeBytes = sizeOf(shape) * DTYPE_BYTES[dtype];
    if (sizeBytes > MAX_WEIGHT_BYTES) {
      throw new GenerationError(
        'unsupported',
        `The weight "${name}" takes ${sizeBytes} bytes; a browser holds at most ${MAX_WEIGHT_BYTES} in one piece. Choose a smaller precision (fp16, q8 or q4).`,
      );
    }
    const used = this.#shardSizes.at(-1);
    const padding = used === undefined ? 0 : (ALIGNMENT - (used % ALIGNMENT)) % ALIGNMENT;
    if (used === undefined || used + padding + sizeBytes > this.#maxShardBytes) {
      await this.#flush();
      await this.#sink.beginShard(this.#component, this.#shardSizes.length);
      this.#shardSizes.push(0);
    } else if (padding > 0) {
      await this.write(new Uint8Array(padding));
    }
    const shard = this.#shardSizes.length - 1;
    const offset = this.#shardSizes[shard] ?? 0;
    this.#entries[name] = { dtype, shape, shard, offset, sizeBytes };
  }

  /** Appends bytes to the current shard; they belong to the writer from then on. */
  async write(bytes: Uint8Array): Promise<void> {
    const shard = this.#shardSizes.length - 1;
    this.#shardSizes[shard] = (this.#shardSizes[shard] ?? 0) + bytes.byteLength;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.byteLength;
    if (this.#pendingBytes >= BUFFER_BYTES) await this.#flush();
  }

  async finish(): Promise<{
    shardSizes: readonly number[];
    entries: Readonly<Record<string, WeightEntry>>;
  }> {
    await this.#flush();
    return { shardSizes: this.#shardSizes, entries: { ...this.#entries } };
  }

  async #flush(): Promise<void> {
    const [only, ...others] = this.#pending;
    if (!only) return;
    let joined = only;
    if (others.length > 0) {
      joined = new Uint8Array(this.#pendingBytes);
      let at = 0;
      for (const bytes of this.#pending) {
        joined.set(bytes, at);
        at += bytes.byteLength;
      }
    }
    this.#pending = [];
    this.#pendingBytes = 0;
    await this.#sink.write(joined);
  }
}
