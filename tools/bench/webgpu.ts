import { rmSync } from 'node:fs';
import { openBenchEngine, tinyModelsFolder } from './engine.ts';
import { atMost, type BenchRow } from './row.ts';

/**
 * Counts of the engine itself on a software adapter: what crosses between JavaScript and the GPU does
 * not depend on how fast the GPU is.
 */
export async function benchWebgpu(): Promise<BenchRow[]> {
  const models = tinyModelsFolder();
  const engine = await openBenchEngine({
    device: 'webgpu',
    precision: 'fp32',
    bridgeArgs: ['--models-dir', models, '--ckpt', 'sd15-tiny'],
  });
  try {
    const body = { prompt: 'an apple', seed: 1, width: 64, height: 64, sampler_name: 'DPM++ 2M' };
    await engine.generate({ ...body, steps: 2 });
    const short = (await engine.generate({ ...body, steps: 2 })).summary.timings;
    const long = (await engine.generate({ ...body, steps: 6 })).summary.timings;
    const perStep = (key: 'readBacks' | 'uploads' | 'uploadedBytes') =>
      (long[key] - short[key]) / 4;
    const note = 'sd15-tiny, DPM++ 2M, 64×64, software adapter: 6 steps minus 2 steps, ÷ 4';
    return [
      atMost('webgpu', 'read-backs a sampling step', perStep('readBacks'), '', 0, note),
      atMost('webgpu', 'read-backs a picture', long.readBacks, '', 1, 'the same job of 6 steps'),
      atMost('webgpu', 'uploads a sampling step', perStep('uploads'), '', 4, note),
      atMost('webgpu', 'bytes uploaded a sampling step', perStep('uploadedBytes'), 'B', 128, note),
    ];
  } finally {
    await engine.close();
    rmSync(models, { recursive: true, force: true });
  }
}
