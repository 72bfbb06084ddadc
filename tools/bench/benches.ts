import { benchApi } from './api.ts';
import { benchCompiler } from './compiler.ts';
import { benchLoad } from './load.ts';
import { benchMemory } from './memory.ts';
import { benchOverhead } from './overhead.ts';
import { benchPage } from './page.ts';
import { benchPrecision } from './precision.ts';
import { benchRelay } from './relay.ts';
import { type BenchRow, formatTable } from './row.ts';
import { benchThroughput } from './throughput.ts';
import { benchTrueSize, benchTrueSizeSdxl } from './true-size.ts';
import { benchWebgpu } from './webgpu.ts';

/** Every group of `npm run bench`, by the name that picks it. */
const BENCHES: Readonly<Record<string, () => Promise<readonly BenchRow[]>>> = {
  overhead: benchOverhead,
  relay: benchRelay,
  api: benchApi,
  load: benchLoad,
  webgpu: benchWebgpu,
  memory: benchMemory,
  page: benchPage,
  precision: benchPrecision,
  compiler: benchCompiler,
  throughput: benchThroughput,
};

/** Groups that take gigabytes of disk and minutes: measured only where they are named. */
const LARGE: typeof BENCHES = {
  truesize: benchTrueSize,
  'truesize-sdxl': benchTrueSizeSdxl,
};

/** Runs the named groups, or all but the large ones; a group that fails ends the run with its error. */
export async function runBenches(
  names: readonly string[],
): Promise<{ rows: readonly BenchRow[]; table: string }> {
  const wanted = names.length > 0 ? names : Object.keys(BENCHES);
  const rows: BenchRow[] = [];
  for (const name of wanted) {
    const bench = BENCHES[name] ?? LARGE[name];
    if (!bench) {
      const all = Object.keys({ ...BENCHES, ...LARGE }).join(', ');
      throw new Error(`no bench "${name}"; there are ${all}`);
    }
    console.log(`Measuring ${name} …`);
    rows.push(...(await bench()));
  }
  return { rows, table: formatTable(rows) };
}
