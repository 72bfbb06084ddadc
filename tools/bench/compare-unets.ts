import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';
import { type Feeds, f32, runComponent, tensorOf } from '../../test/compiler/lib/runtime.ts';
import { openGraphPage } from '../../test/e2e/support/graph-page.ts';
import { buildGraph, type GraphOptions } from '../../web/compiler/build-graph.ts';
import { graphData } from '../../web/compiler/model.ts';
import type { UnetConfig } from '../../web/compiler/models/unet.ts';
import { type BenchFamily, benchFamilies, compileFamily, EXPORTS } from './families.ts';
import { atMost, type BenchRow, figure, percentile } from './row.ts';

const TOKENS = 77;

function noise(...dims: number[]): ort.Tensor {
  const count = dims.reduce((product, size) => product * size, 1);
  return f32(
    Float32Array.from({ length: count }, (_, index) => Math.sin(index)),
    dims,
  );
}

/** Cond and uncond rows of one picture, for our graph and for the export's. */
function feeds({ contextSize, textTime }: UnetConfig, side: number) {
  const latents = noise(1, 4, side, side).data as Float32Array;
  const shared = {
    sample: f32([...latents, ...latents], [2, 4, side, side]),
    encoder_hidden_states: noise(2, TOKENS, contextSize),
    ...(textTime
      ? { text_embeds: noise(2, textTime.textEmbedsSize), time_ids: noise(2, textTime.timeIds) }
      : {}),
  };
  return {
    ours: { ...shared, timestep: f32([500, 500], [2]) },
    theirs: { ...shared, timestep: new ort.Tensor('int64', [500n], [1]) },
  };
}

/** The pass of every step, with what depends on the texts alone made before it; and the graph that makes it. */
async function ourUnet(family: BenchFamily, side: number, options: GraphOptions) {
  const { model, sink } = await compileFamily(family);
  const unet = model.components.find(({ name }) => name === 'unet');
  if (!unet) throw new Error(`no UNet in ${family.name}`);
  const shape = { batch: 2, tokens: TOKENS, latentHeight: side, latentWidth: side };
  const both = feeds(unet.config as unknown as UnetConfig, side);
  const { sample, timestep, ...texts } = both.ours;
  const made = await runComponent(unet, sink, shape, texts, { part: 'context' });
  const given = Object.entries(made).map(([name, { data, dims }]) => [name, tensorOf(data, dims)]);
  const partOf = (graphOptions: GraphOptions) => {
    const graph = buildGraph(unet, shape, { ...options, ...graphOptions });
    return { ...graph, shards: graphData(graph, sink.bytes('unet')) };
  };
  return {
    steps: {
      ...partOf({ texts: 2, part: 'steps' }),
      feeds: { sample, timestep, ...Object.fromEntries(given) } as Feeds,
    },
    context: { ...partOf({ part: 'context' }), feeds: texts },
    theirs: both.theirs,
  };
}

function exportedUnet({ name }: BenchFamily): Uint8Array | null {
  const path = EXPORTS && join(EXPORTS, name, 'unet/model.onnx');
  return path && existsSync(path) ? readFileSync(path) : null;
}

/** GPU dispatches of one UNet pass on the software adapter: what is sent does not depend on the adapter's speed. */
export async function dispatchRows(known: Readonly<Record<string, number>>): Promise<BenchRow[]> {
  const page = await openGraphPage('webgpu');
  const rows: BenchRow[] = [];
  try {
    // SD 1.5's own widths are for times on the processor alone: a software adapter takes minutes for a pass of them.
    for (const family of benchFamilies().filter(({ name }) => name in known)) {
      const { steps, context, theirs: given } = await ourUnet(family, 16, { provider: 'webgpu' });
      const ours = await page.dispatches(steps);
      const once = await page.dispatches(context);
      const exported = exportedUnet(family);
      const theirs = exported
        ? await page.dispatches({ onnx: exported, feeds: given })
        : known[family.name];
      const name = `dispatches of one UNet pass, ${family.name}`;
      if (theirs === undefined) {
        rows.push(figure('compiler', name, ours, '', 'the export is not at hand'));
        continue;
      }
      const source = exported ? 'counted' : 'as recorded';
      const note = `${ours} against ${theirs} (${source}), cond and uncond of one picture, 16×16 latents, the runtime’s own layout; ${once} more once a prompt`;
      rows.push(atMost('compiler', `${name} ÷ export’s`, ours / theirs, '', 0.6, note));
    }
  } finally {
    await page.close();
  }
  return rows;
}

/** One UNet pass of both graphs on the wasm provider, in turns. */
export async function unetTimeRows(): Promise<BenchRow[]> {
  if (!EXPORTS) {
    console.log('The exported UNets are not timed: EASEL_EXPORTED_ONNX names no folder with them.');
    return [];
  }
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const rows: BenchRow[] = [];
  for (const family of benchFamilies()) {
    const exported = exportedUnet(family);
    if (exported) rows.push(await timeRow(family, exported));
  }
  return rows;
}

async function timeRow(family: BenchFamily, exported: Uint8Array): Promise<BenchRow> {
  const { steps, theirs: given } = await ourUnet(family, family.side, {});
  const { onnx, shardPaths, shards } = steps;
  const feeds = { ours: steps.feeds, theirs: given };
  const externalData = shardPaths.map((path, index) => ({
    path,
    data: shards[index] ?? new Uint8Array(),
  }));
  const ours = await ort.InferenceSession.create(onnx, { externalData, enableMemPattern: true });
  const theirs = await ort.InferenceSession.create(exported);
  const times = { ours: [] as number[], theirs: [] as number[] };
  for (let run = 0; run < family.runs + 2; run++) {
    // Each comes first every other time; the first two runs warm both up.
    const order = run % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const);
    for (const whose of order) {
      const session = whose === 'ours' ? ours : theirs;
      const startedAt = performance.now();
      await session.run(feeds[whose]);
      if (run >= 2) times[whose].push(performance.now() - startedAt);
    }
  }
  await ours.release();
  await theirs.release();
  const [mine, other] = [percentile(times.ours, 0.5), percentile(times.theirs, 0.5)];
  const [mineLeast, otherLeast] = [Math.min(...times.ours), Math.min(...times.theirs)];
  const pixels = 8 * family.side;
  const note = `cond and uncond, ${pixels}×${pixels} pixels, one thread, in turns, medians of ${family.runs}: ${mine.toFixed(1)} and ${other.toFixed(1)} ms; of the fastest passes ${(mineLeast / otherLeast).toFixed(3)}`;
  const name = `UNet pass on wasm ÷ export’s, ${family.name}`;
  return atMost('compiler', name, mine / other, '', 0.9, note);
}
