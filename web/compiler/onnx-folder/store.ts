import type { CheckpointComponent } from '../checkpoint.ts';
import { invalidModel } from '../errors.ts';
import type { CompiledComponent, WeightDtype } from '../model.ts';
import type { ShardWriter } from '../shard-writer.ts';
import type { OnnxComponent } from './component.ts';
import { tensorBytes, typeName } from './element-types.ts';
import { encodeOnnxFile } from './encode-graph.ts';
import type { Tensor } from './graph.ts';
import { narrowBytes } from './repair.ts';

/** What is read at a time; a multiple of a float64's size. */
const PIECE_BYTES = 8 * 1024 * 1024;

/** Shapes and the like, which the runtime wants to see when it opens the graph, are part of it. */
const SMALL_BYTES = 1024;

/** The shard entry that is the graph itself, without its weights. */
export const GRAPH_ENTRY = 'graph.onnx';

/** `location` of a component's shard in its graph's external data. */
export function shardPath(component: CompiledComponent['name'], shard: number): string {
  return `${component}.${shard}.weights`;
}

export interface StoreOptions {
  /** Source bytes that were read. */
  readonly report: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Copies a ready-made graph's weights into shards as they are, and the graph behind them with each
 * weight's new place. At most a piece of a weight and a write buffer are in memory.
 */
export async function storeGraph(
  {
    name,
    config,
    onnx,
  }: Pick<OnnxComponent, 'name' | 'onnx'> & Pick<CheckpointComponent, 'config'>,
  writer: ShardWriter,
  { report, signal }: StoreOptions,
): Promise<CompiledComponent> {
  const inlined = new Map<string, Uint8Array>();
  for (const tensor of onnx.model.graph.initializers) {
    if (tensor.data.type === 'inline') continue;
    const bytes = tensorBytes(tensor.type, tensor.shape);
    if (bytes <= SMALL_BYTES) {
      const small = new Uint8Array(bytes);
      await copyTensor(tensor, onnx, { write: async (piece) => small.set(piece), report, signal });
      inlined.set(tensor.name, small);
      continue;
    }
    await writer.begin(tensor.name, asStored(tensor, bytes));
    await copyTensor(tensor, onnx, { write: (piece) => writer.write(piece), report, signal });
  }
  const { entries } = await writer.finish();
  const initializers = onnx.model.graph.initializers.map((tensor): Tensor => {
    const small = inlined.get(tensor.name);
    if (small) return { ...tensor, data: { type: 'inline', bytes: small } };
    const entry = Object.hasOwn(entries, tensor.name) ? entries[tensor.name] : undefined;
    if (!entry || tensor.data.type === 'inline') return tensor;
    const { shard, offset, sizeBytes } = entry;
    return {
      ...tensor,
      data: { type: 'part', location: shardPath(name, shard), offset, sizeBytes },
    };
  });
  const graph = encodeOnnxFile({ ...onnx.model, graph: { ...onnx.model.graph, initializers } });
  await writer.begin(GRAPH_ENTRY, { dtype: 'uint8', shape: [graph.byteLength] });
  await writer.write(graph);
  const finished = await writer.finish();
  return {
    ...{ name, config: { ...config }, precision: onnx.precision },
    ...{ shardSizes: finished.shardSizes, weights: finished.entries },
  };
}

/** Types that the manifest knows by name; others are bytes to it. */
const NAMED: ReadonlySet<string> = new Set<WeightDtype>(['float32', 'float16', 'int64', 'int32']);

function asStored(
  { type, shape }: Tensor,
  bytes: number,
): { dtype: WeightDtype; shape: readonly number[] } {
  const dtype = typeName(type);
  return NAMED.has(dtype)
    ? { dtype: dtype as WeightDtype, shape }
    : { dtype: 'uint8', shape: [bytes] };
}

async function copyTensor(
  { name, data }: Tensor,
  { data: files }: OnnxComponent['onnx'],
  {
    write,
    report,
    signal,
  }: Pick<StoreOptions, 'report' | 'signal'> & { write: (piece: Uint8Array) => Promise<void> },
): Promise<void> {
  if (data.type === 'inline') return;
  const file = files.get(data.location);
  if (!file) throw new TypeError(`${name} has no file`);
  for (let at = 0; at < data.sizeBytes; at += PIECE_BYTES) {
    signal?.throwIfAborted();
    const length = Math.min(PIECE_BYTES, data.sizeBytes - at);
    const bytes = await file.read(data.offset + at, length, signal ? { signal } : {});
    if (bytes.byteLength !== length) {
      throw invalidModel(
        file.path,
        `is cut off: of the weight "${name}" ${length} bytes were expected at ${data.offset + at}, ${bytes.byteLength} came. Download it again.`,
      );
    }
    await write(data.isNarrowed ? narrowBytes(bytes) : bytes);
    report(length);
  }
}
