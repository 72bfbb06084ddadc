// `npm run chaos -- store [kills]`: kills things while they work, more often than `npm test` has time for.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { build } from './build.mjs';
import { ensureChromium } from './lib/chromium.mjs';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

/** What can be killed: the test that does it, and what tells it how often. */
const RUNS = {
  store: { test: 'test/e2e/store-kills.test.ts', variable: 'EASEL_STORE_KILLS', kills: 20 },
};

const [name = '', count] = process.argv.slice(2);
const run = Object.hasOwn(RUNS, name) ? RUNS[name] : null;
const kills = count === undefined ? run?.kills : Number(count);
if (!run || !Number.isInteger(kills) || kills < 1) {
  console.error(`Usage: npm run chaos -- ${Object.keys(RUNS).join(' | ')} [kills]`);
  process.exit(2);
}
requireNode();
ensureDependencies();
process.env.EASEL_CHROMIUM = ensureChromium();
process.env[run.variable] = String(kills);
await build({ onlyIfStale: true });
const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
const args = [vitest, 'run', '--project', 'e2e', run.test];
const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
process.exit(status ?? 1);
