import { openBenchEngine } from './engine.ts';
import { atMost, type BenchRow, figure } from './row.ts';

const PROMPT = { prompt: 'a red apple, 3d', width: 512, height: 512, cfg_scale: 5 };

/** What everything around the runtime's `run` costs: HTTP, queue, relay, sampling, PNG, base64. */
export async function benchOverhead(): Promise<BenchRow[]> {
  const engine = await openBenchEngine({ device: 'wasm' });
  try {
    await engine.generate({ ...PROMPT, steps: 2, seed: 1 });
    const samples = [];
    for (let seed = 1; seed <= 3; seed++) {
      samples.push(await engine.generate({ ...PROMPT, steps: 20, seed }));
    }
    const ratios = samples
      .map(({ seconds, summary }) => seconds / summary.timings.runSeconds)
      .sort((a, b) => a - b);
    const seconds = samples.map((sample) => sample.seconds).sort((a, b) => a - b);
    return [
      atMost(
        'overhead',
        'txt2img over HTTP ÷ time inside the runtime',
        ratios[1] ?? Number.NaN,
        '',
        1.1,
        'easel-tiny, 512×512, 20 steps, wasm; median of 3 after a warm-up',
      ),
      figure(
        'overhead',
        'that picture, start-up excluded',
        seconds[1] ?? Number.NaN,
        's',
        'the same three; an absolute time on a shared machine of two cores',
      ),
    ];
  } finally {
    await engine.close();
  }
}
