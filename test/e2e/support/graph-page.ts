import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { build } from 'vite';
import { buildGraph, type GraphOptions } from '../../../web/compiler/build-graph.ts';
import type { CompiledComponent, GraphShape } from '../../../web/compiler/model.ts';
import type { Provider } from '../../../web/compiler/onnx/graph-builder.ts';
import type { Feeds, MemorySink } from '../../compiler/lib/runtime.ts';
import type { FeedDtype, GraphRun } from '../webgpu-references/page.ts';
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
  /** GPU dispatches of one run of any graph. */
  dispatches(graph: CountedGraph): Promise<number>;
  /** Opens a session that tolerates no node on the processor; rejects with what onnxruntime says of one. */
  openOnGpuAlone(graph: CountedGraph): Promise<void>;
  close(): Promise<void>;
}

export async function openGraphPage(provider: Provider): Promise<GraphPage> {
  const files = new Map<string, Uint8Array>();
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
  const browser = await launchBrowser({ webgpu: provider === 'webgpu' });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${port}/?provider=${provider}`);
  await page.waitForFunction(() => 'runGraph' in globalThis);

  /** Puts the graph where the page finds it. */
  function offer({ onnx, shardPaths = [], shards = [], feeds = {} }: CountedGraph): GraphRun {
    files.clear();
    files.set('/graph.onnx', onnx);
    for (const [index, bytes] of shards.entries()) files.set(`/${index}.bin`, bytes);
    return {
      graph: '/graph.onnx',
      shardPaths,
      shards: shards.map((_, index) => `/${index}.bin`),
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
      const { onnx, shardPaths } = buildGraph(compiled, shape, { ...options, provider });
      const run = offer({ onnx, shardPaths, shards: sink.bytes(compiled.name), feeds });
      const { adapter, outputs } = await page.evaluate((what) => globalThis.runGraph(what), run);
      if (/swiftshader/i.test(adapter) !== (provider === 'webgpu')) throw new Error(adapter);
      return Object.fromEntries(
        Object.entries(outputs).map(([name, { values, shape: dims }]) => [
          name,
          { data: Float32Array.from(values), dims },
        ]),
      );
    },
    dispatches: (graph) =>
      page.evaluate((what) => globalThis.countDispatches(what, false), offer(graph)),
    async openOnGpuAlone(graph) {
      await page.evaluate((what) => globalThis.countDispatches(what, true), offer(graph));
    },
    async close() {
      await browser.close();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
