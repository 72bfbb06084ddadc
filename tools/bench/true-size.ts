import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../test/e2e/support/bridge.ts';
import { type BrowserMemory, browserMemory, peakMemory } from './browser-memory.ts';
import { countingBuild, type MemoryCounts, readCounts } from './counting-build.ts';
import { type BenchEngine, openBenchEngine } from './engine.ts';
import { atMost, type BenchRow } from './row.ts';
import { writeTrueSizeFile } from './scaled-checkpoint.ts';

const MANIFESTS = join(ROOT, 'test/fixtures/models/full-keys');
const NAME = 'true-size';
/** Side of the small picture: enough for every part to run. */
const SIDE = 64;
/** After which memory that was given back should be free. */
const SETTLE_MS = 2_000;
const GIBIBYTE = 2 ** 30;
/** What all of the browser's processes may take together. */
const MOST_GIBIBYTES = 12;

interface Health {
  readonly engines: readonly {
    readonly state: string;
    readonly checkpoint: string | null;
    readonly precision: string | null;
  }[];
  readonly activity: { readonly kind: string; readonly what: string } | null;
  readonly message: string | null;
}

type Device = 'wasm' | 'webgpu';

/** A models folder with one random checkpoint of a real one's keys; deleted by `remove`. */
async function trueSizeFolder(manifest: string) {
  const models = mkdtempSync(join(tmpdir(), 'easel-bench-'));
  const folder = join(models, 'Stable-diffusion');
  mkdirSync(folder, { recursive: true });
  const bytes = await writeTrueSizeFile(
    join(folder, `${NAME}.safetensors`),
    join(MANIFESTS, `${manifest}.json.gz`),
  );
  return { models, bytes, remove: () => rmSync(models, { recursive: true, force: true }) };
}

/** Looks at the bridge's health four times a second until `isDone` says so. */
async function until(
  { bridge }: BenchEngine,
  limitMs: number,
  isDone: (health: Health) => boolean,
): Promise<Health> {
  const end = performance.now() + limitMs;
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    const health = await bridge.get<Health>('/health');
    if (isDone(health)) return health;
  }
  throw new Error(`it took more than ${limitMs / 1000} s\n${bridge.output()}`);
}

/** Selects the checkpoint and waits until it is hashed, compiled and stored. */
async function compile(engine: BenchEngine): Promise<void> {
  await engine.bridge.ready();
  void engine.bridge.post('/sdapi/v1/options', { sd_model_checkpoint: NAME }).catch(() => {});
  let isCompiling = false;
  await until(engine, 450_000, ({ activity }) => {
    if (activity?.kind === 'compile') isCompiling = true;
    return isCompiling && activity?.kind !== 'compile';
  });
}

/** Waits until the engine has opened what an ordinary job needs; the precision that was chosen. */
async function warmedUp(engine: BenchEngine): Promise<string> {
  // Between loading and opening it is idle for a moment.
  let idleLooks = 0;
  const health = await until(engine, 120_000, ({ engines }) => {
    idleLooks = engines[0]?.state === 'idle' ? idleLooks + 1 : 0;
    return idleLooks === 4;
  });
  const [found] = health.engines;
  if (found?.checkpoint === NAME) return found.precision ?? '';
  throw new Error(`it was not loaded: ${health.message}`);
}

/** POST that waits as long as it takes: `fetch` gives up after five minutes without a reply. */
function postPatiently(url: string, body: unknown): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', headers: { 'content-type': 'application/json' } });
    sent.on('error', reject);
    sent.on('response', (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(text.slice(0, 2000))),
      );
    });
    sent.end(JSON.stringify(body));
  });
}

/** A picture from a picture: every component runs, the VAE's encoder too. */
async function draw({ bridge }: BenchEngine): Promise<void> {
  const pixel =
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';
  const text = await postPatiently(`${bridge.url}/sdapi/v1/img2img`, {
    init_images: [pixel],
    ...{ prompt: 'x', steps: 1, width: SIDE, height: SIDE, cfg_scale: 1, denoising_strength: 1 },
  });
  const { images } = JSON.parse(text) as { images: readonly string[] };
  if (images.length === 0) throw new Error('no picture came');
}

/** Opens every stored component's session in turn, in a page of its own; the engine's tab is gone then. */
async function openSessions({ page, bridge }: BenchEngine, group: string, device: Device) {
  await page.goto(`${bridge.url}/bench/index.html`);
  await page.waitForFunction(() => 'sessions' in globalThis);
  const components = await page.evaluate((name) => globalThis.sessions.components(name), NAME);
  const rows: BenchRow[] = [];
  for (const { name, precision, sizeBytes } of components) {
    const { result, peak } = await peakMemory(() =>
      page.evaluate(
        ([name, component, device]) => globalThis.sessions.open(name, component, device),
        [NAME, name, device] as const,
      ),
    );
    const { wasmHeap } = await page.evaluate(readCounts);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const left = browserMemory();
    const note = `${gibibytes(sizeBytes)} of weights in ${precision}, opened in ${result.toFixed(1)} s; the page ${gibibytes(peak.renderer)}, the GPU process ${gibibytes(peak.gpu)}, the runtime’s heap ${gibibytes(wasmHeap)}; once it was given back, the whole browser ${gibibytes(left.total)}`;
    rows.push(memoryRow(group, `the ${name} opens on ${device}`, peak, note));
  }
  return { rows, counts: await page.evaluate(readCounts) };
}

