import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';
import { MemorySink } from '../../test/compiler/lib/runtime.ts';
import { ROOT } from '../../test/e2e/support/bridge.ts';
import { folderFiles } from '../../test/fakes/file-source.ts';
import { buildGraph } from '../../web/compiler/build-graph.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { CompiledModel, ComponentName } from '../../web/compiler/model.ts';
import { decodeModel } from '../../web/compiler/onnx/decode.ts';
import { atMost, type BenchRow, figure, percentile } from './row.ts';

const MODEL = join(ROOT, 'test/fixtures/models/sd15-tiny');
const COUNTS = join(ROOT, 'tools/bench/exported-nodes.json');
const SHAPE = { batch: 2, tokens: 77, latentHeight: 16, latentWidth: 16 };
const RUNS = 30;
const MEBIBYTE = 2 ** 20;

interface ExportedNodes {
  readonly command: string;
  readonly nodes: Readonly<Record<'text_encoder' | 'unet' | 'vae_decoder', number>>;
}

/** Our graphs beside what PyTorch's exporter makes of the same weights, and how fast weights are converted. */
export async function benchCompiler(): Promise<BenchRow[]> {
  const checkpoint = await openCheckpoint(folderFiles(MODEL, 'sd15-tiny'));
  const sink = new MemorySink();
  const model = await compileCheckpoint(checkpoint, { precision: 'fp32', sink });
  return [...nodeRows(model), ...(await timeRows(model, sink)), ...(await conversionRows())];
}

function component(model: CompiledModel, name: ComponentName) {
  const found = model.components.find((part) => part.name === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
}

function nodeRows(model: CompiledModel): BenchRow[] {
  const { nodes, command } = JSON.parse(readFileSync(COUNTS, 'utf8')) as ExportedNodes;
  return (['text_encoder', 'unet', 'vae_decoder'] as const).map((name) => {
    const graph = buildGraph(component(model, name), SHAPE, { provider: 'webgpu' });
    const ours = decodeModel(graph.onnx).nodes.length;
    const note = `sd15-tiny: ${ours} against ${nodes[name]} without constants; the export is made by ${command}`;
    return figure('compiler', `nodes of the ${name} ÷ export’s`, ours / nodes[name], '', note);
  });
}

/** One UNet pass of both graphs on the wasm provider, in turns. EASEL_EXPORTED_ONNX names the export. */
async function timeRows(model: CompiledModel, sink: MemorySink): Promise<BenchRow[]> {
  const exported = join(process.env.EASEL_EXPORTED_ONNX ?? '', 'unet/model.onnx');
  if (!process.env.EASEL_EXPORTED_ONNX || !existsSync(exported)) {
    console.log('The exported UNet is not timed: EASEL_EXPORTED_ONNX names no folder with one.');
    return [];
  }
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const unet = component(model, 'unet');
  const { onnx, shardPaths } = buildGraph(unet, SHAPE);
  const bytes = sink.bytes('unet');
  const externalData = shardPaths.map((path, index) => ({
    path,
    data: bytes[index] ?? new Uint8Array(),
  }));
  const ours = await ort.InferenceSession.create(onnx, { externalData, enableMemPattern: true });
  const theirs = await ort.InferenceSession.create(readFileSync(exported));
  const noise = (...dims: number[]) => {
    const count = dims.reduce((product, size) => product * size, 1);
    return new ort.Tensor('float32', Float32Array.from({ length: count }, Math.sin), dims);
  };
  const shared = { sample: noise(2, 4, 16, 16), encoder_hidden_states: noise(2, 77, 32) };
  const feeds = {
    ours: { ...shared, timestep: new ort.Tensor('float32', [500, 500], [2]) },
    theirs: { ...shared, timestep: new ort.Tensor('int64', [500n], [1]) },
  };
  const time = async (run: () => Promise<unknown>) => {
    const startedAt = performance.now();
    await run();
    return performance.now() - startedAt;
  };
  const times = { ours: [] as number[], theirs: [] as number[] };
  for (let run = 0; run < RUNS + 2; run++) {
    // Each comes first every other time; the first two runs warm both up.
    const order = run % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const);
    for (const whose of order) {
      const session = whose === 'ours' ? ours : theirs;
      const milliseconds = await time(() => session.run(feeds[whose]));
      if (run >= 2) times[whose].push(milliseconds);
    }
  }
  const [mine, other] = [percentile(times.ours, 0.5), percentile(times.theirs, 0.5)];
  const note = `sd15-tiny, batch 2, 128×128 pixels, one thread, in turns, medians of ${RUNS}: ${mine.toFixed(1)} and ${other.toFixed(1)} ms`;
  return [atMost('compiler', 'UNet pass on wasm ÷ export’s', mine / other, '', 0.9, note)];
}

/** Reading and converting without a store, which is what a compile adds to streaming. */
async function conversionRows(): Promise<BenchRow[]> {
  const checkpoint = await openCheckpoint(folderFiles(MODEL, 'sd15-tiny'));
  const total = checkpoint.components
    .flatMap(({ tensors }) => [...tensors.values()])
    .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const rows: BenchRow[] = [];
  for (const precision of ['fp32', 'fp16', 'q8', 'q4'] as const) {
    const seconds: number[] = [];
    for (let run = 0; run < 4; run++) {
      const startedAt = performance.now();
      await compileCheckpoint(checkpoint, { precision, sink: new MemorySink() });
      seconds.push((performance.now() - startedAt) / 1000);
    }
    const rate = total / MEBIBYTE / percentile(seconds.slice(1), 0.5);
    const note =
      'sd15-tiny’s fp16 weights read from files into memory, median of 3 after a warm-up';
    rows.push(figure('compiler', `conversion to ${precision}`, rate, 'MiB/s', note));
  }
  return rows;
}
