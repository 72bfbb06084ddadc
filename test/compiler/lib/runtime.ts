import * as ort from 'onnxruntime-web/wasm';
import { buildGraph, type GraphOptions } from '../../../web/compiler/build-graph.ts';
import {
  type CompiledComponent,
  type CompiledModel,
  type ComponentName,
  type GraphShape,
  graphData,
  type WeightSink,
} from '../../../web/compiler/model.ts';

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';

/** Keeps compiled weights in memory. */
export class MemorySink implements WeightSink {
  readonly shards = new Map<ComponentName, Uint8Array[][]>();
  #current: Uint8Array[] = [];

  async beginShard(component: ComponentName, index: number): Promise<void> {
    const shards = this.shards.get(component) ?? [];
    if (index !== shards.length) throw new Error(`shard ${index} out of order`);
    this.#current = [];
    shards.push(this.#current);
    this.shards.set(component, shards);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#current.push(bytes);
  }

  /** The bytes of every shard of a component. */
  bytes(component: ComponentName): Uint8Array[] {
    return (this.shards.get(component) ?? []).map((pieces) =>
      Uint8Array.from(Buffer.concat(pieces)),
    );
  }
}

export type Feeds = Record<string, ort.Tensor>;

export function f32(data: Float32Array | number[], dims: readonly number[]): ort.Tensor {
  return new ort.Tensor('float32', Float32Array.from(data), dims);
}

export function i32(data: readonly number[], dims: readonly number[]): ort.Tensor {
  return new ort.Tensor('int32', Int32Array.from(data), dims);
}

/** Runs an ONNX file once on the wasm provider. */
export async function runOnnx(
  onnx: Uint8Array,
  feeds: Feeds,
  externalData: { path: string; data: Uint8Array }[] = [],
  level: 'disabled' | 'basic' | 'all' = 'all',
): Promise<Record<string, { data: Float32Array; dims: readonly number[] }>> {
  const session = await ort.InferenceSession.create(onnx, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: level,
    externalData,
  });
  try {
    const results = await session.run(feeds);
    return Object.fromEntries(
      Object.entries(results).map(([name, tensor]) => [
        name,
        { data: tensor.data as Float32Array, dims: tensor.dims },
      ]),
    );
  } finally {
    await session.release();
  }
}

export function component(model: CompiledModel, name: ComponentName): CompiledComponent {
  const found = model.components.find((candidate) => candidate.name === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
}

/** Builds a component's graph for one size and runs it. */
export async function runComponent(
  compiled: CompiledComponent,
  sink: MemorySink,
  shape: GraphShape,
  feeds: Feeds,
  options: GraphOptions = {},
) {
  const graph = buildGraph(compiled, shape, options);
  const data = graphData(graph, sink.bytes(compiled.name));
  const externalData = graph.shardPaths.map((path, index) => ({ path, data: data[index]! }));
  return runOnnx(graph.onnx, feeds, externalData);
}

/** Runs a UNet as its two parts: what depends on the texts alone, then the rest. */
export async function runInParts(
  compiled: CompiledComponent,
  sink: MemorySink,
  shape: GraphShape,
  feeds: Feeds,
  options: GraphOptions = {},
  run: typeof runComponent = runComponent,
) {
  const { encoder_hidden_states, text_embeds, time_ids, ...ofSteps } = feeds;
  const texts = { encoder_hidden_states, text_embeds, time_ids };
  const textual = Object.fromEntries(
    Object.entries(texts).flatMap(([name, tensor]) => (tensor ? [[name, tensor] as const] : [])),
  );
  const made = await run(compiled, sink, shape, textual, { part: 'context' });
  for (const [name, { data, dims }] of Object.entries(made)) ofSteps[name] = tensorOf(data, dims);
  return run(compiled, sink, shape, ofSteps, { ...options, part: 'steps' });
}

/** float32 values, or float16 ones as the runtime gives them. */
export function tensorOf(data: Float32Array, dims: readonly number[]): ort.Tensor {
  return data instanceof Float32Array
    ? f32(data, dims)
    : new ort.Tensor('float16', data as Uint16Array, dims);
}

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  let largest = 0;
  for (let index = 0; index < a.length; index++) {
    const difference = Math.abs(a[index]! - b[index]!);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}
