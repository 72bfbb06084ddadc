import { join } from 'node:path';
import { GENERATION_DEFAULTS } from '../../protocol/generation.ts';
import { ROOT } from '../../test/e2e/support/bridge.ts';
import { nodeAccess } from '../../test/fakes/engine-access.ts';
import type { Pixels } from '../../web/engine/images/pixels.ts';
import { createLocalEngine } from '../../web/engine/local-engine.ts';
import type { EngineConfig } from '../../web/shared/worker-protocol.ts';
import { atLeast, type BenchRow } from './row.ts';

const MODEL = join(ROOT, 'public/models/easel-tiny');
const PROMPTS = ['a red apple, 3d', 'a blue car', 'a green tree'];
const LEAST_DECIBELS = { fp16: 40, q8: 35, q4: 24 } as const;

type Precision = EngineConfig['precision'];

/** The pictures of all prompts at one precision, from the whole engine on the wasm provider in Node. */
async function draw(precision: Precision): Promise<readonly Pixels[]> {
  const access = nodeAccess({ folder: MODEL });
  const config: EngineConfig = {
    baseUrl: 'http://localhost/',
    relay: null,
    device: 'wasm',
    precision,
    checkpoint: null,
    allocator: 'caching',
    unloadIdleMinutes: null,
    appVersion: 'bench',
  };
  const engine = createLocalEngine(config, access);
  try {
    for (const [index, prompt] of PROMPTS.entries()) {
      const size = { width: 512, height: 512, steps: 20 };
      await engine.generate({ ...GENERATION_DEFAULTS, ...size, prompt, seed: index + 1 });
    }
    return access.pictures;
  } finally {
    await engine.close();
  }
}

/** Peak signal-to-noise ratio of the colours of two pictures, in decibels. */
function decibels(a: Pixels, b: Pixels): number {
  let sum = 0;
  for (let index = 0; index < a.data.length; index++) {
    if (index % 4 < 3) sum += ((a.data[index] ?? 0) - (b.data[index] ?? 0)) ** 2;
  }
  return 10 * Math.log10(255 ** 2 / (sum / ((a.data.length / 4) * 3)));
}

/** How far whole pictures of the embedded model are from those in fp32. */
export async function benchPrecision(): Promise<BenchRow[]> {
  const exact = await draw('fp32');
  const rows: BenchRow[] = [];
  for (const [precision, limit] of Object.entries(LEAST_DECIBELS)) {
    const pictures = await draw(precision as keyof typeof LEAST_DECIBELS);
    const values = pictures.map((picture, index) => decibels(picture, exact[index] ?? picture));
    const note = `the worst of ${PROMPTS.length} pictures of easel-tiny against fp32, 512×512, 20 steps, wasm: ${values.map((value) => value.toFixed(1)).join(', ')}`;
    rows.push(atLeast('precision', `PSNR of ${precision}`, Math.min(...values), 'dB', limit, note));
  }
  return rows;
}
