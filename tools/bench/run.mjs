// `npm run bench [-- group …]`: measures, prints a table, writes bench-results/*.json. It is no test.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureChromium } from '../lib/chromium.mjs';
import { ensureDependencies, ROOT, requireNode } from '../lib/setup.mjs';

requireNode();
ensureDependencies();
process.env.EASEL_CHROMIUM = ensureChromium();
const { build } = await import('../build.mjs');
await build({ onlyIfStale: true });
const { runnerImport } = await import('vite');
const { module } = await runnerImport(join(ROOT, 'tools/bench/benches.ts'), {
  configFile: false,
  root: ROOT,
  logLevel: 'warn',
});
const { rows, table } = await module.runBenches(process.argv.slice(2));
const folder = join(ROOT, 'bench-results');
mkdirSync(folder, { recursive: true });
const file = join(folder, `${new Date().toISOString().replace(/[:.]/g, '-')}.json`);
writeFileSync(file, `${JSON.stringify({ node: process.version, rows }, null, 2)}\n`);
console.log(`\n${table}\n\nWritten to ${file}`);
process.exit(0);
