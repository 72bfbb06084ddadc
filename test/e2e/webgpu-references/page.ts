import { chooseDevice } from '../../../web/engine/runtime/adapter.ts';
import {
  type ModelSession,
  openRuntime,
  type Runtime,
} from '../../../web/engine/runtime/runtime.ts';

/** One run of one graph; files are addresses, so that nothing large crosses the debugging protocol. */
export interface GraphRun {
  readonly graph: string;
  readonly shardPaths: readonly string[];
  readonly shards: readonly string[];
  readonly feeds: Readonly<
    Record<string, { dtype: 'float32' | 'int32'; shape: readonly number[]; values: number[] }>
  >;
}

export interface GraphResult {
  readonly adapter: string;
  readonly outputs: Record<string, number[]>;
}

let runtime: Promise<Runtime> | null = null;
const sessions = new Map<string, Promise<ModelSession>>();

async function open(): Promise<Runtime> {
  const choice = await chooseDevice({
    device: 'webgpu',
    gpu: navigator.gpu,
    wasmThreads: 1,
    isSecureContext,
  });
  return openRuntime(choice);
}

async function openSession(device: Runtime, run: GraphRun): Promise<ModelSession> {
  const onnx = new Uint8Array(await (await fetch(run.graph)).arrayBuffer());
  const shards = await Promise.all(run.shards.map(async (url) => (await fetch(url)).blob()));
  return device.openSession({ onnx, shardPaths: run.shardPaths }, { what: run.graph, shards });
}

async function runInBrowser(run: GraphRun): Promise<GraphResult> {
  runtime ??= open();
  const device = await runtime;
  const session = sessions.get(run.graph) ?? openSession(device, run);
  sessions.set(run.graph, session);
  const feeds = Object.fromEntries(
    Object.entries(run.feeds).map(([name, { dtype, shape, values }]) => {
      const data = dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values);
      return [name, device.upload(data, shape)];
    }),
  );
  const results = await (await session).run(feeds);
  const outputs: Record<string, number[]> = {};
  for (const [name, tensor] of Object.entries(results)) outputs[name] = [...(await tensor.read())];
  return { adapter: device.device.adapter, outputs };
}

declare global {
  var runGraph: (run: GraphRun) => Promise<GraphResult>;
}
globalThis.runGraph = runInBrowser;
