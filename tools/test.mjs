// `npm test`: sets up what is missing, checks style and types, builds once, then runs every test.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureChromium } from './lib/chromium.mjs';
import { ensurePython } from './lib/python.mjs';
import { ensureRedis } from './lib/redis.mjs';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

/** Runs a tool from node_modules; ends the whole run with its status where it fails. */
function step(title, bin, args) {
  console.log(`\n${title}`);
  const path = join(ROOT, 'node_modules', '.bin', bin);
  const isWindows = process.platform === 'win32';
  const result = spawnSync(isWindows ? `${path}.cmd` : path, args, {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: process.env,
    shell: isWindows,
  });
  if (result.status === 0) return;
  if (bin !== 'vitest') console.log('0 passed, 1 failed');
  process.exit(result.status ?? 1);
}

requireNode();
ensureDependencies();
process.env.EASEL_CHROMIUM = ensureChromium();
process.env.EASEL_REDIS = ensureRedis();
process.env.EASEL_PYTHON = ensurePython();
step('Style', 'biome', ['ci', '--error-on-warnings', '.']);
step('Types', 'tsc', ['-b']);
console.log('\nBuild');
const { build } = await import('./build.mjs');
await build({ onlyIfStale: true });
step('Tests', 'vitest', ['run', ...process.argv.slice(2)]);
