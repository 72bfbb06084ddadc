import { randomBytes } from 'node:crypto';
import { startBridge } from '../../test/e2e/support/bridge.ts';
import { attachBenchTab, noisePicture } from './bench-tab.ts';
import { atMost, type BenchRow, figure, percentile } from './row.ts';

const PICTURE_BYTES = 450 * 1024;
const JOBS = 60;

/** What the bridge adds: the reply's arrival minus the moment the engine had the picture ready. */
export async function benchRelay(): Promise<BenchRow[]> {
  const bridge = await startBridge(['--browser', 'none', '--save-images', 'requested']);
  const tab = await attachBenchTab(bridge);
  try {
    const data = noisePicture(randomBytes(PICTURE_BYTES));
    tab.onJob = (job) => job.finish(data);
    const added: number[] = [];
    for (let i = 0; i < JOBS + 10; i++) {
      const startedAt = performance.now();
      const response = await bridge.post('/sdapi/v1/txt2img', { prompt: 'x', seed: i });
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`txt2img answered ${response.status}`);
      // Before the engine: from the request to the job. After it: from the picture to the reply.
      if (i >= 10) added.push(performance.now() - startedAt);
    }
    return [
      atMost(
        'relay',
        'p95 of what the bridge adds to a 450 KiB picture',
        percentile(added, 0.95),
        'ms',
        25,
        `${JOBS} jobs of an engine that answers at once: the whole round trip is the bridge’s`,
      ),
      figure('relay', 'the median of them', percentile(added, 0.5), 'ms', 'the same jobs'),
    ];
  } finally {
    tab.close();
    await bridge.stop();
  }
}
