import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import type { Page } from 'playwright';
import { build } from 'vite';
import { buildGraph, type GraphOptions } from '../../../web/compiler/build-graph.ts';
import { type CompiledComponent, type GraphShape, graphData } from '../../../web/compiler/model.ts';
import type { Provider } from '../../../web/compiler/onnx/graph-builder.ts';
import type { Feeds, MemorySink } from '../../compiler/lib/runtime.ts';
import type { FeedDtype, GraphResult, GraphRun } from '../webgpu-references/page.ts';
import { freePort, ROOT } from './bridge.ts';
import { launchBrowser } from './browser.ts';

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

export interface CountedGraph {
  readonly onnx: Uint8Array;
  readonly shardPaths?: readonly string[];
  readonly shards?: readonly Uint8Array[];
  readonly feeds?: Feeds;
}

/** A page of a real Chromium that runs graphs, on the software adapter or on the wasm provider. */
export interface GraphPage {
  /** As `runComponent` of the compiler's tests, in the browser and through the engine's runtime. */
  run(
    compiled: CompiledComponent,
    sink: MemorySink,
    shape: GraphShape,
    feeds: Feeds,
    options?: GraphOptions,
  ): Promise<Record<string, { data: Float32Array; dims: readonly number[] }>>;
  /** A UNet in its two parts, the second's session opened when the first's is gone; gives the second's outputs. */
  runInTurn(
    compiled: CompiledComponent,
    sink: MemorySink,
    shape: GraphShape,
    feeds: Record<'context' | 'steps', Feeds>,
  ): ReturnType<GraphPage['run']>;
  /** GPU dispatches of one run of any graph. */
  dispatches(graph: CountedGraph): Promise<number>;
  /** Opens a session that tolerates no node on the processor; rejects with what onnxruntime says of one. */
  openOnGpuAlone(graph: CountedGraph): Promise<void>;
  close(): Promise<void>;
}

/**
 * How long one graph may take; the slowest takes a twelfth of it where nothing else runs. Then the test fails with what the
 * page was at, and the next graph gets a browser of its own: one that stands still is not waited for by every test after it.
 */
const PATIENCE_MS = 120_000;

export async function openGraphPage(provider: Provider): Promise<GraphPage> {
  const files = new Map<string, Uint8Array>();
  const served = await serveGraphs(files);
  let opened: Promise<Page> | null = null;

  async function openPage(): Promise<Page> {
    const browser = await launchBrowser({ webgpu: provider === 'webgpu' });
    const page = await browser.newPage();
    await page.goto(`${served.url}/?provider=${provider}`);
    await page.waitForFunction(() => 'runGraph' in globalThis);
    return page;
  }

  async function closePage(): Promise<void> {
    const page = await opened;
    opened = null;
    await page?.context().browser()?.close();
  }

  /** What `work` gives in the page, which is given up with its browser where it gives nothing. */
  async function inPage<T>(work: (page: Page) => Promise<T>): Promise<T> {
    opened ??= openPage();
    const page = await opened;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS, null);
    });
    const done = work(page).then((value) => ({ value }));
    const result = await Promise.race([done, patience]).finally(() => clearTimeout(timer));
    if (result) return result.value;
    const stage = await page.evaluate(() => globalThis.stage);
    done.catch(() => {});
    await closePage();
    throw new Error(`The browser gave no answer in ${PATIENCE_MS / 1000} s, at ${stage}.`);
  }

  /** Puts the graph where the page finds it. */
  function offer(
    { onnx, shardPaths = [], shards = [], feeds = {} }: CountedGraph,
    place = 'graph',
  ): GraphRun {
    const addresses = shards.map((_, index) => `/${place}.${index}.bin`);
    files.set(`/${place}.onnx`, onnx);
    for (const [index, bytes] of shards.entries()) files.set(addresses[index] ?? '', bytes);
    return {
      graph: `/${place}.onnx`,
      shardPaths,
      shards: addresses,
      feeds: Object.fromEntries(
        Object.entries(feeds).map(([name, { type, dims, data }]) => [
          name,
          {
            dtype: type as FeedDtype,
            shape: dims,
            values: Array.from(data as Float32Array | Int32Array | BigInt64Array, Number),
          },
        ]),
      ),
    };
  }

  return {
    async run(compiled, sink, shape, feeds, options = {}) {
      const graph = buildGraph(compiled, shape, { ...options, provider });
      const run = offer({ ...graph, shards: graphData(graph, sink.bytes(compiled.name)), feeds });
      const { adapter, outputs } = await inPage((page) =>
        page.evaluate((what) => globalThis.runGraph(what), run),
      );
      if (/swiftshader/i.test(adapter) !== (provider === 'webgpu')) throw new Error(adapter);
      return tensorsOf(outputs);
    },
    async runInTurn(compiled, sink, shape, feeds) {
      const [first, second] = (['context', 'steps'] as const).map((part) => {
        const graph = buildGraph(compiled, shape, { part, texts: 2, provider });
        const shards = graphData(graph, sink.bytes(compiled.name));
        return offer({ ...graph, shards, feeds: feeds[part] }, part);
      });
      if (!first || !second) throw new Error('two parts');
      const { outputs } = await inPage((page) =>
        page.evaluate(([a, b]) => globalThis.runGraphsInTurn(a, b), [first, second] as const),
      );
      return tensorsOf(outputs);
    },
    dispatches(graph) {
      const run = offer(graph);
      return inPage((page) =>
        page.evaluate((what) => globalThis.countDispatches(what, false), run),
      );
    },
    async openOnGpuAlone(graph) {
      const run = offer(graph);
      await inPage((page) => page.evaluate((what) => globalThis.countDispatches(what, true), run));
    },
    async close() {
      await closePage();
      served.close();
    },
  };
}

function tensorsOf(outputs: GraphResult['outputs']) {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { values, shape: dims }]) => [
      name,
      { data: Float32Array.from(values), dims },
    ]),
  );
}

/** The built page, and the graphs in `files` by path. */
async function serveGraphs(files: ReadonlyMap<string, Uint8Array>) {
  const folder = mkdtempSync(join(tmpdir(), 'easel-graphs-'));
  await build({
    root: join(ROOT, 'test/e2e/webgpu-references'),
    configFile: false,
    publicDir: false,
    logLevel: 'error',
    base: './',
    build: { outDir: folder, emptyOutDir: true, target: 'es2023', assetsInlineLimit: 0 },
  });
  const port = await freePort();
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const made = files.get(path);
    const file = join(folder, path === '/' ? 'index.html' : path);
    if (!made && !statSync(file, { throwIfNoEntry: false })?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type }).end(made ?? readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