function memoryRow(group: string, what: string, peak: BrowserMemory, note: string): BenchRow {
  const name = `peak of the whole browser: ${what}`;
  return atMost(group, name, peak.total / GIBIBYTE, 'GiB', MOST_GIBIBYTES, note);
}

function countRows(group: string, what: string, counts: MemoryCounts): BenchRow[] {
  const note = `counted in ${what}; the largest has ${(counts.largestBuffer / 2 ** 20).toFixed(0)} MiB`;
  const values = `${counts.values} values, the largest of ${(counts.largestValue / 2 ** 20).toFixed(0)} MiB`;
  return [
    atMost(group, 'ArrayBuffers over 1 GiB', counts.buffersOverGibibyte, '', 0, note),
    ...(counts.values > 0
      ? [atMost(group, 'IndexedDB values over 64 MiB', counts.valuesOver64Mebibytes, '', 0, values)]
      : []),
  ];
}

const gibibytes = (bytes: number) => `${(bytes / GIBIBYTE).toFixed(2)} GiB`;

interface TrueSizeRun {
  readonly group: string;
  /** Of the keys. */
  readonly manifest: string;
  readonly device: Device;
  readonly precision?: string;
  readonly opensSessions: boolean;
  readonly draws: boolean;
}

/** One checkpoint in true size on one device: compiled, stored, and what else is asked for. */
async function run(options: TrueSizeRun): Promise<BenchRow[]> {
  const { group, manifest, device, precision = 'auto' } = options;
  const { models, bytes, remove } = await trueSizeFolder(manifest);
  const { root, remove: removeBuild } = await countingBuild();
  const engine = await openBenchEngine({
    ...{ device, precision, isLoaded: false, root },
    bridgeArgs: ['--models-dir', models],
  });
  try {
    const startedAt = performance.now();
    const compiled = await peakMemory(() => compile(engine));
    const seconds = (performance.now() - startedAt) / 1000;
    const note = `${gibibytes(bytes)} of random halves under every key of the real file, ${seconds.toFixed(0)} s with hashing; the tab ${gibibytes(compiled.peak.renderer)}`;
    const rows = [
      memoryRow(group, `${manifest} is compiled and stored for ${device}`, compiled.peak, note),
    ];
    if (options.draws || options.opensSessions) {
      const { result, peak } = await peakMemory(() => warmedUp(engine));
      const parts = `what an ordinary job needs; the tab ${gibibytes(peak.renderer)}, the GPU process ${gibibytes(peak.gpu)}`;
      rows.push(memoryRow(group, `the engine opens it on ${device} in ${result}`, peak, parts));
    }
    if (options.draws) {
      const drawn = await peakMemory(() => draw(engine));
      const shown = `img2img of one step: both VAE parts, text encoder and UNet; the tab ${gibibytes(drawn.peak.renderer)}`;
      rows.push(memoryRow(group, `a picture of ${SIDE}×${SIDE} from a picture`, drawn.peak, shown));
    }
    rows.push(
      ...countRows(group, 'the engine’s worker, all the while', await workerCounts(engine)),
    );
    if (!options.opensSessions) return rows;
    const opened = await openSessions(engine, group, device);
    return [...rows, ...opened.rows, ...countRows(group, 'the page of sessions', opened.counts)];
  } finally {
    await engine.close();
    removeBuild();
    remove();
  }
}

async function workerCounts({ page }: BenchEngine): Promise<MemoryCounts> {
  for (const worker of page.workers()) {
    const counts = await worker.evaluate(readCounts).catch(() => null);
    if (counts) return counts;
  }
  throw new Error('no worker counts');
}

/** SD 1.5: compiled, stored, every session opened, on the processor and on a software adapter. */
export async function benchTrueSize(): Promise<BenchRow[]> {
  const shared = { group: 'truesize', manifest: 'sd15.ldm', opensSessions: true };
  return [
    ...(await run({ ...shared, device: 'wasm', draws: true })),
    // A software adapter takes minutes for what the processor does in seconds: sessions alone.
    ...(await run({ ...shared, device: 'webgpu', draws: false })),
  ];
}

/** SDXL: compiled to halves, which is what most graphics cards use, and stored. */
export async function benchTrueSizeSdxl(): Promise<BenchRow[]> {
  const manifest = 'sdxl-base.ldm';
  return run({
    ...{ group: 'truesize-sdxl', manifest, device: 'wasm', precision: 'fp16' },
    ...{ opensSessions: false, draws: false },
  });
}
