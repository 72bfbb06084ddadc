import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../test/e2e/support/bridge.ts';
import { openBenchEngine } from './engine.ts';
import { atMost, type BenchRow, figure } from './row.ts';
import { writeScaledCheckpoint } from './scaled-checkpoint.ts';

const MANIFEST = join(ROOT, 'test/fixtures/models/full-keys/sd15.diffusers.json.gz');
/** SD 1.5 with 0.7 of its UNet's width: 1.2 GB of halves in all. */
const UNET_SCALE = 0.7;
const MEBIBYTE = 1024 * 1024;

/** Resident bytes of every renderer process on this machine that the headless browser started. */
function rendererBytes(): number {
  let largest = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer')) continue;
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const anonymous = Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
      largest = Math.max(largest, anonymous);
    } catch {
      // The process ended between the listing and the reading.
    }
  }
  return largest;
}

/** The tab's peak while a checkpoint of 1.2 GB is compiled and stored. Linux alone tells it. */
export async function benchMemory(): Promise<BenchRow[]> {
  const models = mkdtempSync(join(tmpdir(), 'easel-bench-'));
  const sizes = await writeScaledCheckpoint(
    join(models, 'Stable-diffusion', 'large'),
    MANIFEST,
    UNET_SCALE,
  );
  const largest = Math.max(...Object.values(sizes));
  const engine = await openBenchEngine({
    device: 'wasm',
    precision: 'fp16',
    bridgeArgs: ['--models-dir', models],
  });
  try {
    const before = rendererBytes();
    let peak = 0;
    let isCompiling = false;
    const startedAt = performance.now();
    void engine.bridge
      .post('/sdapi/v1/options', { sd_model_checkpoint: 'large' })
      .catch(() => undefined);
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const { activity } = await engine.bridge.get<{ activity: { kind: string } | null }>(
        '/health',
      );
      if (activity?.kind === 'compile') isCompiling = true;
      else if (isCompiling) break;
      if (isCompiling) peak = Math.max(peak, rendererBytes());
      if (performance.now() - startedAt > 300_000) throw new Error('the compile did not end');
    }
    const seconds = (performance.now() - startedAt) / 1000;
    const total = Object.values(sizes).reduce((a, b) => a + b, 0);
    return [
      atMost(
        'memory',
        'peak of the tab while compiling ÷ largest component',
        (peak - before) / largest,
        '',
        1.5,
        `random weights in SD 1.5’s keys, ${Math.round(total / MEBIBYTE)} MiB, largest ${Math.round(largest / MEBIBYTE)} MiB; private resident bytes of the renderer, sampled every 50 ms, less those before`,
      ),
      figure('memory', 'that peak', (peak - before) / MEBIBYTE, 'MiB', 'the same run'),
      figure(
        'memory',
        'that compile',
        seconds,
        's',
        'read through the bridge, hashed, converted, stored',
      ),
    ];
  } finally {
    await engine.close();
    rmSync(models, { recursive: true, force: true });
  }
}
