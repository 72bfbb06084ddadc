import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runningNodes } from '../../test/compiler/lib/running-nodes.ts';
import { MemorySink } from '../../test/compiler/lib/runtime.ts';
import { ROOT } from '../../test/e2e/support/bridge.ts';
import { folderFiles } from '../../test/fakes/file-source.ts';
import { buildGraph } from '../../web/compiler/build-graph.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import { hasParts } from '../../web/compiler/component.ts';
import { decodeModel } from '../../web/compiler/onnx/decode.ts';
import { dispatchRows, unetTimeRows } from './compare-unets.ts';
import { benchFamilies, compileFamily } from './families.ts';
import { type BenchRow, figure, percentile } from './row.ts';

const MODEL = join(ROOT, 'test/fixtures/models/sd15-tiny');
const EXPORTED = join(ROOT, 'tools/bench/exported.json');
const SHAPE = { batch: 2, tokens: 77, latentHeight: 16, latentWidth: 16 };
const MEBIBYTE = 2 ** 20;

/** What `export_onnx.py` and an earlier run recorded of the exports, by model. */
interface Exported {
  readonly command: string;
  readonly nodes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly dispatches: Readonly<Record<string, number>>;
}

/** Our graphs beside what PyTorch's exporter makes of the same weights, and how fast weights are converted. */
export async function benchCompiler(): Promise<BenchRow[]> {
  const exported = JSON.parse(readFileSync(EXPORTED, 'utf8')) as Exported;
  return [
    ...(await nodeRows(exported)),
    ...(await dispatchRows(exported.dispatches)),
    ...(await unetTimeRows()),
    ...(await conversionRows()),
  ];
}

async function nodeRows({ nodes, command }: Exported): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const family of benchFamilies()) {
    const { model } = await compileFamily(family);
    for (const [name, theirs] of Object.entries(nodes[family.name] ?? {})) {
      const part = model.components.find((candidate) => candidate.name === name);
      if (!part) throw new Error(`no ${name}`);
      const parts = hasParts(part) ? { part: 'steps' as const } : {};
      const { onnx } = buildGraph(part, SHAPE, { provider: 'webgpu', texts: 2, ...parts });
      const ours = runningNodes(decodeModel(onnx)).length;
      const note = `${ours} against ${theirs} without constants; the export is made by ${command}`;
      const what = `nodes of ${family.name}’s ${name} ÷ export’s`;
      rows.push(figure('compiler', what, ours / theirs, '', note));
    }
  }
  return rows;
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
