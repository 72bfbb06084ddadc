import { chooseDevice, requestDevice } from '../../../web/engine/runtime/adapter.ts';
import { bundleFor, loadBundle } from '../../../web/engine/runtime/bundle.ts';
import {
  type ModelSession,
  openRuntime,
  type Runtime,
} from '../../../web/engine/runtime/runtime.ts';

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

const choose = () =>
  chooseDevice({ device: provider, gpu: navigator.gpu, wasmThreads: 1, isSecureContext });

async function open(): Promise<Runtime> {
  return openRuntime(await choose());
}

async function fetchBytes(url: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await fetch(url)).arrayBuffer());
}

async function openSession(device: Runtime, run: GraphRun): Promise<ModelSession> {
  const onnx = await fetchBytes(run.graph);
  const shards = await Promise.all(run.shards.map(async (url) => (await fetch(url)).blob()));
  return device.openSession({ onnx, shardPaths: run.shardPaths }, { what: run.graph, shards });
}

/** Through the product's own runtime; the session is given back. */
async function runInBrowser(run: GraphRun): Promise<GraphResult> {
  runtime ??= open();
  const device = await runtime;
  const session = await openSession(device, run);
  const feeds = Object.fromEntries(
    Object.entries(run.feeds).map(([name, { dtype, shape, values }]) => {
      const data = dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values);
      return [name, device.upload(data, shape)];
    }),
  );
  const results = await session.run(feeds);
  const outputs: GraphResult['outputs'] = {};
  for (const [name, tensor] of Object.entries(results)) {
    outputs[name] = { values: [...(await tensor.read())], shape: tensor.shape };
  }
  await session.release();
  return { adapter: device.device.adapter, outputs };
}

/**
 * Opens any ONNX file on WebGPU as the runtime does, runs it twice and counts what the second run sends to the GPU. With
 * `isCaptured` the session is opened for graph capture, which onnxruntime refuses where a node would run on the processor.
 */
async function countInBrowser(run: GraphRun, isCaptured: boolean): Promise<number> {
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
  const session = await ort.InferenceSession.create(await fetchBytes(run.graph), {
    executionProviders: [{ name: 'webgpu', device }],
    externalData,
    enableGraphCapture: isCaptured,
    ...(isCaptured ? { preferredOutputLocation: 'gpu-buffer' as const } : {}),
    logSeverityLevel: 3,
  });
  try {
    if (isCaptured) return 0;
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
  var runGraph: (run: GraphRun) => Promise<GraphResult>;
  var countDispatches: (run: GraphRun, isCaptured: boolean) => Promise<number>;
}
globalThis.countDispatches = countInBrowser;
globalThis.runGraph = runInBrowser;
