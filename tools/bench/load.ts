import { rmSync } from 'node:fs';
import { openBenchEngine, tinyModelsFolder } from './engine.ts';
import { atMost, type BenchRow, figure } from './row.ts';

/** Selecting a checkpoint for the first time (read, hash, compile, store) against the second time. */
export async function benchLoad(): Promise<BenchRow[]> {
  const models = tinyModelsFolder();
  const engine = await openBenchEngine({
    device: 'wasm',
    bridgeArgs: ['--models-dir', models, '--ckpt', 'sd15-tiny'],
  });
  const select = async (checkpoint: string) => {
    const startedAt = performance.now();
    const response = await engine.bridge.post('/sdapi/v1/options', {
      sd_model_checkpoint: checkpoint,
    });
    if (!response.ok) throw new Error(`options answered ${response.status}`);
    const loaded = (performance.now() - startedAt) / 1000;
    await engine.generate({ prompt: 'x', steps: 1, width: 256, height: 256 });
    return { loaded, drawn: (performance.now() - startedAt) / 1000 };
  };
  try {
    const first = await select('easel-tiny');
    await select('sd15-tiny');
    const second = await select('easel-tiny');
    const how = 'easel-tiny on wasm, selected over HTTP while another checkpoint is loaded';
    return [
      atMost('load', 'second load ÷ first load', second.loaded / first.loaded, '', 0.3, how),
      figure('load', 'first load', first.loaded, 's', 'read, hash, compile, store'),
      figure('load', 'second load', second.loaded, 's', 'found in IndexedDB'),
      figure('load', 'first load to first picture', first.drawn, 's', '1 step, 256×256'),
      figure('load', 'second load to first picture', second.drawn, 's', 'the same'),
    ];
  } finally {
    await engine.close();
    rmSync(models, { recursive: true, force: true });
  }
}
