import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ROOT, type RunningBridge, startBridge } from '../../test/e2e/support/bridge.ts';
import { attachBenchTab, type BenchTab, noisePicture } from './bench-tab.ts';
import { httpLoad } from './http-load.ts';
import { atLeast, atMost, type BenchRow, figure, percentile } from './row.ts';

const LISTS = [
  '/sdapi/v1/sd-models',
  '/sdapi/v1/options',
  '/sdapi/v1/samplers',
  '/sdapi/v1/schedulers',
  '/sdapi/v1/upscalers',
  '/sdapi/v1/loras',
];
const PROGRESS = ['/sdapi/v1/progress'];
const CONNECTIONS = 100;
const SECONDS = 4;
const LARGE_BYTES = 2 * 1024 ** 2;
const LARGE_JOBS = 40;
const PREVIEW_BYTES = 12 * 1024;

/** Port of a server that does nothing, and how to end it. */
async function startBareServer(): Promise<{ port: number; stop: () => void }> {
  const child = spawn(process.execPath, [join(ROOT, 'tools/bench/bare-server.mjs')], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout?.once('data', (chunk) => resolve(Number(String(chunk).trim())));
    child.once('exit', () => reject(new Error('the bare server did not start')));
  });
  return { port, stop: () => child.kill() };
}

/** A job that goes on for as long as the bench asks, with progress ten times a second and a preview once. */
function keepGenerating(bridge: RunningBridge, tab: BenchTab): () => Promise<void> {
  let step = 0;
  let end = () => {};
  tab.onJob = (job) => {
    const timer = setInterval(() => {
      step += 1;
      job.progress(step % 1000);
      if (step % 10 === 0) job.preview(randomBytes(PREVIEW_BYTES).toString('base64'));
    }, 100);
    end = () => {
      clearInterval(timer);
      job.finish(noisePicture(randomBytes(1024)));
    };
  };
  const reply = bridge.post('/sdapi/v1/txt2img', { prompt: 'x', steps: 1000 });
  return async () => {
    end();
    await (await reply).arrayBuffer();
  };
}

async function perSecond(port: number, paths: readonly string[]): Promise<number> {
  const load = { port, paths, connections: 32, everyMs: 0 };
  await httpLoad({ ...load, seconds: 1 });
  const { latencies, seconds } = await httpLoad({ ...load, seconds: SECONDS });
  return latencies.length / seconds;
}

async function benchPolls(bridge: RunningBridge, tab: BenchTab): Promise<BenchRow[]> {
  const bare = await startBareServer();
  const endJob = keepGenerating(bridge, tab);
  try {
    const { port } = bridge;
    const paced = { port, paths: LISTS, connections: CONNECTIONS, everyMs: 100 };
    await httpLoad({ ...paced, seconds: 1 });
    const lists = await httpLoad({ ...paced, seconds: SECONDS });
    const polls = await perSecond(port, PROGRESS);
    const saturated = await perSecond(port, LISTS);
    const nothing = await perSecond(bare.port, ['/']);
    const p99 = percentile(lists.latencies, 0.99);
    const note = `${CONNECTIONS} connections, each asking every 100 ms, while a job reports progress`;
    return [
      atMost('api', 'p99 of lists and options', p99, 'ms', 10, note),
      figure('api', 'the median of them', percentile(lists.latencies, 0.5), 'ms', 'the same'),
      atLeast('api', 'progress polls', polls, '/s', 3000, '32 connections, one bridge process'),
      figure('api', 'lists and options', saturated, '/s', 'the same'),
      figure('api', 'a bare Hono route', nothing, '/s', 'the same load on a server that says "ok"'),
      figure('api', 'progress polls against that', polls / nothing, '×', 'in the same run'),
    ];
  } finally {
    await endJob();
    bare.stop();
  }
}

/** Round trips of pictures of one size through a tab that has them ready, in milliseconds. */
async function roundTrips(bridge: RunningBridge, tab: BenchTab, bytes: number): Promise<number[]> {
  const data = noisePicture(randomBytes(bytes));
  tab.onJob = (job) => job.finish(data);
  const times: number[] = [];
  for (let i = 0; i < LARGE_JOBS + 5; i++) {
    const startedAt = performance.now();
    const response = await bridge.post('/sdapi/v1/txt2img', { prompt: 'x', seed: i });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`txt2img answered ${response.status}`);
    if (i >= 5) times.push(performance.now() - startedAt);
  }
  return times;
}

/** What the API costs: lists and polls while a job runs, and a large picture's way to the client. */
export async function benchApi(): Promise<BenchRow[]> {
  const bridge = await startBridge(['--browser', 'none', '--save-images', 'requested']);
  const tab = await attachBenchTab(bridge);
  try {
    const polls = await benchPolls(bridge, tab);
    const small = await roundTrips(bridge, tab, 1024);
    const large = await roundTrips(bridge, tab, LARGE_BYTES);
    const added = percentile(large, 0.95) - percentile(small, 0.5);
    const note = `${LARGE_JOBS} pictures of noise through a tab that has them ready, less the median for 1 KiB`;
    return [
      ...polls,
      atMost('api', 'p95 that a picture of 2 MiB adds', added, 'ms', 60, note),
      figure('api', 'a job of 1 KiB', percentile(small, 0.5), 'ms', 'median, the whole round trip'),
    ];
  } finally {
    tab.close();
    await bridge.stop();
  }
}
