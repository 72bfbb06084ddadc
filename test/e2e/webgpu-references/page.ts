import { ShardBlob } from '../../../web/engine/models/shard-blob.ts';
import { chooseDevice, requestDevice } from '../../../web/engine/runtime/adapter.ts';
import { bundleFor, loadBundle } from '../../../web/engine/runtime/bundle.ts';
import {
  type ModelSession,
  openRuntime,
  type Runtime,
} from '../../../web/engine/runtime/runtime.ts';
import type { DeviceTensor } from '../../../web/engine/runtime/tensor.ts';

export type FeedDtype = 'float32' | 'int32' | 'int64';

/** One run of one graph; files are addresses, so that nothing large crosses the debugging protocol. */
export interface GraphRun {
  readonly graph: string;
  readonly shardPaths: readonly string[];
  readonly shards: readonly string[];
  readonly feeds: Readonly<
    Record<string, { dtype: FeedDtype; shape: readonly number[]; values: readonly number[] }>
  >;
}

export interface GraphResult {
  readonly adapter: string;
  readonly outputs: Record<string, { values: number[]; shape: readonly number[] }>;
}

const provider = new URLSearchParams(location.search).get('provider') ?? 'webgpu';
let dispatches = 0;
let runtime: Promise<Runtime> | null = null;

/** What a graph is at, for whoever waits for it in vain. */
function at(stage: string): void {
  globalThis.stage = stage;
}

const choose = () =>
  chooseDevice({ device: provider, gpu: navigator.gpu, wasmThreads: 1, isSecureContext });

async function open(): Promise<Runtime> {
  return openRuntime(await choose());
}

async function fetchBytes(url: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await fetch(url)).arrayBuffer());
}

async function openSession(
  device: Runtime,
  run: GraphRun,
  keepOnGpu = false,
): Promise<ModelSession> {
  at('opening a session');
  const onnx = await fetchBytes(run.graph);
  const shards = await Promise.all(
    // As from the store: the runtime reads through pieces of the product's own, not through a Blob's stream.
    run.shards.map(async (url) => new ShardBlob([await (await fetch(url)).blob()])),
  );
  const graph = { onnx, shardPaths: run.shardPaths };
  return device.openSession(graph, { what: run.graph, shards, keepOnGpu });
}

/** Through the product's own runtime; the session is given back. */
async function runInBrowser(run: GraphRun): Promise<GraphResult> {
  at('opening the device');
  runtime ??= open();
  return runOn(await runtime, run, {});
}

function uploaded(device: Runtime, { feeds }: GraphRun): Record<string, DeviceTensor> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, shape, values }]) => {
      const data = dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values);
      return [name, device.upload(data, shape)];
    }),
  );
}

/**
 * Two graphs in turn on a device of their own, as where memory is short: what the first made stays on the device and is fed
 * to the second, whose session opens when the first's is gone.
 */
async function runInTurn(first: GraphRun, second: GraphRun): Promise<GraphResult> {
  at('opening the device');
  const device = await open();
  try {
    const session = await openSession(device, first, true);
    at('the run');
    const made = await session.run(uploaded(device, first));
    at('the release');
    await session.release();
    return await runOn(device, second, made);
  } finally {
    await device.close();
  }
}

async function runOn(
  device: Runtime,
  run: GraphRun,
  given: Readonly<Record<string, DeviceTensor>>,
): Promise<GraphResult> {
  const session = await openSession(device, run);
  at('the run');
  const own = uploaded(device, run);
  const results = await session.run({ ...own, ...given });
  at('reading back');
  const outputs: GraphResult['outputs'] = {};
  for (const [name, tensor] of Object.entries(results)) {
    outputs[name] = { values: [...(await tensor.read())], shape: tensor.shape };
  }
  at('the release');
  for (const tensor of [...Object.values(own), ...Object.values(results)]) tensor.dispose();
  await session.release();
  return { adapter: device.device.adapter, outputs };
}

/**
 * Opens any ONNX file on WebGPU as the runtime does, runs it twice and counts what the second run sends to the GPU. With
 * `isCaptured` the session is opened for graph capture, which onnxruntime refuses where a node would run on the processor.
 */
async function countInBrowser(run: GraphRun, isCaptured: boolean): Promise<number> {
  at('opening the device');
  const { adapter, info } = await choose();
  if (!adapter) throw new Error('no adapter');
  const ort = await loadBundle(bundleFor('webgpu'), info.wasmThreads);
  countDevice ??= requestDevice(adapter);
  const device = await countDevice;
  const externalData = await Promise.all(
    run.shards.map(async (url, index) => ({
      path: run.shardPaths[index] ?? '',
      data: await fetchBytes(url),
    })),
  );
  at('opening a session');
  const session = await ort.InferenceSession.create(await fetchBytes(run.graph), {
    executionProviders: [{ name: 'webgpu', device }],
    externalData,
    enableGraphCapture: isCaptured,
    ...(isCaptured ? { preferredOutputLocation: 'gpu-buffer' as const } : {}),
    logSeverityLevel: 3,
  });
  try {
    if (isCaptured) return 0;
    at('the run');
    const feeds = Object.fromEntries(
      Object.entries(run.feeds).map(([name, { dtype, shape, values }]) => [
        name,
        dtype === 'int64'
          ? new ort.Tensor('int64', BigInt64Array.from(values, BigInt), shape)
          : dtype === 'int32'
            ? new ort.Tensor('int32', Int32Array.from(values), shape)
            : new ort.Tensor('float32', Float32Array.from(values), shape),
      ]),
    );
    await session.run(feeds);
    dispatches = 0;
    await session.run(feeds);
    return dispatches;
  } finally {
    await session.release();
  }
}
let countDevice: Promise<GPUDevice> | null = null;

if ('GPUComputePassEncoder' in globalThis) {
  for (const name of ['dispatchWorkgroups', 'dispatchWorkgroupsIndirect'] as const) {
    const original = GPUComputePassEncoder.prototype[name] as (...args: unknown[]) => undefined;
    GPUComputePassEncoder.prototype[name] = function count(
      this: GPUComputePassEncoder,
      ...args: unknown[]
    ) {
      dispatches += 1;
      return original.apply(this, args);
    };
  }
}

declare global {
  var stage: string;
  var runGraph: (run: GraphRun) => Promise<GraphResult>;
  var runGraphsInTurn: (first: GraphRun, second: GraphRun) => Promise<GraphResult>;
  var countDispatches: (run: GraphRun, isCaptured: boolean) => Promise<number>;
}
globalThis.countDispatches = countInBrowser;
globalThis.runGraph = runInBrowser;
globalThis.runGraphsInTurn = runInTurn;
